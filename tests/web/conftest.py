"""The real application on a free loopback port, over a home of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web  # noqa: TID251 - the application under test
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import BaseRunner  # noqa: TID251 - as above

from sgoped.app import create_app
from sgoped.config import Settings, load_settings
from sgoped.paths import create_directories, resolve_paths
from sgoped.web import BOUND, Runner, runner_options
from tests.fakes.upstream import FakeUpstream

Client = TestClient[web.Request, web.Application]


class RunnerServer(TestServer):
    """As the daemon runs it: with connections of our own class."""

    __test__ = False

    async def _make_runner(self, **options: Any) -> BaseRunner:
        return Runner(self.app, **options)


EXAMPLES = {
    "readme.md": "# Notes\nHow to start the engine: turn the key.\n",
    "src/foo.py": "def start_engine() -> None:\n    print('brumm')\n",
    "photo.png": "not really a picture",
}


@pytest.fixture
def folder(home: Path) -> Path:
    """The memory folder, with a few files in it."""
    root = home / "sgoped" / "data" / "memory" / "short_term"
    for name, content in EXAMPLES.items():
        path = root / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.fixture
def overrides() -> dict[str, Any]:
    """Settings that a test module changes by overriding this fixture."""
    return {}


@pytest.fixture
def settings(home: Path, overrides: dict[str, Any]) -> Settings:
    return load_settings({"home": str(home / "sgoped"), **overrides})


@pytest.fixture
def app(settings: Settings, folder: Path) -> web.Application:
    paths = resolve_paths(settings.home, settings.memory_dir)
    create_directories(paths)
    return create_app(settings, paths)


@pytest.fixture
async def client(app: web.Application) -> AsyncIterator[Client]:
    """A client of the running application, once its index equals the disk."""
    server = RunnerServer(app)
    options = runner_options()
    options.pop("handler_cancellation")  # a TestServer has it on already
    await server.start_server(shutdown_timeout=5.0, **options)
    bound = app[BOUND]
    bound.port, bound.url = server.port or 0, f"http://127.0.0.1:{server.port}"
    async with TestClient(server) as client:
        async with client.post("/api/refresh") as response:
            assert response.status == 200, await response.text()
        yield client


@pytest.fixture
async def upstream(client: Client) -> AsyncIterator[FakeUpstream]:
    """An upstream that the daemon knows as its only service."""
    async with FakeUpstream() as upstream:
        config = {"name": "Local", "host": upstream.url, "models": ["alpha:latest"]}
        body = {"service_id": "local", "service_type": "ollama", "config": config}
        async with client.post("/api/services/add", json=body) as response:
            assert response.status == 200
        yield upstream
