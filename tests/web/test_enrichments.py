"""What waits for a model, over HTTP; and what answers took."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from sgoped.web import replies
from tests.fakes.upstream import FakeUpstream
from tests.web.conftest import Client
from tests.web.shapes import check

TEXT = "The walrus sleeps at noon. " * 8


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as upstream:
        yield upstream


async def save(client: Client, name: str) -> dict[str, Any]:
    body = {"action_id": "add_knowledge", "user_input": TEXT, "knowledge_filename": name}
    async with client.post("/api/actions/execute", json=body) as response:
        assert response.status == 200
        saved: dict[str, Any] = await response.json()
        return saved


async def listed(client: Client) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = await (await client.get("/api/enrichments")).json()
    return rows


async def test_what_waits_is_listed_and_can_be_cancelled(client: Client) -> None:
    assert await listed(client) == []
    saved = await save(client, "one")
    (row,) = await listed(client)
    check(replies.EnrichmentReply, row)
    assert (row["path"], row["state"]) == (saved["path"], "queued")
    assert row["id"] == saved["enrichment"]
    async with client.post(f"/api/enrichments/{row['id']}/retry", json={}) as response:
        assert response.status == 200
        check(replies.EnrichmentReply, await response.json())
    async with client.delete(f"/api/enrichments/{row['id']}") as response:
        assert response.status == 200
        check(replies.SuccessReply, await response.json())
    assert await listed(client) == []
    for method, path in (("DELETE", ""), ("POST", "/retry")):
        async with client.request(method, f"/api/enrichments/nobody{path}", json={}) as response:
            assert response.status == 404


async def test_a_rename_takes_it_along(client: Client) -> None:
    saved = await save(client, "before")
    body = {"path": saved["path"], "to": "after.md"}
    async with client.post("/api/files/rename", json=body) as response:
        assert response.status == 200
    assert [row["path"] for row in await listed(client)] == ["after.md"]


async def test_what_answers_took_is_summed_up(client: Client, upstream: FakeUpstream) -> None:
    config = {"name": "S", "base_url": f"{upstream.url}/v1", "models": ["beta"]}
    body = {"service_id": "s", "service_type": "openai", "config": config}
    async with client.post("/api/services/add", json=body) as response:
        assert response.status == 200
    for _ in range(2):
        async with client.post("/api/chat/stream", json={"message": "hello"}) as response:
            await response.read()
    usage = await (await client.get("/api/usage")).json()
    check(replies.UsageReply, usage)
    model = usage["models"]["s/beta"]
    counted = (model["runs"], model["prompt_tokens"], model["completion_tokens"])
    assert counted == (2, 14, 6)
