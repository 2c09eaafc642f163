"""The wire in a real browser: preflights, the reader of streams, errors that a page can read."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web  # noqa: TID251 - serves the page

from tests import processes
from tests.conftest import StartDaemon
from tests.e2e.upstream import Upstream
from tests.fakes.scripts import Script
from tests.processes import DaemonProcess

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-features=OptimizationHints,MediaRouter,Translate",
)
ONLY_LOOPBACK = "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"
PAGE = """<!doctype html><meta charset="utf-8"><title>page</title><script>
const daemon = new URLSearchParams(location.search).get("daemon");
const headers = {"Content-Type": "application/json"};
async function call(method, path, body) {
  const options = {method, headers, body: body && JSON.stringify(body)};
  const response = await fetch(daemon + path, options);
  return {
    status: response.status,
    total: response.headers.get("X-Total-Count"),
    body: await response.json(),
  };
}
async function chat(message, fields, onEvent) {
  const body = JSON.stringify({message, attachments: [], model: "", ...fields});
  const response = await fetch(daemon + "/api/chat/stream", {method: "POST", headers, body});
  const reader = response.body.getReader(), decoder = new TextDecoder(), events = [];
  let buffer = "";
  for (;;) {
    const {done, value} = await reader.read();
    if (done) return {status: response.status, events};
    buffer += decoder.decode(value, {stream: true});
    const lines = buffer.split("\\n");
    buffer = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data: ")) continue;
      events.push(JSON.parse(line.slice(6)));
      if (onEvent) await onEvent(events.at(-1));
    }
  }
}
async function told(work) {
  try { return await work(); } catch (error) { return {refused: String(error)}; }
}
async function main() {
  const results = {};
  results.services = await told(() => call("GET", "/api/services"));
  results.files = await told(() => call("GET", "/api/files"));
  results.missing = await told(() => call("GET", "/api/files/content?path=missing.md"));
  results.invalid = await told(() => call("POST", "/api/models/default", {}));
  results.removed = await told(() => call("DELETE", "/api/services/unknown"));
  results.put = await told(() => call("PUT", "/api/services/unknown", {}));
  results.chat = await told(() => chat("hello", {stream_id: "one"}));
  results.failed = await told(() => chat("hello", {stream_id: "two", model: "nobody"}));
  results.stopped = await told(() => chat("stop me", {stream_id: "three"}, async (event) => {
    if (event.type === "content") await call("POST", "/api/chat/stop", {stream_id: "three"});
  }));
  results.socket = await new Promise((resolve) => {
    const socket = new WebSocket(daemon.replace("http", "ws") + "/ws/suggestions");
    socket.onopen = () => socket.send(JSON.stringify({type: "files", query: "tulip"}));
    socket.onmessage = (message) => resolve(JSON.parse(message.data));
    socket.onerror = () => resolve({refused: "error"});
  });
  await fetch("/result", {method: "POST", body: JSON.stringify(results)});
}
main();
</script>"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


class Site:
    """A static page on a loopback port, which reports what it was told by the daemon."""

    def __init__(self) -> None:
        self.results: asyncio.Queue[Any] = asyncio.Queue()
        self.port = 0

    async def show(self, request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def take(self, request: web.Request) -> web.Response:
        await self.results.put(await request.json())
        return web.json_response({})


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    app = web.Application()
    app.router.add_get("/", site.show)
    app.router.add_post("/result", site.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.port = int(runner.addresses[0][1])
    yield site
    await runner.cleanup()


@pytest.fixture
async def known(start_daemon: StartDaemon, site: Site, upstream: Upstream) -> DaemonProcess:
    """A daemon that knows the page's origin, a model and a file."""
    environment = {
        "SGOPED_ALLOWED_ORIGINS": f"http://localhost:{site.port}",
        "OLLAMA_HOST": upstream.url,
        "DEFAULT_MODEL": "beta",
    }
    daemon = await asyncio.to_thread(start_daemon, environment=environment)
    (daemon.memory_dir / "tulips.md").write_text("Tulips.\n")
    for path in ("/api/refresh", "/api/models/refresh"):
        status, _ = await asyncio.to_thread(daemon.request, "POST", path, {})
        assert status == 200
    return daemon


async def open_in_browser(site: Site, address: str, profile: Path) -> Any:
    """What the page at ``address`` reports."""
    assert CHROMIUM is not None
    profile.mkdir()
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *FLAGS,
        f"--user-data-dir={profile}",
        f"--host-resolver-rules={ONLY_LOOPBACK}",
        address,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=processes.clean_environment(profile),
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(40):
            return await site.results.get()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def test_a_page_of_an_allowed_origin_uses_everything(
    site: Site, known: DaemonProcess, upstream: Upstream, tmp_path: Path
) -> None:
    def respond(prompt: str) -> Script:
        return Script(gate_at=1) if "stop me" in prompt else Script(("Grüße", " 😀"))

    upstream.respond(respond)
    address = f"http://localhost:{site.port}/?daemon=http://localhost:{known.port}"
    results = await open_in_browser(site, address, tmp_path / "profile")
    assert results["services"]["status"] == 200
    assert set(results["services"]["body"]) == {"ollama"}
    assert results["files"]["total"] == "1"
    for name, status in (("missing", 404), ("invalid", 422), ("removed", 404), ("put", 422)):
        assert results[name]["status"] == status
        assert set(results[name]["body"]) == {"detail", "code"}
    assert results["chat"]["status"] == 200
    kinds = [event["type"] for event in results["chat"]["events"]]
    assert (kinds[0], kinds[-1]) == ("start", "complete")
    said = [event.get("content", "") for event in results["chat"]["events"]]
    assert "".join(said) == "Grüße 😀"
    assert results["failed"]["events"][-1]["type"] == "error"
    assert results["stopped"]["events"][-1]["type"] == "cancelled"
    assert results["socket"]["suggestions"][0]["label"] == "tulips.md"
    await upstream.client_closed()


async def test_a_page_of_another_origin_reads_and_does_nothing(
    site: Site, known: DaemonProcess, upstream: Upstream, tmp_path: Path
) -> None:
    """The same page, but by an address that is not allowed."""
    address = f"http://127.0.0.1:{site.port}/?daemon=http://localhost:{known.port}"
    results = await open_in_browser(site, address, tmp_path / "profile")
    assert results
    for name, result in results.items():
        assert set(result) == {"refused"}, name
    assert upstream.prompts == []


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("/", "documents, 100% done"),
        ("/docs", "/api/services/{service_id}"),
        ("/docs#write_content", "Try it"),
        ("/health", '"status":"healthy"'),
    ],
)
async def test_the_daemon_s_own_pages_work_under_their_policy(
    known: DaemonProcess, tmp_path: Path, address: str, shown: str
) -> None:
    """Scripts, styles and calls of their own run; the browser has nothing to refuse."""
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *FLAGS,
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--host-resolver-rules={ONLY_LOOPBACK}",
        "--enable-logging=stderr",
        "--virtual-time-budget=10000",
        "--dump-dom",
        f"http://localhost:{known.port}{address}",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=processes.clean_environment(tmp_path),
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(60):
            page, log = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert shown in page.decode()
    console = [line for line in log.decode(errors="replace").splitlines() if "CONSOLE" in line]
    assert console == []
