"""Kept conversations: with each dialect, over restarts and kills, and gone when deleted."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.conftest import StartDaemon
from tests.e2e.conftest import Model
from tests.e2e.page import Page, text_of
from tests.e2e.upstream import Upstream
from tests.fakes.scripts import Script
from tests.processes import DaemonProcess

MARKER = "Capybara-90125"
ALL = "/api/conversations"


def sent(upstream: Upstream) -> list[tuple[str, str]]:
    """The messages of the last chat."""
    chats = [each for each in upstream.requests if "messages" in (each.body or {})]
    return [(each["role"], each["content"]) for each in chats[-1].body["messages"]]


async def with_service(page: Page, upstream: Upstream) -> None:
    config = {"name": "Local", "host": upstream.url, "models": ["beta"]}
    body = {"service_id": "local", "service_type": "ollama", "config": config}
    await page.post("/api/services/add", body)


async def kept(page: Page, conversation: str) -> list[tuple[str, str]]:
    """The text and state of each message."""
    shown = await page.get(f"{ALL}/{conversation}")
    return [(each["text"], each["state"]) for each in shown["messages"]]


def holding(home: Path, text: str) -> list[str]:
    """The files below that hold a text."""
    return [
        path.name
        for path in home.rglob("*")
        if path.is_file() and text.encode() in path.read_bytes()
    ]


async def test_a_conversation_goes_on_and_the_page_may_do_all_with_it(
    page: Page, model: Model, upstream: Upstream, folder: Path
) -> None:
    conversation = f"with-{model.dialect}"
    for text in ("one", "two"):
        events = await page.chat(text, model=model.id, conversation_id=conversation)
        assert text_of(events) == "Hello, world"
    assert sent(upstream) == [("user", "one"), ("assistant", "Hello, world"), ("user", "two")]
    fork = await page.post(f"{ALL}/{conversation}/fork", {"at": 1})
    await page.call("PATCH", f"{ALL}/{conversation}", {"title": f"Of {model.dialect}"})
    found = await page.get(ALL, q=f"of {model.dialect}")
    assert [each["id"] for each in found["conversations"]] == [conversation]
    saved = await page.post(f"{ALL}/{conversation}/export", {})
    assert (folder / saved["path"]).read_text().startswith(f"# Of {model.dialect}\n")
    for each in (conversation, fork["id"]):
        await page.delete(f"{ALL}/{each}")
    await page.get(f"{ALL}/{conversation}", status=404)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "kill -9"])
async def test_a_conversation_goes_on_after_the_end_of_the_process(
    session: aiohttp.ClientSession,
    start_daemon: StartDaemon,
    upstream: Upstream,
    end: signal.Signals,
) -> None:
    first = await asyncio.to_thread(start_daemon)
    page = Page(session, first.url)
    await with_service(page, upstream)
    await page.chat("one", conversation_id="c")
    before = await page.get(f"{ALL}/c")
    await asyncio.to_thread(first.stop, end)
    second = await asyncio.to_thread(start_daemon, first.home)
    page = Page(session, second.url)
    assert await page.get(f"{ALL}/c") == before
    await page.chat("two", conversation_id="c")
    assert sent(upstream) == [("user", "one"), ("assistant", "Hello, world"), ("user", "two")]


async def test_a_kill_after_a_message_was_accepted_does_not_lose_it(
    session: aiohttp.ClientSession, start_daemon: StartDaemon, upstream: Upstream
) -> None:
    first = await asyncio.to_thread(start_daemon)
    page = Page(session, first.url)
    await with_service(page, upstream)
    upstream.behave(Script(gate_at=-1))
    async with page.stream("do not lose me", conversation_id="c"):
        await upstream.asked()
        await asyncio.to_thread(first.kill)
    upstream.forget()
    second = await asyncio.to_thread(start_daemon, first.home)
    page = Page(session, second.url)
    (asked, answer) = await kept(page, "c")
    assert asked == ("do not lose me", "complete")
    assert answer[1] == "interrupted"
    await page.chat("go on", conversation_id="c")
    assert [text for _, text in sent(upstream)][-1] == "go on"
    assert sent(upstream)[0] == ("user", "do not lose me")


async def test_what_was_stopped_by_the_end_of_the_daemon_is_interrupted_with_its_text(
    session: aiohttp.ClientSession, start_daemon: StartDaemon, upstream: Upstream
) -> None:
    first = await asyncio.to_thread(start_daemon)
    page = Page(session, first.url)
    await with_service(page, upstream)
    upstream.behave(Script(("half of it", "rest"), gate_at=1))
    async with page.stream("tell me", conversation_id="c") as stream:
        await stream.until("content")
        await asyncio.to_thread(first.stop)
    upstream.forget()
    second = await asyncio.to_thread(start_daemon, first.home)
    assert await kept(Page(session, second.url), "c") == [
        ("tell me", "complete"),
        ("half of it", "interrupted"),
    ]


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "kill -9"])
async def test_what_is_deleted_is_in_no_file_any_more(
    session: aiohttp.ClientSession,
    start_daemon: StartDaemon,
    upstream: Upstream,
    end: signal.Signals,
) -> None:
    daemon = await asyncio.to_thread(start_daemon)
    page = Page(session, daemon.url)
    await with_service(page, upstream)
    upstream.behave(Script((f"{MARKER}, ",) * 500))
    await page.chat(f"what of {MARKER}?", conversation_id="c")
    await page.chat("what else?", conversation_id="kept")
    await asyncio.to_thread(daemon.stop)
    found = holding(daemon.home, MARKER)
    assert "state.db" in found
    assert len([name for name in found if name.startswith("state-")]) == 2  # backups
    daemon = await asyncio.to_thread(start_daemon, daemon.home)
    page = Page(session, daemon.url)
    upstream.behave(Script())
    await page.chat("once more", conversation_id="c")
    await page.delete(f"{ALL}/kept")
    await page.delete(f"{ALL}/c")
    assert holding(daemon.home, MARKER) == []
    await asyncio.to_thread(daemon.stop, end)
    again = await asyncio.to_thread(start_daemon, daemon.home)
    page = Page(session, again.url)
    assert await page.get(ALL) == {"conversations": [], "total": 0, "next": None}
    assert await page.get("/api/services") != {}
    assert holding(daemon.home, MARKER) == []
    assert MARKER not in daemon.log()


async def test_a_damaged_file_costs_no_conversation_that_was_backed_up(
    session: aiohttp.ClientSession, start_daemon: StartDaemon, upstream: Upstream
) -> None:
    first = await asyncio.to_thread(start_daemon)
    page = Page(session, first.url)
    await with_service(page, upstream)
    await page.chat("one", conversation_id="c")
    await asyncio.to_thread(first.stop)
    (file,) = first.home.rglob("state.db")
    file.write_bytes(b"no database" * 1000)
    second = await asyncio.to_thread(start_daemon, first.home)
    assert await kept(Page(session, second.url), "c") == [
        ("one", "complete"),
        ("Hello, world", "complete"),
    ]


async def test_a_change_of_a_conversation_is_told_to_other_windows(
    page: Page, services: dict[str, str], shared: DaemonProcess
) -> None:
    async with page.events() as events, asyncio.timeout(20):
        await page.chat("hello", model=services["ollama"], conversation_id="told")
        seen = [
            await events.until("conversation_changed", conversation_id="told") for _ in range(2)
        ]
    assert [each["what"] for each in seen] == ["created", "extended"]
    assert json.dumps(seen).count("hello") == 0
    await page.delete(f"{ALL}/told")


async def test_what_is_deleted_while_the_daemon_goes_on_is_in_no_file_at_once(
    session: aiohttp.ClientSession, start_daemon: StartDaemon, upstream: Upstream
) -> None:
    daemon = await asyncio.to_thread(start_daemon)
    page = Page(session, daemon.url)
    await with_service(page, upstream)
    upstream.behave(Script((f"{MARKER}, ",) * 500))
    for number in range(3):
        await page.chat(f"what of {MARKER} {number}?", conversation_id="c")
    alone = await page.chat(f"and of {MARKER} alone?")
    assert text_of(alone).startswith(MARKER)
    await asyncio.sleep(1.5)  # until all is written
    assert "state.db" in holding(daemon.home, MARKER) or "state.db-wal" in holding(
        daemon.home, MARKER
    )
    runs = (await page.get("/api/runs"))["runs"]
    await page.delete(f"/api/runs/{runs[0]['id']}")
    await page.delete(f"{ALL}/c")
    assert holding(daemon.home, MARKER) == []
    assert (await page.get("/api/runs"))["runs"] == []
