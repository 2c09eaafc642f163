"""Section 0: what holds for every endpoint."""

from __future__ import annotations

import io
import json
from typing import Any

import aiohttp
import pytest

from tests.e2e.page import ORIGIN, Page, check_error
from tests.e2e.upstream import Upstream
from tests.fakes.scripts import Script
from tests.processes import DaemonProcess
from tests.web import raw

ORIGINS = [
    ORIGIN,
    "http://127.0.0.1:3000",
    "tauri://localhost",
    "http://tauri.localhost",
    "https://tauri.localhost",
]
CALLS = [
    ("GET", "/api/services"),
    ("GET", "/api/models"),
    ("POST", "/api/services/test"),
    ("POST", "/api/services/add"),
    ("PUT", "/api/services/local"),
    ("DELETE", "/api/services/local"),
    ("POST", "/api/models/default"),
    ("POST", "/api/models/refresh"),
    ("GET", "/api/models/local/beta/health"),
    ("GET", "/api/files"),
    ("GET", "/api/files/content"),
    ("POST", "/api/files/content"),
    ("GET", "/api/actions"),
    ("POST", "/api/actions/execute"),
    ("GET", "/api/stats"),
    ("POST", "/api/refresh"),
    ("GET", "/health"),
    ("GET", "/api/health"),
    ("POST", "/api/generate-filename"),
    ("POST", "/api/chat/stream"),
    ("POST", "/api/chat/stop"),
    ("GET", "/api/chat/status"),
    ("GET", "/api/conversations"),
    ("PATCH", "/api/conversations/some"),
    ("DELETE", "/api/conversations/some"),
    ("POST", "/api/conversations/some/fork"),
]
MIB = 2**20


@pytest.mark.parametrize("origin", ORIGINS)
async def test_every_call_may_be_made_from_each_of_the_page_s_origins(
    session: aiohttp.ClientSession, shared: DaemonProcess, origin: str
) -> None:
    page = Page(session, shared.url, origin)
    for method, path in CALLS:
        await page.preflight(method, path)
    await page.get("/api/services")
    assert (await page.chat("hello"))[-1]["type"] == "complete"


async def test_the_page_may_name_the_daemon_by_either_address(
    session: aiohttp.ClientSession, shared: DaemonProcess
) -> None:
    for host in ("localhost", "127.0.0.1", "[::1]"):
        for origin in ORIGINS[:2]:
            page = Page(session, f"http://{host}:{shared.port}", origin)
            assert (await page.get("/health"))["status"] == "healthy"


async def test_a_preflight_touches_nothing(
    page: Page, services: dict[str, str], upstream: Upstream
) -> None:
    for method, path in CALLS:
        await page.preflight(method, path)
    await page.preflight("GET", "/api/no/such/address")
    assert set(await page.get("/api/services")) == {"local", "cloud"}
    assert (await page.get("/api/chat/status"))["active_streams"] == 0
    assert upstream.requests == []


async def send(
    page: Page, method: str, path: str, data: str | None, **headers: str
) -> tuple[int, Any]:
    """A call that the page would not make, yet with its origin."""
    sent = {**page.headers(), **headers}
    body = None if data is None else io.BytesIO(data.encode())
    async with page.session.request(method, page.url + path, data=body, headers=sent) as response:
        page.check_cors(response.headers)
        assert response.content_type == "application/json"
        answer = await response.json()
        return response.status, answer


@pytest.mark.parametrize(
    ("method", "path", "data", "status"),
    [
        ("GET", "/api/nothing", None, 404),
        ("GET", "/api/files/content?path=missing.md", None, 404),
        ("DELETE", "/api/services/missing", None, 404),
        ("POST", "/api/models/default", '{"model": "missing"}', 404),
        ("POST", "/api/actions/execute", '{"action_id": "missing"}', 404),
        ("GET", "/api/conversations/missing", None, 404),
        ("DELETE", "/api/conversations/missing", None, 404),
        ("POST", "/api/conversations/missing/fork", '{"at": 0}', 422),
        ("PUT", "/api/services", "{}", 405),
        ("GET", "/api/files?limit=many", None, 422),
        ("GET", "/api/files/content", None, 422),
        ("POST", "/api/chat/stream", '{"text": "hello"}', 422),
        ("POST", "/api/services/add", '{"service_id": "x"}', 422),
        ("POST", "/api/chat/stop", "[]", 400),
        ("POST", "/api/chat/stop", '{"stream_id": ', 400),
        ("POST", "/api/chat/stop", "", 400),
        ("POST", "/api/chat/stop", '{"stream_id": "\\ud800"}', 400),
        ("POST", "/api/chat/stop", '{"stream_id": "x", "n": NaN}', 400),
        ("POST", "/api/chat/stop", '{"stream_id": ' + "[" * 100_000, 400),
        ("POST", "/api/chat/stop", '{"stream_id": ' + "9" * 5000 + "}", 400),
        ("POST", "/api/chat/stop", '{"stream_id": "' + "x" * 2 * MIB + '"}', 413),
    ],
)
async def test_wrong_input_is_an_error_that_the_page_can_read(
    page: Page, method: str, path: str, data: str | None, status: int
) -> None:
    found, answer = await send(page, method, path, data)
    assert found == status, answer
    check_error(answer)


async def test_only_json_is_taken(page: Page) -> None:
    body = json.dumps({"stream_id": "x"})
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        status, answer = await send(page, "POST", "/api/chat/stop", body, **{"Content-Type": kind})
        assert status == 415
        check_error(answer)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:3001", ""])
async def test_another_origin_reads_and_does_nothing(
    page: Page, services: dict[str, str], upstream: Upstream, origin: str
) -> None:
    for method, path in CALLS:
        async with page.session.request(
            method, page.url + path, data="{}", headers={**page.headers(), "Origin": origin}
        ) as response:
            assert response.status == 403
            assert "Access-Control-Allow-Origin" not in response.headers
        asked = {"Origin": origin, "Access-Control-Request-Method": method}
        async with page.session.options(page.url + path, headers=asked) as response:
            assert "Access-Control-Allow-Origin" not in response.headers
    assert set(await page.get("/api/services")) == {"local", "cloud"}
    assert upstream.requests == []


@pytest.mark.parametrize("host", ["evil.example", "0.0.0.0", "localhost.", ""])
async def test_another_host_name_reads_nothing(shared: DaemonProcess, host: str) -> None:
    named = f"{host}:{shared.port}" if host else ""
    for _, path in [call for call in CALLS if call[0] == "GET"]:
        answer = await raw.send(shared.port, raw.build("GET", path, [("Host", named)]))
        assert answer.status in (400, 403)


async def test_every_success_has_a_json_body(page: Page, services: dict[str, str]) -> None:
    """``Page`` demands it of every answer; here of all that need no preparation."""
    for path in [path for method, path in CALLS if method == "GET" and "content" not in path]:
        await page.get(path)
    for path in ("/api/models/refresh", "/api/refresh"):
        await page.post(path, {})
    await page.stop("unknown")
    await page.post("/api/models/default", {"model": services["ollama"]})


async def test_uploads_travel_in_the_chat(
    page: Page, services: dict[str, str], upstream: Upstream
) -> None:
    """Four files of 5 MB, and escaping doubles some of it."""
    line = 'a "quoted" line with a \\ and a tab\t in it\n'
    content = line * (5_000_000 // len(line))
    files = [
        {"type": "file", "name": f"upload{n}.txt", "content": content, "size": len(content)}
        for n in range(4)
    ]
    events = await page.chat(
        "what is it?", model=services["openai"], attachments=files, events="typed"
    )
    assert events[-1]["type"] == "complete"
    assert all(f"upload{n}.txt" in upstream.prompts[0] for n in range(4))
    (told,) = [event for event in events if event["type"] == "context"]
    assert all(item["omitted"] for item in told["items"])


async def test_more_than_64_mib_is_refused_before_it_is_sent(shared: DaemonProcess) -> None:
    headers = [
        ("Host", f"localhost:{shared.port}"),
        ("Origin", ORIGIN),
        ("Content-Type", "application/json"),
        ("Content-Length", str(64 * MIB + 1)),
    ]
    answer = await raw.send(shared.port, raw.build("POST", "/api/chat/stream", headers))
    assert answer.status == 413
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    check_error(answer.json())


async def test_what_a_page_load_asks_never_asks_an_upstream(
    page: Page, services: dict[str, str], upstream: Upstream
) -> None:
    upstream.behave(Script(fault="stall_early", fault_on=("models", "show", "chat")))
    for _ in range(3):
        await page.get("/api/services")
        await page.get("/api/models")
        await page.get("/api/stats")
        await page.get("/health")
    assert upstream.requests == []
