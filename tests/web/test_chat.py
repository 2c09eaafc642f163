"""Chat over HTTP: framing, order, stopping, leaving, shutting down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sgoped.chat import (
    ActionCompleted,
    ActionStarted,
    Cancelled,
    Completed,
    Content,
    ContextTold,
    Failed,
    Started,
)
from sgoped.web import chat_replies
from sgoped.web.keys import CHAT
from sgoped.web.run_events import event_json
from tests.fakes.scripts import Script
from tests.fakes.upstream import FakeUpstream
from tests.web.conftest import Client
from tests.web.shapes import check
from tests.web.streams import all_events, next_event, text_of

STREAM = "/api/chat/stream"


async def test_headers_say_event_stream_and_nothing_is_compressed(client: Client) -> None:
    headers = {"Accept-Encoding": "gzip, deflate, br"}
    async with client.post(STREAM, json={"message": "hi"}, headers=headers) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Accel-Buffering"] == "no"
        assert "Content-Encoding" not in response.headers
        await response.read()


async def test_every_event_is_one_data_line_and_a_blank_one(
    client: Client, upstream: FakeUpstream
) -> None:
    upstream.behave(Script(chunks=("one\n", "two\r\n", "é\u2028")))
    async with client.post(STREAM, json={"message": "hi"}) as response:
        raw = await response.read()
    *events, rest = raw.split(b"\n\n")
    assert rest == b""
    lines = [event.split(b"\n") for event in events]
    numbers = [int(number.removeprefix(b"id: ")) for number, _ in lines]
    assert numbers == sorted(set(numbers))
    assert all(data.startswith(b"data: ") and b"\r" not in data for _, data in lines)
    parsed = [json.loads(data[6:]) for _, data in lines]
    assert text_of(parsed) == "one\ntwo\r\né\u2028"
    for event in parsed:
        check(chat_replies.StreamEventReply, event)
    assert parsed[0]["type"] == "start"
    assert [event["type"] for event in parsed][-1] == "complete"


async def test_headers_come_before_any_upstream_answers_and_stop_ends_it(
    client: Client, upstream: FakeUpstream
) -> None:
    upstream.behave(Script(gate_at=-1))
    body = {"message": "hi", "stream_id": "s1"}
    async with asyncio.timeout(20), client.post(STREAM, json=body) as response:
        assert (await next_event(response))["type"] == "start"
        await upstream.until(lambda: upstream.live_streams == 1)
        async with client.get("/api/chat/status") as status:
            answer = await status.json()
        check(chat_replies.ChatStatusReply, answer)
        assert [stream["stream_id"] for stream in answer["streams"]] == ["s1"]
        async with client.post("/api/chat/stop", json={"stream_id": "s1"}) as stopped:
            answer = await stopped.json()
        check(chat_replies.StopReply, answer)
        assert answer["stopped"] is True
        assert [event["type"] for event in await all_events(response)] == ["cancelled"]
        await upstream.client_closed()


async def test_stopping_nothing_is_200(client: Client) -> None:
    async with client.post("/api/chat/stop", json={"stream_id": "unknown"}) as response:
        assert response.status == 200
        assert (await response.json())["stopped"] is False


async def test_a_client_that_leaves_closes_the_upstream(
    client: Client, upstream: FakeUpstream
) -> None:
    upstream.behave(Script(gate_at=1))
    async with asyncio.timeout(20):
        response = await client.post(STREAM, json={"message": "hi"})
        while (await next_event(response))["type"] != "content":
            pass
        response.close()
        await upstream.client_closed()


async def test_what_one_read_brought_is_one_write(client: Client, upstream: FakeUpstream) -> None:
    upstream.behave(Script(chunks=tuple(f"{n} " for n in range(200)), together=True))
    async with client.post(STREAM, json={"message": "hi"}) as response:
        reads = [chunk async for chunk, _ in response.content.iter_chunks()]
    events = [
        json.loads(line[6:]) for line in b"".join(reads).splitlines() if line.startswith(b"data: ")
    ]
    assert text_of(events) == "".join(f"{n} " for n in range(200))
    assert len(reads) < 50


async def test_only_a_named_model_that_is_missing_is_an_error(client: Client) -> None:
    async with client.post(STREAM, json={"message": "hi", "model": "nobody"}) as response:
        events = await all_events(response)
    assert events[-1]["type"] == "error"
    assert "nobody" in events[-1]["message"]
    async with client.post(STREAM, json={"message": "start the engine"}) as response:
        events = await all_events(response)
    assert events[-1]["type"] == "complete"
    assert text_of(events).startswith("No model is available")


async def test_null_means_absent(client: Client) -> None:
    body = {
        "message": "hi",
        "model": None,
        "stream_id": None,
        "selected_action": None,
        "knowledge_filename": None,
        "attachments": [{"type": "file", "name": "readme.md", "content": None, "size": None}],
    }
    async with client.post(STREAM, json=body) as response:
        assert (await all_events(response))[-1]["type"] == "complete"


async def test_shutting_down_ends_fifty_streams_with_an_event(
    client: Client, upstream: FakeUpstream
) -> None:
    upstream.behave(Script(gate_at=-1))
    responses = []
    for _ in range(50):
        response = await client.post(STREAM, json={"message": "hi"})
        assert (await next_event(response))["type"] == "start"
        responses.append(response)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        closing = group.create_task(client.server.close())
        endings = [await all_events(response) for response in responses]
        await closing
    assert [[event["type"] for event in ending] for ending in endings] == [["cancelled"]] * 50


async def test_a_broken_run_still_ends_with_an_event(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = client.server.app[CHAT]  # type: ignore[attr-defined]  # a TestServer has one
    real_start = chat.start

    def start(request: Any, run_id: str) -> Any:
        run = real_start(request, run_id)

        async def follow(after: int = 0, at_once: Any = None) -> AsyncIterator[Any]:
            yield [(1, Started("m", 1.0))]
            raise RuntimeError

        monkeypatch.setattr(run, "follow", follow)
        return run

    monkeypatch.setattr(chat, "start", start)
    async with client.post(STREAM, json={"message": "hi"}) as response:
        events = await all_events(response)
    assert [event["type"] for event in events] == ["start", "error"]


@pytest.mark.parametrize(
    ("event", "sent"),
    [
        (Started("m", 1.0), {"type": "start", "model": "m", "timestamp": 1.0}),
        (ActionStarted("a", 1.0), {"type": "action_start", "action": "a", "timestamp": 1.0}),
        (
            ActionCompleted("a", {"x": 1}, 1.0),
            {"type": "action_complete", "action": "a", "result": {"x": 1}, "timestamp": 1.0},
        ),
        (Content("t", 1.0), {"type": "content", "content": "t", "timestamp": 1.0}),
        (Completed(1.0), {"type": "complete", "timestamp": 1.0, "reason": "stop"}),
        (Cancelled("c", 1.0), {"type": "cancelled", "message": "c", "timestamp": 1.0}),
        (Failed("f", 1.0), {"type": "error", "message": "f", "timestamp": 1.0}),
        (
            ContextTold((), ("x",), (), 3, 8, 1.0),
            {
                "type": "context",
                "items": (),
                "missing": ("x",),
                "notes": (),
                "tokens": 3,
                "window_tokens": 8,
                "history": {"whole": 0, "compacted": 0, "left_out": 0, "how": ""},
                "timestamp": 1.0,
            },
        ),
    ],
)
def test_each_event_has_its_wire_form(event: Any, sent: dict[str, Any]) -> None:
    assert event_json(event, typed=True) == sent
