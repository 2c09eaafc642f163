"""Services and models over HTTP, against a real upstream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sgoped.web import replies
from tests.fakes.upstream import FakeUpstream
from tests.web.conftest import Client
from tests.web.shapes import check

KEY = "sk-planted-secret"


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as upstream:
        yield upstream


def ollama(upstream: FakeUpstream) -> dict[str, Any]:
    return {
        "service_id": "local",
        "service_type": "ollama",
        "config": {"name": "Local", "host": upstream.url, "models": ["alpha:latest"]},
    }


async def test_a_clean_slate_has_no_services(client: Client) -> None:
    assert await (await client.get("/api/services")).json() == {}
    models = await (await client.get("/api/models")).json()
    assert models == {"all_models": [], "default_model": None, "services": {}}


async def test_a_service_is_added_listed_changed_and_removed(
    client: Client, upstream: FakeUpstream
) -> None:
    async with client.post("/api/services/add", json=ollama(upstream)) as response:
        assert response.status == 200
        check(replies.SavedServiceReply, await response.json())
    services = await (await client.get("/api/services")).json()
    assert list(services) == ["local"]
    check(replies.ServiceReply, services["local"])
    assert services["local"]["models"] == ["alpha:latest"]
    models = await (await client.get("/api/models")).json()
    check(replies.ModelsReply, models)
    (model,) = models["all_models"]
    check(replies.ModelReply, model)
    async with client.post("/api/models/default", json={"model": model["id"]}) as response:
        assert response.status == 200
    models = await (await client.get("/api/models")).json()
    assert models["default_model"] == model["id"]
    assert models["all_models"][0]["is_default"] is True
    async with client.get(f"/api/models/{model['id']}/health") as response:
        assert response.status == 200
        check(replies.ModelHealthReply, await response.json())
    changed = {"service_type": "ollama", "config": {"name": "Renamed", "host": upstream.url}}
    async with client.put("/api/services/local", json=changed) as response:
        assert (await response.json())["service"]["name"] == "Renamed"
    async with client.delete("/api/services/local") as response:
        assert response.status == 200
        check(replies.SuccessReply, await response.json())
    async with client.delete("/api/services/local") as response:
        assert response.status == 404


async def test_an_unknown_default_model_is_404(client: Client) -> None:
    async with client.post("/api/models/default", json={"model": "nobody"}) as response:
        assert response.status == 404


async def test_an_unknown_kind_is_told(client: Client) -> None:
    body = {"service_id": "x", "service_type": "telepathy", "config": {}}
    async with client.post("/api/services/add", json=body) as response:
        assert response.status == 400


async def test_trying_a_service_is_always_200(client: Client, upstream: FakeUpstream) -> None:
    body = {"service_type": "ollama", "config": {"name": "x", "host": upstream.url}}
    async with client.post("/api/services/test", json=body) as response:
        assert response.status == 200
        answer = await response.json()
    assert (answer["success"], answer["available"]) == (True, True)
    assert sorted(answer["models"]) == ["alpha:latest", "beta"]
    assert not upstream.chats, "spends no tokens"
    body["config"] = {"name": "x", "host": "http://127.0.0.1:9"}
    async with client.post("/api/services/test", json=body) as response:
        assert response.status == 200
        answer = await response.json()
    assert (answer["success"], answer["available"]) == (False, False)
    assert "Connection" in answer["error"]
    assert "127.0.0.1" not in answer["error"]
    check(replies.ServiceTestReply, answer)


async def test_a_key_is_never_told(client: Client, upstream: FakeUpstream) -> None:
    config = {"name": "Keyed", "base_url": f"{upstream.url}/v1", "api_key": KEY, "models": []}
    body = {"service_id": "keyed", "service_type": "openai", "config": config}
    async with client.post("/api/services/add", json=body) as response:
        assert KEY not in await response.text()
    for path in ("/api/services", "/api/models", "/api/stats", "/health", "/"):
        async with client.get(path) as response:
            assert KEY not in await response.text()
    services = await (await client.get("/api/services")).json()
    assert services["keyed"]["config"]["api_key"] == "stored:keyed"


async def test_refreshing_lists_what_the_service_has_now(
    client: Client, upstream: FakeUpstream
) -> None:
    body = ollama(upstream)
    del body["config"]["models"]
    async with client.post("/api/services/add", json=body):
        pass
    upstream.models = ["gamma"]
    async with client.post("/api/models/refresh") as response:
        assert response.status == 200
        names = [model["name"] for model in (await response.json())["all_models"]]
    assert names == ["gamma"]


async def test_a_client_that_leaves_a_test_drops_the_upstream(client: Client) -> None:
    asked, dropped = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()
        dropped.set()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        host = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        config = {"name": "x", "host": host}
        async with asyncio.TaskGroup() as group, asyncio.timeout(20):
            body = {"service_type": "ollama", "config": config}

            async def ask() -> None:
                await client.post("/api/services/test", json=body)

            call = group.create_task(ask())
            await asked.wait()
            call.cancel()
            await dropped.wait()


@pytest.mark.parametrize("kind", ["openai", "ollama"])
@pytest.mark.parametrize(
    "path", ["", "/v1", "/api", "/api/chat", "/api/chat/stream", "/api/services", "/ws", "/health"]
)
async def test_the_daemon_as_its_own_service_does_no_harm(
    client: Client, folder: Path, kind: str, path: str
) -> None:
    """No address of a service ends in one of ours that writes or asks a model: no loop begins."""
    address = f"http://127.0.0.1:{client.port}{path}"
    config = {"name": "Loop", "host": address, "base_url": address, "models": ["m"]}
    before = sorted(folder.rglob("*"))
    body = {"service_type": kind, "config": config}
    async with client.post("/api/services/test", json=body) as response:
        tried = await response.json()
    assert tried["success"] is False
    async with client.post("/api/services/add", json={"service_id": "loop", **body}) as response:
        assert response.status == 200
    async with client.post("/api/models/refresh") as response:
        assert response.status == 200
    async with asyncio.timeout(30):
        chat = {"message": "hello", "model": "loop/m"}
        async with client.post("/api/chat/stream", json=chat) as response:
            text = await response.text()
    assert '"type":"error"' in text
    assert (await (await client.get("/api/chat/status")).json())["active_streams"] == 0
    assert list(await (await client.get("/api/services")).json()) == ["loop"]
    assert sorted(folder.rglob("*")) == before
