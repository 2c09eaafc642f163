"""Section 2: numbers, health, refresh and names for files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.page import Page
from tests.e2e.upstream import Upstream
from tests.fakes.scripts import Script

SNAKE = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")


async def test_the_dashboard_counts(page: Page, services: dict[str, str], folder: Path) -> None:
    before = (await page.get("/api/stats"))["short_term_memory"]
    (folder / "counted").mkdir()
    (folder / "counted/a.md").write_text("a\n")
    (folder / "counted/b.png").write_bytes(b"\x89PNG")
    await page.post("/api/refresh", {})
    stats = await page.get("/api/stats")
    counts = stats["short_term_memory"]
    more = {name: counts[name] - before[name] for name in counts}
    assert more == {"total_items": 3, "files": 1, "folders": 1, "images": 1}
    assert stats["long_term_memory"] == {"total_actions": len(await page.get("/api/actions"))}
    models = await page.get("/api/models")
    llm = stats["llm_services"]
    assert (llm["all_models"], llm["services"]) == (models["all_models"], models["services"])
    assert isinstance(llm["default_model"], str)
    online = [s for s in llm["services"].values() if s["available"] and s["status"] == "online"]
    assert len(online) == 2


async def test_after_a_refresh_the_index_equals_the_disk(page: Page, folder: Path) -> None:
    for number in range(30):
        path = folder / f"deep{number % 3}/er/fresh{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"word{number}\n")
    await page.post("/api/refresh", {})
    found = await page.get("/api/files", q="fresh", limit="100")
    assert len([item for item in found if item["type"] == "file"]) == 30
    (hit,) = (await page.get("/api/search", q="word17"))["hits"]
    assert (hit["path"], hit["line_start"]) == ("deep2/er/fresh17.txt", 1)
    health = await page.get("/api/health")
    assert (health["index"]["pending"], health["index"]["verified"]) == (0, True)


async def test_health_tells_of_watcher_index_and_services(
    page: Page, services: dict[str, str]
) -> None:
    for path in ("/health", "/api/health"):
        health = await page.get(path)
        assert health["status"] == "healthy"
        assert health["services"] == {"local": "online", "cloud": "online"}
        assert health["watcher"]["state"] in ("native", "polling")
        assert health["index"]["progress"] == 1


@pytest.mark.parametrize(
    "previews",
    [
        "Notes on the care of roses in winter",
        ["Notes on the care of roses", "and how to cut them"],
        {"a.txt": "Notes on the care of roses", "size": 12},
        "",
        [],
        {},
        None,
        "../../etc/passwd",
        "!!! ???",
    ],
)
async def test_without_a_model_the_content_names_the_file(page: Page, previews: Any) -> None:
    for service_id in await page.get("/api/services"):
        await page.delete(f"/api/services/{service_id}")
    check_name(await page.post("/api/generate-filename", {"previews": previews}))


def check_name(answer: Any) -> str:
    assert set(answer) >= {"ok", "filename"}
    assert answer["ok"] is True
    name: str = answer["filename"]
    assert SNAKE.fullmatch(name), name
    assert len(name) <= 60
    return name


async def test_a_model_names_the_file(page: Page, upstream: Upstream) -> None:
    add = {"service_type": "ollama", "config": {"name": "x", "host": upstream.url}}
    await page.post("/api/services/add", {"service_id": "naming", **add})
    await page.post("/api/models/refresh", {})
    upstream.behave(Script(("Sure! ", "`rose_", "care.md`")))
    previews = "Notes on the care of roses"
    answer = await page.post("/api/generate-filename", {"previews": previews})
    assert check_name(answer) == "rose_care"
    assert previews in upstream.prompts[0]
    upstream.behave(Script(fault="401"))
    answer = await page.post("/api/generate-filename", {"previews": previews})
    assert "roses" in check_name(answer)
