"""Services, the default model, files and knowledge survive the end of the process."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.conftest import StartDaemon
from tests.e2e.conftest import KEY
from tests.e2e.page import Page, text_of
from tests.e2e.upstream import Upstream
from tests.processes import DaemonProcess


async def fill(page: Page, upstream: Upstream) -> Path:
    """Services, a default model, a file with a version, and knowledge; says where that is."""
    base = {"base_url": f"{upstream.url}/v1", "models": ["alpha:latest", "beta"]}
    config = {"name": "Cloud", "api_key": KEY, **base}
    service = {"service_id": "cloud", "service_type": "openai", "config": config}
    await page.post("/api/services/add", service)
    gone = {"name": "Gone", "host": "http://127.0.0.1:9", "models": ["m"]}
    for service_id in ("down", "removed"):
        body = {"service_id": service_id, "service_type": "ollama", "config": gone}
        await page.post("/api/services/add", body)
    await page.delete("/api/services/removed")
    await page.post("/api/models/default", {"model": "cloud/beta"})
    await page.post("/api/files/content", {"path": "note.md", "content": "A heron.\n"})
    await page.post("/api/files/content", {"path": "note.md", "content": "Two herons.\n"})
    events = await page.chat("Storks clatter.", selected_action="add_knowledge")
    (done,) = [event for event in events if event["type"] == "action_complete"]
    return Path(done["result"]["path"])


async def check_services(page: Page) -> None:
    await page.post("/api/models/refresh", {})
    services = await page.get("/api/services")
    assert set(services) == {"cloud", "down"}
    assert services["cloud"]["status"] == "online"
    assert services["cloud"]["config"]["api_key"] == "stored:cloud"
    assert services["down"]["models"] == ["m"]
    assert (await page.get("/api/models"))["default_model"] == "cloud/beta"
    assert text_of(await page.chat("hello")) == "Hello, world"


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "kill -9"])
async def test_everything_survives_the_end_of_the_process(
    session: aiohttp.ClientSession,
    start_daemon: StartDaemon,
    upstream: Upstream,
    end: signal.Signals,
) -> None:
    upstream.set_up(key=KEY)
    first = await asyncio.to_thread(start_daemon)
    page = Page(session, first.url)
    knowledge = str(await fill(page, upstream))
    versions = await page.get("/api/files/versions", path="note.md")
    listed = {item["id"] for item in await page.get("/api/files")}
    code = await asyncio.to_thread(first.stop, end)
    assert code == (0 if end is signal.SIGTERM else -signal.SIGKILL)

    second = await asyncio.to_thread(start_daemon, first.home)
    page = Page(session, second.url)
    await check_services(page)
    await page.post("/api/refresh", {})
    note = await page.get("/api/files/content", path="note.md")
    assert note["content"] == "Two herons.\n"
    assert await page.get("/api/files/versions", path="note.md") == versions
    assert {item["id"] for item in await page.get("/api/files")} == listed
    kept = await page.get("/api/files/content", path=knowledge)
    assert "Storks clatter." in kept["content"]
    hits = (await page.get("/api/search", q="clatter"))["hits"]
    assert [hit["path"] for hit in hits] == [knowledge]
    assert KEY not in first.log() + second.log()


async def test_what_changed_while_it_was_away_is_known(
    session: aiohttp.ClientSession, daemon: DaemonProcess, start_daemon: StartDaemon
) -> None:
    folder = daemon.memory_dir
    for name in ("stays.md", "goes.md", "changes.md"):
        (folder / name).write_text("as before\n")
    page = Page(session, daemon.url)
    await page.post("/api/refresh", {})
    await asyncio.to_thread(daemon.stop)
    (folder / "goes.md").unlink()
    (folder / "changes.md").write_text("entirely cormorants\n")
    (folder / "comes.md").write_text("new\n")
    again = await asyncio.to_thread(start_daemon, daemon.home)
    page = Page(session, again.url)
    await page.post("/api/refresh", {})
    paths = {item["metadata"]["path"] for item in await page.get("/api/files")}
    assert paths == {"stays.md", "changes.md", "comes.md"}
    hits = (await page.get("/api/search", q="cormorants"))["hits"]
    assert [hit["path"] for hit in hits] == ["changes.md"]
