"""Section 2: actions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.page import Page

LABEL = "add_knowledge"


async def test_an_action_shows_all_that_the_page_needs(page: Page) -> None:
    listed = await page.get("/api/actions")
    (action,) = [action for action in listed if action["label"] == LABEL]
    assert action["type"] == "action"
    assert action["id"]
    assert action["description"]
    assert action["metadata"]["command"] == f"/{LABEL}"
    assert isinstance(action["metadata"]["category"], str)
    assert all(isinstance(tag, str) for tag in action["metadata"]["tags"])


@pytest.mark.parametrize("typed", ["a", "add", "add_", "add_know", "know", "knowledge", "save"])
async def test_the_beginning_of_a_word_finds_it(page: Page, typed: str) -> None:
    assert [action["label"] for action in await page.get("/api/actions", q=typed)] == [LABEL]


@pytest.mark.parametrize(
    "typed", ["or", "no", "dd", "ledge", "ave", "12", "home", "adx", "add x", "no_such", "file"]
)
async def test_and_or_yes_no_open_no_menu(page: Page, typed: str) -> None:
    """What stands behind the slash in ``and/or``, ``yes/no``, ``24/12`` and the like."""
    assert await page.get("/api/actions", q=typed) == []


async def test_an_action_runs_outside_a_chat(page: Page, folder: Path) -> None:
    body = {
        "action_id": LABEL,
        "user_input": "Bees sleep in flowers.",
        "attachments": [{"type": "file", "name": "up.txt", "content": "an upload\n", "size": 10}],
    }
    result = await page.post("/api/actions/execute", body)
    kept = (folder / result["path"]).read_text()
    assert "Bees sleep in flowers." in kept
    assert "an upload" in kept
    assert result["message"]


async def test_an_action_that_cannot_be_done_says_so(page: Page) -> None:
    await page.post("/api/actions/execute", {"action_id": "missing"}, status=404)
    await page.post("/api/actions/execute", {"action_id": LABEL, "user_input": " "}, status=400)
