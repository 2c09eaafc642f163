"""Answers that outlive their connection: found by their id, taken up anywhere, in two windows."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import aclosing, closing
from typing import Any

import aiohttp
import pytest

from tests.conftest import StartDaemon
from tests.e2e.conftest import Model
from tests.e2e.page import ENDS, Event, Page, check_events, text_of
from tests.e2e.upstream import Upstream
from tests.fakes.scripts import Script
from tests.processes import DaemonProcess

ENVIRONMENT = {"SGOPED_RUN_GRACE_SECONDS": "30"}
Numbered = list[tuple[int, Event]]

THINKING = Script(
    reasoning=("let ", "me ", "think"),
    chunks=("So", " it", " is", "\n", "Grüße", " 😀"),
    pause_seconds=0.01,
)
EVENTS = pytest.mark.parametrize("events", [None, "typed"], ids=["untyped", "typed"])


async def read_events(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[int, Event]]:
    """Events with their ids, 0 where there is none."""
    number = 0
    async for line in response.content:
        if line.startswith(b"id: "):
            number = int(line[4:])
        elif line.startswith(b"data: "):
            yield number, json.loads(line[6:])
            number = 0


async def follow(
    page: Page, run_id: str, *, after: int = 0, events: str | None = None, most: int = 10**9
) -> Numbered:
    """Follow a run behind an event, as a page whose connection breaks off after ``most`` more."""
    headers = page.headers({"Last-Event-ID": str(after)} if after else None)
    query = {} if events is None else {"events": events}
    address = f"{page.url}/api/runs/{run_id}/events"
    found: Numbered = []
    async with page.session.get(address, params=query, headers=headers) as response:
        assert response.status == 200
        page.check_cors(response.headers)
        async with aclosing(read_events(response)) as numbered:  # type: ignore[type-var]
            async for each in numbered:
                found.append(each)
                if len(found) == most:
                    response.close()
                    break
    return found


async def begin(
    page: Page, model: Model, most: int = 10**9, *, until: str = "never", **fields: Any
) -> tuple[str, Numbered]:
    """Ask, read so many events or so much text, lose the connection; the id and what was read."""
    found: Numbered = []
    async with page.stream("why?", model=model.id, **fields) as stream:
        async with aclosing(read_events(stream.response)) as numbered:  # type: ignore[type-var]
            async for each in numbered:
                found.append(each)
                if len(found) == most or text_of([event for _, event in found]) == until:
                    break
        stream.leave()
    return stream.response.headers["X-Run-Id"], found


async def run_of(page: Page, run_id: str) -> Any:
    return await page.get(f"/api/runs/{run_id}")


@EVENTS
@pytest.mark.parametrize("step", [1, 2, 5])
async def test_a_page_that_is_reloaded_again_and_again_misses_nothing(
    page: Page, model: Model, upstream: Upstream, events: str | None, step: int
) -> None:
    """At every point, that is inside of thoughts too."""
    upstream.behave(THINKING)
    asked = {} if events is None else {"events": events}
    run_id, seen = await begin(page, model, step, **asked)
    while seen[-1][1]["type"] not in ENDS:
        seen += await follow(page, run_id, after=seen[-1][0], events=events, most=step)
    whole = await follow(page, run_id, events=events)
    assert seen == whole
    assert text_of([event for _, event in whole]).endswith("So it is\nGrüße 😀")
    if events is None:
        check_events([event for _, event in seen])
        assert text_of([event for _, event in whole]).startswith("<think>let me think</think>")
    else:
        thoughts = [event["content"] for _, event in whole if event["type"] == "thinking"]
        assert "".join(thoughts) == "let me think"
    for at in range(len(whole)):
        assert await follow(page, run_id, after=whole[at][0], events=events) == whole[at + 1 :]
    assert len(upstream.prompts) == 1


async def test_a_second_window_sees_the_same(page: Page, model: Model, upstream: Upstream) -> None:
    upstream.behave(Script(gate_at=1))
    async with page.stream("hello", model=model.id) as stream:
        await stream.until("content")
        run_id = stream.response.headers["X-Run-Id"]
        assert [run["id"] for run in (await page.get("/api/runs", state="live"))["runs"]] == [
            run_id
        ]
        async with asyncio.TaskGroup() as tasks:
            windows = [tasks.create_task(follow(page, run_id)) for _ in range(3)]
            upstream.open_gate()
            first = await stream.rest()
    for window in windows:
        assert [event for _, event in window.result()] == first
    run = await run_of(page, run_id)
    assert (run["state"], run["text"], run["message"]) == ("completed", "Hello, world", "hello")


async def test_a_durable_answer_is_completed_with_nobody_there(
    page: Page, model: Model, upstream: Upstream
) -> None:
    """One that is far larger than what a client may leave unread."""
    words = tuple(f"{number} {'word ' * 500}" for number in range(1000))
    upstream.behave(Script(words))
    async with page.events() as happened:
        run_id, seen = await begin(page, model, 1, durable=True)
        await happened.until("run_ended", run_id=run_id, outcome="completed")
    assert upstream.left == 0
    whole = await follow(page, run_id)
    assert whole[-1][1]["type"] == "complete"
    if whole[0][0] == 1:
        assert whole[0] == seen[0]
        assert text_of([event for _, event in whole]) == "".join(words)
    assert (await run_of(page, run_id))["text"] == "".join(words)[: 2**20]


@pytest.mark.parametrize("by", ["run id", "address"])
async def test_a_run_is_stopped_by_its_id(
    page: Page, model: Model, upstream: Upstream, by: str
) -> None:
    upstream.behave(Script(gate_at=1))
    run_id, _ = await begin(page, model, 2, durable=True)
    async with asyncio.timeout(1):
        if by == "run id":
            stopped = await page.stop(run_id)
        else:
            stopped = await page.post(f"/api/runs/{run_id}/stop", {})
        await upstream.client_closed()
    assert stopped["stopped"] is True
    assert (await follow(page, run_id))[-1][1]["type"] == "cancelled"
    assert (await run_of(page, run_id))["state"] == "cancelled"


async def test_a_stop_ends_the_wait_for_how_much_a_model_can_take(
    page: Page, services: dict[str, str], upstream: Upstream
) -> None:
    upstream.behave(Script(fault="stall_early", fault_on=("show", "models", "chat")))
    for name in ("local", "cloud"):
        async with page.stream("hello", model=f"{name}/alpha:latest", stream_id=name) as stream:
            await stream.next()
            await upstream.until(lambda server: bool(server.requests))
            async with asyncio.timeout(1):
                await page.stop(name)
                assert (await stream.rest())[-1]["type"] == "cancelled"


async def test_a_forgotten_run_is_gone(page: Page, model: Model, upstream: Upstream) -> None:
    run_id, _ = await begin(page, model)
    await page.delete(f"/api/runs/{run_id}")
    await page.get(f"/api/runs/{run_id}", status=404)
    await page.get(f"/api/runs/{run_id}/events", status=404)
    await page.delete(f"/api/runs/{run_id}", status=404)
    assert run_id not in [run["id"] for run in (await page.get("/api/runs"))["runs"]]


async def test_the_last_window_that_is_closed_closes_the_upstream(
    session: aiohttp.ClientSession, upstream: Upstream, start_daemon: StartDaemon
) -> None:
    upstream.behave(Script(gate_at=1))
    daemon = await asyncio.to_thread(start_daemon)
    page = Page(session, daemon.url)
    model = await served(page, upstream)
    async with page.stream("hello", model=model.id) as stream:
        await stream.until("content")
        run_id = stream.response.headers["X-Run-Id"]
        seen = await follow(page, run_id, most=2)
        assert [event["type"] for _, event in seen] == ["start", "content"]
        assert upstream.left == 0, "another window is still there"
        async with asyncio.timeout(1):
            stream.leave()
            await upstream.client_closed()
    assert (await follow(page, run_id))[-1][1]["type"] == "cancelled"


async def served(page: Page, upstream: Upstream) -> Model:
    """A daemon of a test's own knows the upstream."""
    config = {"name": "Local", "host": upstream.url, "models": ["beta"]}
    body = {"service_id": "local", "service_type": "ollama", "config": config}
    await page.post("/api/services/add", body)
    return Model("ollama", "local/beta")


async def begin_four(page: Page, model: Model, upstream: Upstream) -> dict[str, Numbered]:
    """Answers in every state: made half, made half for nobody, thinking, whole."""
    begun: dict[str, Numbered] = {}
    upstream.behave(Script(gate_at=2))
    for fields in ({}, {"durable": True}):
        run_id, seen = await begin(page, model, until="Hello, ", **fields)
        begun[run_id] = seen
    upstream.behave(Script(reasoning=("hm",), fault="stall", fault_at=0))
    run_id, seen = await begin(page, model, until="<think>hm")
    begun[run_id] = seen
    upstream.behave(Script())
    run_id, seen = await begin(page, model)
    begun[run_id] = seen
    return begun


async def written(daemon: DaemonProcess, begun: dict[str, Numbered]) -> None:
    """Wait until what was read of each answer is on the disk, which no event tells."""
    database = f"{(daemon.home / 'data' / 'state.db').as_uri()}?mode=ro"
    async with asyncio.timeout(10):
        with closing(sqlite3.connect(database, uri=True)) as connection:
            while True:
                rows = dict(connection.execute("select id, last_event from run"))
                if all(rows.get(run_id, 0) >= seen[-1][0] for run_id, seen in begun.items()):
                    return
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("end", ["kill -9", "SIGTERM"])
async def test_what_was_being_made_when_sgoped_ended_is_interrupted_with_its_text(
    session: aiohttp.ClientSession, start_daemon: StartDaemon, upstream: Upstream, end: str
) -> None:
    first = await asyncio.to_thread(start_daemon, environment=ENVIRONMENT)
    page = Page(session, first.url)
    begun = await begin_four(page, await served(page, upstream), upstream)
    *cut, whole = begun
    if end == "kill -9":
        await written(first, begun)
        await asyncio.to_thread(first.kill)
    else:
        async with asyncio.timeout(5):
            assert await asyncio.to_thread(first.stop) == 0

    second = await asyncio.to_thread(start_daemon, first.home)
    page = Page(session, second.url)
    runs = {run["id"]: run for run in (await page.get("/api/runs"))["runs"]}
    assert list(runs) == list(reversed(begun))
    for run_id in cut:
        assert runs[run_id]["state"] == "interrupted"
        assert runs[run_id]["end_message"].startswith("interrupted")
        events = await follow(page, run_id)
        assert events[: len(begun[run_id])] == begun[run_id]
        assert events[-1][1]["type"] == "error"
        assert events[-1][1]["message"].startswith("interrupted")
        shown = [event for _, event in events]
        check_events(shown)
        assert text_of(shown).count("<think>") == text_of(shown).count("</think>")
        for after in (begun[run_id][-1][0], events[-1][0], events[-1][0] + 50):
            assert (await follow(page, run_id, after=after))[-1] == events[-1]
    texts = [(await run_of(page, run_id))["text"] for run_id in begun]
    assert texts == ["Hello, ", "Hello, ", "", "Hello, world"]
    assert await follow(page, whole) == begun[whole]
    assert (await page.get("/api/runs", state="live"))["runs"] == []
    assert (await page.get("/api/chat/status"))["streams"] == []


async def test_none_is_kept_where_none_is_to_be_kept(
    session: aiohttp.ClientSession, start_daemon: StartDaemon, upstream: Upstream
) -> None:
    first = await asyncio.to_thread(start_daemon, environment={"SGOPED_MAX_KEPT_RUNS": "0"})
    page = Page(session, first.url)
    model = await served(page, upstream)
    run_id, seen = await begin(page, model)
    assert await follow(page, run_id) == seen
    assert await asyncio.to_thread(first.stop) == 0
    second = await asyncio.to_thread(start_daemon, first.home)
    page = Page(session, second.url)
    assert (await page.get("/api/runs"))["runs"] == []
    await page.get(f"/api/runs/{run_id}", status=404)
