"""A summary that no model could make is made when one is up, over kills and restarts."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

import aiohttp
import pytest

from tests.conftest import StartDaemon
from tests.e2e.page import Page
from tests.e2e.upstream import Upstream
from tests.fakes.scripts import Script

TEXT = "Storks clatter with their beaks on every chimney of the village. " * 3
ENDED = ("done", "skipped", "failed")


async def save(page: Page, name: str) -> str:
    events = await page.chat(
        TEXT, selected_action="add_knowledge", knowledge_filename=name, model="s/beta"
    )
    (done,) = [event for event in events if event["type"] == "action_complete"]
    return str(done["result"]["path"])


async def ended(session: aiohttp.ClientSession, page: Page, count: int) -> list[dict[str, Any]]:
    """All that waited, once so many have ended; told by the daemon's own events."""
    over: set[str] = set()
    async with asyncio.timeout(60), session.get(f"{page.url}/api/events?after=0") as stream:
        async for line in stream.content:
            event = json.loads(line[6:]) if line.startswith(b"data: ") else {}
            if event.get("type") == "enrichment_changed" and event["state"] in ENDED:
                over.add(event["enrichment_id"])
            if len(over) >= count:
                break
    rows: list[dict[str, Any]] = await page.get("/api/enrichments")
    return rows


async def save_two_while_down(page: Page, upstream: Upstream, kind: str) -> tuple[str, str]:
    """Two files of a service that is down, the second of which is then changed."""
    place = {"host": upstream.url} if kind == "ollama" else {"base_url": f"{upstream.url}/v1"}
    config = {"name": "S", "models": ["beta"], **place}
    body = {"service_id": "s", "service_type": kind, "config": config}
    await page.post("/api/services/add", body)
    await page.post("/api/models/refresh", {})
    upstream.behave(Script(("Of ", "storks.")))
    upstream.go_down()
    path, changed = await save(page, "kept"), await save(page, "changed")
    await page.post("/api/files/content", {"path": changed, "content": "Mine.\n"})
    assert await states(page) == [(path, "queued"), (changed, "queued")]
    return path, changed


async def states(page: Page) -> list[tuple[str, str]]:
    return [(row["path"], row["state"]) for row in await page.get("/api/enrichments")]


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "kill -9"])
@pytest.mark.parametrize("kind", ["ollama", "openai"])
async def test_a_summary_is_added_when_the_service_is_up_again_unless_the_file_was_changed(
    *,
    session: aiohttp.ClientSession,
    start_daemon: StartDaemon,
    upstream: Upstream,
    kind: str,
    end: signal.Signals,
) -> None:
    daemon = await asyncio.to_thread(start_daemon)
    try:
        path, changed = await save_two_while_down(Page(session, daemon.url), upstream, kind)
        await asyncio.to_thread(daemon.stop, end)
        daemon = await asyncio.to_thread(start_daemon, daemon.home)
        page = Page(session, daemon.url)
        assert await states(page) == [(path, "queued"), (changed, "queued")]
    finally:
        upstream.come_back()
    rows = await ended(session, page, 2)
    assert [(row["state"], row["why"]) for row in rows] == [("done", ""), ("skipped", "changed")]
    kept = (await page.get("/api/files/content", path=path))["content"]
    assert "## Summary\n\n> Of storks.\n" in kept
    assert TEXT.strip() in kept
    assert (await page.get("/api/files/content", path=changed))["content"] == "Mine.\n"

    await asyncio.to_thread(daemon.stop, end)
    daemon = await asyncio.to_thread(start_daemon, daemon.home)
    page = Page(session, daemon.url)
    await page.post("/api/models/refresh", {})
    assert await page.get("/api/enrichments") == rows
    assert (await page.get("/api/files/content", path=path))["content"] == kept
    assert len(upstream.prompts) == 1
