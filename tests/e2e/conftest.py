"""One daemon per module, one fake upstream for all, and the front end's page before them."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests import processes
from tests.e2e.page import Page
from tests.e2e.upstream import Upstream
from tests.processes import DaemonProcess

KEY = "sk-e2e-0f9d8c7b-never-to-be-shown"
SERVICES: dict[str, tuple[str, dict[str, object]]] = {
    "local": ("ollama", {"name": "Local"}),
    "cloud": ("openai", {"name": "Cloud", "api_key": KEY, "models": ["alpha:latest", "beta"]}),
}


@dataclasses.dataclass(frozen=True)
class Model:
    """A model that the page can name, and the dialect in which it is reached."""

    dialect: str
    id: str


@pytest.fixture(scope="session")
def upstream_thread() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.close()


@pytest.fixture
def upstream(upstream_thread: Upstream) -> Iterator[Upstream]:
    """The fake upstream, as new."""
    upstream_thread.forget()
    yield upstream_thread
    upstream_thread.forget()


@pytest.fixture(scope="module")
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DaemonProcess]:
    """The module's daemon, with its ``ENVIRONMENT``; it must end cleanly and have kept the key."""
    environment = {"SGOPED_LOG_LEVEL": "debug", **getattr(request.module, "ENVIRONMENT", {})}
    home = tmp_path_factory.mktemp("shared") / "home"
    daemon = processes.start(home, environment=environment)
    try:
        yield daemon
        assert daemon.stop() == 0
    finally:
        daemon.kill()
    log = daemon.log()
    assert "Traceback" not in log, log
    assert " unexpected " not in log, log
    assert KEY not in log


@pytest.fixture(scope="module")
def services(shared: DaemonProcess, upstream_thread: Upstream) -> dict[str, str]:
    """Both dialects are configured; the id of the model ``beta`` by dialect."""
    for service_id, (kind, config) in SERVICES.items():
        address = (
            {"host": upstream_thread.url}
            if kind == "ollama"
            else {"base_url": f"{upstream_thread.url}/v1"}
        )
        body = {"service_id": service_id, "service_type": kind, "config": {**config, **address}}
        assert shared.request("POST", "/api/services/add", body)[0] == 200
    status, listed = shared.request("POST", "/api/models/refresh", {})
    assert status == 200
    found = {
        model["service_type"]: model["id"]
        for model in listed["all_models"]
        if model["name"] == "beta" and model["available"]
    }
    assert set(found) == {"ollama", "openai"}
    return found


@pytest.fixture(params=["ollama", "openai"])
def model(request: pytest.FixtureRequest, services: dict[str, str]) -> Model:
    """A model of either dialect."""
    return Model(request.param, services[request.param])


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        yield session


@pytest.fixture
async def page(session: aiohttp.ClientSession, shared: DaemonProcess) -> AsyncIterator[Page]:
    """The front end before the module's daemon; nothing that it is told has the key in it."""
    page = Page(session, shared.url)
    yield page
    assert not [text for text in page.seen if KEY in text]


@pytest.fixture
def folder(shared: DaemonProcess) -> Path:
    """The memory folder of the module's daemon."""
    return shared.memory_dir
