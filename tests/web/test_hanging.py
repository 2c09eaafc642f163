"""A service that takes connections and never answers delays nothing that is not its own.

Its probes and questions take seconds until they are given up; whatever waited for one of them
would not be here within ``PATIENCE_SECONDS``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.fakes.upstream import FakeUpstream
from tests.web.conftest import Client

PATIENCE_SECONDS = 10.0


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"idle_timeout_seconds": 60, "first_token_timeout_seconds": 60}


class BlackHole:
    """Listens, takes what is sent, and says nothing."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.url = ""

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(65_536):
                self.asked.set()
        except ConnectionError:
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[BlackHole]:
        server = await asyncio.start_server(self.take, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()


def service(service_id: str, kind: str, url: str) -> dict[str, Any]:
    place = {"host": url} if kind == "ollama" else {"base_url": f"{url}/v1"}
    config = {"name": service_id, "models": ["beta"], **place}
    return {"service_id": service_id, "service_type": kind, "config": config}


async def say(client: Client, message: str, model: str) -> list[dict[str, Any]]:
    body = {"message": message, "model": model}
    async with client.post("/api/chat/stream", json=body) as response:
        lines = (await response.text()).splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


@pytest.fixture(params=["ollama", "openai"])
async def hung(request: pytest.FixtureRequest, client: Client) -> AsyncIterator[BlackHole]:
    """A service ``hung`` that has been asked by now, with a good one, ``good``, beside it."""
    async with BlackHole().open() as hole, FakeUpstream() as upstream:
        for body in (
            service("hung", request.param, hole.url),
            service("good", request.param, upstream.url),
        ):
            async with client.post("/api/services/add", json=body) as response:
                assert response.status == 200
        await hole.asked.wait()
        yield hole


@pytest.mark.parametrize(
    "path",
    [
        "/api/services",
        "/api/models",
        "/api/models/hung/beta/health",
        "/health",
        "/api/stats",
        "/api/files",
        "/api/files?q=foo",
        "/api/files?q=nothing+like+it",
        "/api/actions?q=add",
        "/api/search?q=engine",
        "/api/usage",
        "/api/enrichments",
        "/api/chat/status",
    ],
)
@pytest.mark.usefixtures("hung")
async def test_nothing_waits_for_it(client: Client, path: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS), client.get(path) as response:
        assert response.status == 200
        await response.read()


@pytest.mark.usefixtures("hung")
async def test_its_list_is_what_was_chosen_and_is_called_stale(client: Client) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        models = await (await client.get("/api/models")).json()
    shown = models["services"]["hung"]
    assert (shown["models"], shown["stale"], shown["checked_at"]) == (["beta"], True, None)
    assert {model["id"] for model in models["all_models"]} == {"hung/beta", "good/beta"}


@pytest.mark.usefixtures("hung")
async def test_the_chats_of_another_service_go_on_while_one_waits_for_it(client: Client) -> None:
    async with asyncio.TaskGroup() as group, asyncio.timeout(PATIENCE_SECONDS):
        waiting = group.create_task(say(client, "hello", "hung/beta"))
        for _ in range(3):
            events = await say(client, "hello", "good/beta")
            assert events[-1]["type"] == "complete"
            assert "".join(each.get("content", "") for each in events) == "Hello, world"
        assert not waiting.done()
        waiting.cancel()


@pytest.mark.usefixtures("hung")
async def test_suggestions_over_a_socket_do_not_wait(client: Client) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS), client.ws_connect("/ws/suggestions") as socket:
        for kind in ("files", "actions", "search"):
            await socket.send_json({"type": kind, "query": "foo"})
            assert (await socket.receive_json())["type"] == kind


async def test_adding_changing_and_removing_it_waits_for_nothing(
    client: Client, hung: BlackHole
) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        body = service("hung", "openai", hung.url)
        async with client.post("/api/services/add", json=body) as response:
            assert response.status == 200
        async with client.post("/api/models/default", json={"model": "hung/beta"}) as response:
            assert response.status == 200
        async with client.delete("/api/services/hung") as response:
            assert response.status == 200
