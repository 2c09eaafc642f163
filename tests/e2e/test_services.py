"""Section 1: services."""

from __future__ import annotations

import json
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import StartDaemon
from tests.e2e.conftest import KEY
from tests.e2e.page import Page
from tests.e2e.upstream import Upstream
from tests.fakes.scripts import Script
from tests.processes import DaemonProcess

# A question that hangs is given up by this daemon after this long.
ENVIRONMENT = {"SGOPED_IDLE_TIMEOUT_SECONDS": "2"}
FIELDS = {
    "id": str,
    "type": str,
    "name": str,
    "enabled": bool,
    "available": bool,
    "models": list,
    "status": str,
    "config": dict,
}
MARKS = ("401", "Authentication", "403", "404", "Connection", "timeout")


def ollama(upstream: Upstream, **more: object) -> dict[str, object]:
    config = {"name": "Here", "host": upstream.url, **more}
    return {"service_type": "ollama", "config": config}


def openai(upstream: Upstream, **more: object) -> dict[str, object]:
    config = {
        "name": "There",
        "base_url": f"{upstream.url}/v1",
        "api_key": KEY,
        "models": [],
        **more,
    }
    return {"service_type": "openai", "config": config}


async def add(page: Page, service_id: str, body: dict[str, object]) -> Any:
    await page.post("/api/services/add", {"service_id": service_id, **body})
    return (await page.get("/api/services"))[service_id]


@pytest.fixture
def silent() -> Iterator[int]:
    """A port where connections are taken and never answered."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port where nobody listens, and nobody else can."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


async def test_the_first_start_is_a_clean_slate(
    session: aiohttp.ClientSession, daemon: DaemonProcess
) -> None:
    page = Page(session, daemon.url)
    assert await page.get("/api/services") == {}
    assert await page.get("/api/models") == {
        "all_models": [],
        "default_model": None,
        "services": {},
    }
    stats = await page.get("/api/stats")
    assert stats["llm_services"] == {"default_model": "", "all_models": [], "services": {}}
    assert await page.get("/api/files") == []
    for path in ("/health", "/api/health"):
        health = await page.get(path)
        assert (health["status"], health["services"]) == ("healthy", {})
        assert health["watcher"]["state"] in ("native", "polling")
        assert {"generation", "documents", "pending", "verified", "progress"} <= set(
            health["index"]
        )


@pytest.mark.parametrize("where", ["environment", ".env"])
async def test_the_environment_may_name_services(
    session: aiohttp.ClientSession,
    start_daemon: StartDaemon,
    upstream: Upstream,
    tmp_path: Path,
    where: str,
) -> None:
    upstream.set_up(key=KEY)
    given = {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"{upstream.url}/v1",
        "OPENAI_MODELS": "alpha:latest,gamma",
        "OLLAMA_HOST": f"127.0.0.1:{upstream.port}",
        "DEFAULT_MODEL": "gamma",
    }
    home = tmp_path / "home"
    if where == ".env":
        (home / "config").mkdir(parents=True)
        lines = "".join(f'{name}="{value}"\n' for name, value in given.items())
        (home / "config" / ".env").write_text(lines)
    daemon = start_daemon(home, environment=given if where == "environment" else {})
    page = Page(session, daemon.url)
    listed = await page.get("/api/services")
    assert {service["type"] for service in listed.values()} == {"ollama", "openai"}
    (cloud,) = [service for service in listed.values() if service["type"] == "openai"]
    assert cloud["models"] == ["alpha:latest", "gamma"]
    models = await page.post("/api/models/refresh", {})
    default = [model for model in models["all_models"] if model["is_default"]]
    assert [(model["name"], model["service"]) for model in default] == [("gamma", cloud["id"])]
    assert models["default_model"] == default[0]["id"]
    assert models["services"][cloud["id"]]["status"] == "online"
    assert KEY not in "".join(page.seen) + daemon.log()


async def test_a_service_shows_all_that_the_page_needs(page: Page, upstream: Upstream) -> None:
    await add(page, "one", ollama(upstream))
    await add(page, "two", openai(upstream, models=["beta"]))
    await page.post("/api/models/refresh", {})
    listed = await page.get("/api/services")
    for service_id, service in listed.items():
        assert service["id"] == service_id
        for name, kind in FIELDS.items():
            assert type(service[name]) is kind
        assert service["enabled"]
        assert service["available"]
        assert service["status"] == "online"
        assert service["config"]["name"] == service["name"]
    assert listed["one"]["config"]["host"] == upstream.url
    assert listed["two"]["config"]["base_url"] == f"{upstream.url}/v1"
    assert listed["two"]["config"]["models"] == ["beta"]
    assert listed["two"]["config"]["api_key"] == "stored:two"


async def test_an_unprobed_service_is_configured_and_a_failed_one_says_why(
    page: Page, upstream: Upstream, deaf: int
) -> None:
    upstream.behave(Script(fault="stall_early", fault_on=("models",)))
    assert (await add(page, "new", ollama(upstream)))["status"] == "configured"
    gone: dict[str, object] = {
        "service_type": "openai",
        "config": {"name": "Gone", "base_url": f"http://127.0.0.1:{deaf}/v1", "models": ["m1"]},
    }
    await add(page, "gone", gone)
    await page.delete("/api/services/new")
    await page.post("/api/models/refresh", {})
    service = (await page.get("/api/services"))["gone"]
    assert service["status"].startswith("error: ")
    assert str(deaf) not in service["status"]
    assert not service["available"]
    assert service["models"] == ["m1"]


async def test_with_a_hung_upstream_everything_answers_at_once(
    page: Page, upstream: Upstream, silent: int
) -> None:
    upstream.behave(Script(fault="stall_early", fault_on=("models", "show")))
    await add(page, "hung", ollama(upstream))
    await add(page, "mute", openai(upstream, base_url=f"http://127.0.0.1:{silent}/v1"))
    await upstream.until(lambda server: len(server.requests) > 0)
    asked = len(upstream.requests)
    for path in ("/api/services", "/api/models", "/api/stats", "/health", "/api/files"):
        await page.get(path)
    await page.get("/api/files", q="anything")
    assert len(upstream.requests) == asked
    await page.delete("/api/services/hung")
    await page.delete("/api/services/mute")


async def test_the_same_id_replaces(page: Page, upstream: Upstream) -> None:
    await add(page, "same", ollama(upstream))
    service = await add(page, "same", openai(upstream, name="Other", models=["beta"]))
    assert (service["type"], service["name"], service["models"]) == ("openai", "Other", ["beta"])


async def test_put_changes_a_service(page: Page, upstream: Upstream) -> None:
    await add(page, "changed", openai(upstream, models=["beta"]))
    body = openai(upstream, name="Renamed", models=["alpha:latest"], api_key="stored:changed")
    upstream.set_up(key=KEY)
    await page.put("/api/services/changed", body)
    await page.post("/api/models/refresh", {})
    service = (await page.get("/api/services"))["changed"]
    assert (service["name"], service["models"]) == ("Renamed", ["alpha:latest"])
    assert service["status"] == "online"


async def test_a_deleted_service_is_gone_and_an_unknown_one_is_404(
    page: Page, upstream: Upstream
) -> None:
    await add(page, "short-lived", ollama(upstream))
    await page.delete("/api/services/short-lived")
    assert "short-lived" not in await page.get("/api/services")
    await page.delete("/api/services/short-lived", status=404)


async def test_an_edit_by_delete_and_add_keeps_the_key(page: Page, upstream: Upstream) -> None:
    upstream.set_up(key=KEY)
    shown = (await add(page, "edited", openai(upstream, models=["beta"])))["config"]
    tested = await page.post("/api/services/test", {"service_type": "openai", "config": shown})
    assert tested["success"]
    await page.delete("/api/services/edited")
    tested = await page.post("/api/services/test", {"service_type": "openai", "config": shown})
    assert tested["success"]
    changed = {**shown, "name": "Edited", "models": ["alpha:latest"]}
    service = await add(page, "edited", {"service_type": "openai", "config": changed})
    assert service["config"]["api_key"] == "stored:edited"
    await page.post("/api/models/refresh", {})
    assert (await page.get("/api/services"))["edited"]["status"] == "online"
    events = await page.chat("hello", model="edited/alpha:latest")
    assert events[-1]["type"] == "complete"


async def test_a_stored_key_goes_nowhere_but_where_it_was_given_for(
    page: Page, upstream: Upstream, silent: int
) -> None:
    shown = (await add(page, "guarded", openai(upstream, models=["beta"])))["config"]
    await upstream.until(lambda server: bool(server.requests))
    upstream.forget()
    elsewhere = [
        f"http://localhost:{upstream.port}/v1",
        f"https://127.0.0.1:{upstream.port}/v1",
        f"http://127.0.0.1:{silent}/v1",
        f"http://[::1]:{upstream.port}/v1",
        f"http://127.0.0.1:{upstream.port}@evil.example/v1",
        f"http://127.0.0.1.:{upstream.port}/v1",
    ]
    for base_url in elsewhere:
        body = {"service_type": "openai", "config": {**shown, "base_url": base_url}}
        tested = await page.post("/api/services/test", body)
        assert tested["success"] is False, base_url
        assert tested["error"]
        await page.post("/api/services/add", {"service_id": "thief", **body}, status=400)
        await page.put("/api/services/guarded", body, status=400)
    as_ollama = {
        "service_type": "ollama",
        "config": {"name": "x", "host": f"http://127.0.0.1:{silent}", "api_key": "stored:guarded"},
    }
    tested = await page.post("/api/services/test", as_ollama)
    assert tested["success"] is False
    assert [request for request in upstream.requests if "Authorization" in request.headers] == []
    assert "thief" not in await page.get("/api/services")


async def test_a_path_at_the_same_place_may_use_the_stored_key(
    page: Page, upstream: Upstream
) -> None:
    upstream.set_up(key=KEY)
    shown = (await add(page, "moved", openai(upstream, models=["beta"])))["config"]
    changed = {**shown, "base_url": upstream.url}
    tested = await page.post("/api/services/test", {"service_type": "openai", "config": changed})
    assert tested["success"], tested


async def test_no_file_that_others_can_read_has_the_key(
    page: Page, upstream: Upstream, shared: DaemonProcess
) -> None:
    await add(page, "kept", openai(upstream, models=["beta"]))
    await page.chat("hello", model="kept/beta")
    holding = [
        path
        for path in shared.home.rglob("*")
        if path.is_file() and KEY.encode() in path.read_bytes()
    ]
    assert holding
    for path in holding:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert shared.memory_dir not in path.parents
    assert KEY not in shared.log()


async def test_trying_a_good_service_tells_its_models(page: Page, upstream: Upstream) -> None:
    for body in (ollama(upstream), openai(upstream)):
        answer = await page.post("/api/services/test", body)
        assert answer == {"success": True, "available": True, "models": ["alpha:latest", "beta"]}
    assert upstream.prompts == []


@pytest.mark.parametrize("kind", ["ollama", "openai"])
@pytest.mark.parametrize(
    ("fault", "mark"),
    [
        ("401", "401"),
        ("403", "403"),
        ("404", "404"),
        ("reset_early", "Connection"),
        ("html", ""),
        ("500", ""),
        ("302", ""),
        ("204", ""),
    ],
)
async def test_trying_a_bad_service_is_a_fixed_phrase(
    page: Page, upstream: Upstream, kind: str, fault: str, mark: str
) -> None:
    upstream.behave(Script(fault=fault, fault_on=("models",)))
    body = ollama(upstream) if kind == "ollama" else openai(upstream)
    answer = await page.post("/api/services/test", body)
    check_failed(answer, mark, upstream.port)


def check_failed(answer: Any, mark: str, port: int) -> None:
    assert set(answer) == {"success", "available", "error"}
    assert answer["success"] is answer["available"] is False
    first = next((known for known in MARKS if known in answer["error"]), "")
    assert first == mark
    assert str(port) not in answer["error"]
    assert "127.0.0.1" not in answer["error"]


async def test_nobody_there_is_a_connection_and_silence_a_timeout(
    page: Page, upstream: Upstream, deaf: int, silent: int
) -> None:
    for port, mark in ((deaf, "Connection"), (silent, "timeout")):
        body = openai(upstream, base_url=f"http://127.0.0.1:{port}/v1")
        check_failed(await page.post("/api/services/test", body), mark, port)


@pytest.mark.parametrize(
    "config",
    [
        {"name": "x", "host": "ftp://127.0.0.1"},
        {"name": "x", "host": "http://"},
        {"name": "x", "host": "http://127.0.0.1:99999"},
        {"name": "x", "host": "file:///etc/hostname"},
        {"name": "x", "host": "http://169.254.169.254/latest"},
    ],
)
async def test_an_address_that_cannot_be_is_a_failed_test(
    page: Page, config: dict[str, str]
) -> None:
    answer = await page.post("/api/services/test", {"service_type": "ollama", "config": config})
    assert answer["success"] is False
    assert answer["error"]


async def test_an_unknown_kind_is_told(page: Page, upstream: Upstream) -> None:
    body = {**ollama(upstream), "service_type": "telepathy"}
    answer = await page.post("/api/services/test", body)
    assert answer["success"] is False
    await page.post("/api/services/add", {"service_id": "odd", **body}, status=400)


async def test_leaving_a_trial_drops_its_upstream_call(page: Page, upstream: Upstream) -> None:
    upstream.behave(Script(fault="stall_early", fault_on=("models",)))
    address = f"{page.url}/api/services/test"
    body = json.dumps(ollama(upstream))
    async with aiohttp.ClientSession() as leaving:
        with pytest.raises(TimeoutError):
            await leaving.post(
                address,
                data=body,
                headers=page.headers(),
                timeout=aiohttp.ClientTimeout(sock_read=0.3),
            )
    await upstream.question_left()


async def test_no_service_is_asked_to_redirect_the_key(page: Page, upstream: Upstream) -> None:
    upstream.behave(Script(fault="302", fault_on=("models",)))
    answer = await page.post("/api/services/test", openai(upstream))
    assert answer["success"] is False
    assert len(upstream.requests) == 1
