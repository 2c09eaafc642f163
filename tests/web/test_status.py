"""Health, counts and refresh, over HTTP."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web  # noqa: TID251 - the application under test

from sgoped.web import keys, status_replies
from tests.web.conftest import Client
from tests.web.shapes import check


async def test_a_clean_slate_is_healthy_on_both_addresses(client: Client) -> None:
    for path in ("/health", "/api/health"):
        async with client.get(path) as response:
            answer = await response.json()
        check(status_replies.HealthReply, answer)
        assert answer["status"] == "healthy"
        assert answer["index"]["verified"] is True
        assert answer["services"] == {}


async def test_what_the_process_holds_is_told(client: Client) -> None:
    async with client.get("/health") as response:
        before = (await response.json())["process"]
    assert before["resident_bytes"] > 10 * 2**20
    assert before["threads"] >= 3
    async with client.get("/api/events") as events:
        await events.content.readline()
        async with client.get("/health") as response:
            during = (await response.json())["process"]
    assert during["open_files"] > before["open_files"]
    assert during["tasks"] > before["tasks"]


async def test_a_damaged_state_is_told_as_what_it_is(client: Client, app: web.Application) -> None:
    app[keys.STATE].note_damage()
    async with client.get("/health") as response:
        answer = await response.json()
    check(status_replies.HealthReply, answer)
    assert answer["status"] == "degraded"
    assert "restart sgoped" in answer["state"]["problem"]


async def test_the_dashboard_is_counted(client: Client) -> None:
    async with client.get("/api/stats") as response:
        answer = await response.json()
    check(status_replies.StatsReply, answer)
    memory = answer["short_term_memory"]
    assert memory == {"total_items": 4, "files": 2, "folders": 1, "images": 1}
    assert answer["llm_services"]["default_model"] == ""
    assert answer["long_term_memory"]["total_actions"] >= 1


async def test_after_a_refresh_the_index_equals_the_disk(client: Client, folder: Path) -> None:
    (folder / "added.md").write_text("hello")
    (folder / "readme.md").unlink()
    async with client.post("/api/refresh") as response:
        assert response.status == 200
        check(status_replies.RefreshReply, await response.json())
    async with client.get("/api/files") as response:
        paths = {item["metadata"]["path"] for item in await response.json()}
    assert paths == {"added.md", "photo.png", "src", "src/foo.py"}
