"""Runs over HTTP: named, listed, shown, followed from anywhere, stopped, forgotten."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import ClientResponse

from sgoped.chat.stored import INTERRUPTED
from sgoped.web import chat_replies, replies
from sgoped.web.keys import CHAT
from tests.fakes.scripts import Script
from tests.fakes.upstream import FakeUpstream
from tests.web.conftest import Client
from tests.web.shapes import check
from tests.web.streams import all_events, next_event, text_of

STREAM = "/api/chat/stream"
ORIGIN = {"Origin": "http://localhost:3000"}
Numbered = list[tuple[int, dict[str, Any]]]


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"run_grace_seconds": 30}


async def numbered(response: ClientResponse) -> Numbered:
    """Every event with its id, until the stream ends; 0 where there is none."""
    found, number = [], 0
    async for line in response.content:
        if line.startswith(b"id: "):
            number = int(line[4:])
        elif line.startswith(b"data: "):
            found.append((number, json.loads(line[6:])))
            number = 0
    return found


async def asked(client: Client, **fields: Any) -> tuple[str, Numbered]:
    """An answer to its end, and its run's id."""
    async with client.post(STREAM, json={"message": "hi", **fields}) as response:
        return response.headers["X-Run-Id"], await numbered(response)


async def followed(client: Client, run_id: str, **query: Any) -> Numbered:
    headers = {"Last-Event-ID": str(query.pop("last"))} if "last" in query else {}
    address = f"/api/runs/{run_id}/events"
    async with client.get(address, params=query, headers=headers) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["X-Run-Id"] == run_id
        return await numbered(response)


async def run_of(client: Client, run_id: str) -> dict[str, Any]:
    async with client.get(f"/api/runs/{run_id}") as response:
        assert response.status == 200
        answer: dict[str, Any] = await response.json()
    check(chat_replies.WholeRunReply, answer)
    return answer


async def listed(client: Client, **query: Any) -> list[dict[str, Any]]:
    async with client.get("/api/runs", params=query) as response:
        assert response.status == 200
        answer = await response.json()
    check(chat_replies.RunsReply, answer)
    found: list[dict[str, Any]] = answer["runs"]
    for run in found:
        check(chat_replies.RunReply, run)
    return found


async def test_the_header_names_the_run_and_a_page_may_read_it(
    client: Client, upstream: FakeUpstream
) -> None:
    upstream.behave(Script(gate_at=-1))
    body = {"message": "hi", "stream_id": "s1"}
    async with asyncio.timeout(20), client.post(STREAM, json=body, headers=ORIGIN) as response:
        exposed = response.headers["Access-Control-Expose-Headers"].split(", ")
        assert "X-Run-Id" in exposed
        (run,) = await listed(client, state="live")
        assert run["id"] == response.headers["X-Run-Id"]
        assert (run["stream_id"], run["message"], run["state"]) == ("s1", "hi", "live")
        upstream.open_gate()
        await response.read()


async def test_only_a_typed_start_tells_the_runs_id(client: Client, upstream: FakeUpstream) -> None:
    run_id, events = await asked(client, events="typed")
    assert events[0][1]["run_id"] == run_id
    run_id, events = await asked(client)
    assert set(events[0][1]) == {"type", "model", "timestamp"}
    _, events = await asked(client, events="typed", message="/add_knowledge A heron.")
    assert events[0][1]["type"] == "action_start"
    assert events[0][1]["run_id"]
    assert run_id not in json.dumps(events)


async def test_an_ended_run_is_shown_and_played_again(
    client: Client, upstream: FakeUpstream
) -> None:
    upstream.behave(Script(reasoning=("hm", "m"), chunks=("So", " it", " is")))
    run_id, events = await asked(client, message="why? see @readme.md", events="typed")
    told = {event["type"]: event for _, event in events}
    run = await run_of(client, run_id)
    assert (run["state"], run["text"], run["end_message"]) == ("completed", "So it is", "")
    assert run["last_event_id"] == events[-1][0]
    assert run["context"] == told["context"]
    assert run["usage"] == told["usage"]
    assert run["ended_at"] >= run["started_at"]
    assert await followed(client, run_id, events="typed") == events
    untyped = await followed(client, run_id)
    assert text_of([event for _, event in untyped]) == "<think>hmm</think>So it is"
    for at in range(len(events) + 1):
        after = events[at - 1][0] if at else 0
        assert await followed(client, run_id, events="typed", after=after) == events[at:]
        assert await followed(client, run_id, events="typed", last=after) == events[at:]
        assert await followed(client, run_id, last=after) == [
            each for each in untyped if each[0] > after
        ]


async def test_two_windows_follow_one_run_and_see_the_same(
    client: Client, upstream: FakeUpstream
) -> None:
    upstream.behave(Script(gate_at=1))
    async with asyncio.timeout(20), client.post(STREAM, json={"message": "hi"}) as response:
        run_id = response.headers["X-Run-Id"]
        async with asyncio.TaskGroup() as group:
            others = [group.create_task(followed(client, run_id)) for _ in range(2)]
            await upstream.until(lambda: upstream.live_streams == 1)
            upstream.open_gate()
        events = await numbered(response)
    assert [other.result() for other in others] == [events, events]
    assert text_of([event for _, event in events]) == "Hello, world"


async def test_a_lost_connection_is_taken_up_where_it_broke_off(
    client: Client, upstream: FakeUpstream
) -> None:
    upstream.behave(Script(gate_at=1))
    async with asyncio.timeout(20):
        response = await client.post(STREAM, json={"message": "hi"})
        run_id = response.headers["X-Run-Id"]
        seen = [await next_event(response), await next_event(response)]  # events 1 and 3
        response.close()
        rest = asyncio.ensure_future(followed(client, run_id, last=3))  # noqa: TID251
        await asyncio.sleep(0)
        upstream.open_gate()
        seen += [event for _, event in await rest]
    assert text_of(seen) == "Hello, world"
    assert [event["type"] for event in seen].count("complete") == 1
    assert upstream.closed_by_client == []


async def test_a_durable_run_completes_with_its_client_gone(
    client: Client, upstream: FakeUpstream
) -> None:
    upstream.behave(Script(gate_at=1))
    body = {"message": "hi", "durable": True}
    async with asyncio.timeout(20):
        response = await client.post(STREAM, json=body)
        run_id = response.headers["X-Run-Id"]
        assert (await next_event(response))["type"] == "start"
        response.close()
        upstream.open_gate()
        events = await followed(client, run_id)
    assert text_of([event for _, event in events]) == "Hello, world"
    assert (await run_of(client, run_id))["durable"] is True


@pytest.mark.parametrize("way", ["stream_id", "run id", "run"])
async def test_a_run_is_stopped_by_either_id(
    client: Client, upstream: FakeUpstream, way: str
) -> None:
    upstream.behave(Script(gate_at=1))
    body = {"message": "hi", "stream_id": "mine"}
    async with asyncio.timeout(20), client.post(STREAM, json=body) as response:
        run_id = response.headers["X-Run-Id"]
        await upstream.until(lambda: upstream.live_streams == 1)
        address = f"/api/runs/{run_id}/stop" if way == "run" else "/api/chat/stop"
        named = {"stream_id": run_id if way == "run id" else "mine"} if way != "run" else None
        async with client.post(address, json=named) as stopped:
            answer = await stopped.json()
        check(chat_replies.StopReply, answer)
        assert answer["stopped"] is True
        assert (await all_events(response))[-1]["type"] == "cancelled"
        await upstream.client_closed()
        async with client.post(f"/api/runs/{run_id}/stop") as stopped:
            assert (await stopped.json())["stopped"] is False
    assert (await run_of(client, run_id))["state"] == "cancelled"


async def test_unknown_runs_are_404_everywhere(client: Client) -> None:
    calls = [
        ("GET", "/api/runs/nobody"),
        ("GET", "/api/runs/nobody/events"),
        ("POST", "/api/runs/nobody/stop"),
        ("DELETE", "/api/runs/nobody"),
    ]
    for method, address in calls:
        async with client.request(method, address, headers={"Accept": "*/*"}) as response:
            assert response.status == 404, (method, address)
            answer = await response.json()
        check(replies.ErrorReply, answer)
        assert answer["code"] == "run_not_found"


async def test_the_list_is_newest_first_and_can_be_narrowed(
    client: Client, upstream: FakeUpstream
) -> None:
    first, _ = await asked(client, message="one")
    upstream.behave(Script(fault="500"))
    second, _ = await asked(client, message="two")
    third, _ = await asked(client, message="three", model="nobody")
    assert [run["id"] for run in await listed(client)] == [third, second, first]
    assert [run["id"] for run in await listed(client, limit=1)] == [third]
    assert [run["id"] for run in await listed(client, state="completed")] == [first]
    failed = await listed(client, state="failed")
    assert [run["id"] for run in failed] == [third, second]
    assert all(run["end_message"] for run in failed)
    for query in ({"limit": 0}, {"limit": "x"}, {"state": "odd"}):
        async with client.get("/api/runs", params=query) as response:
            assert response.status == 422


async def test_a_live_run_is_not_forgotten_and_an_ended_one_for_good(
    client: Client, upstream: FakeUpstream
) -> None:
    upstream.behave(Script(gate_at=1))
    async with asyncio.timeout(20), client.post(STREAM, json={"message": "hi"}) as response:
        run_id = response.headers["X-Run-Id"]
        async with client.delete(f"/api/runs/{run_id}") as refused:
            assert refused.status == 409
            assert (await refused.json())["code"] == "run_is_live"
        await upstream.until(lambda: upstream.live_streams == 1)
        upstream.open_gate()
        await response.read()
    async with client.delete(f"/api/runs/{run_id}") as response:
        check(replies.SuccessReply, await response.json())
    assert await listed(client) == []
    async with client.delete(f"/api/runs/{run_id}") as response:
        assert response.status == 404


async def test_streams_of_runs_answer_no_head(client: Client, upstream: FakeUpstream) -> None:
    run_id, _ = await asked(client)
    async with client.head(f"/api/runs/{run_id}/events") as response:
        assert response.status == 405
    async with client.head(f"/api/runs/{run_id}") as response:
        assert response.status == 200


async def test_events_that_are_kept_no_longer_are_told_to_typed_clients_alone(
    client: Client, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sgoped.chat.log.RunLog._shed", shed_all_but_the_last)
    upstream.behave(Script(chunks=tuple(f"{number} " * 3000 for number in range(200))))
    run_id, _ = await asked(client)
    kept = await followed(client, run_id, events="typed")
    number, told = kept[0]
    assert (number, told["type"]) == (0, "events_dropped")
    check(chat_replies.StreamEventReply, told)
    assert told["count"] == kept[1][0] - 1 > 0
    untyped = await followed(client, run_id)
    assert untyped[0][0] == kept[1][0]
    resumed = await followed(client, run_id, events="typed", after=2)
    assert resumed[0][1]["count"] == told["count"] - 2
    assert await followed(client, run_id, events="typed", after=told["count"]) == kept[1:]


def shed_all_but_the_last(log: Any) -> None:
    while len(log._pages) > 1:
        log._page_bytes -= log._pages[0].kept_bytes
        del log._pages[0], log._page_ends[0]


async def test_followers_of_a_run_do_not_hold_the_shutdown(
    client: Client, upstream: FakeUpstream
) -> None:
    upstream.behave(Script(gate_at=1))
    async with asyncio.timeout(20):
        response = await client.post(STREAM, json={"message": "hi"})
        run_id = response.headers["X-Run-Id"]
        window = await client.get(f"/api/runs/{run_id}/events?events=typed")
        assert (await next_event(window))["run_id"] == run_id
        chat = client.server.app[CHAT]  # type: ignore[attr-defined]  # a TestServer has one
        run = await chat.find(run_id)
        async with asyncio.TaskGroup() as group:
            group.create_task(client.server.close())
            ends = [(await all_events(each))[-1]["type"] for each in (response, window)]
    assert ends == ["cancelled", "cancelled"]
    assert run.state == "interrupted"
    assert INTERRUPTED.startswith("interrupted")
