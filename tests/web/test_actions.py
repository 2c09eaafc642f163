"""Actions over HTTP."""

from __future__ import annotations

from pathlib import Path

from sgoped.web import replies
from tests.web.conftest import Client
from tests.web.shapes import check


async def test_actions_are_listed_and_found_by_the_beginnings_of_words(client: Client) -> None:
    async with client.get("/api/actions") as response:
        listed = await response.json()
    assert "/add_knowledge" in [action["metadata"]["command"] for action in listed]
    for action in listed:
        check(replies.ActionSuggestion, action)
    async with client.get("/api/actions?q=add") as response:
        assert [action["label"] for action in await response.json()] == ["add_knowledge"]
    async with client.get("/api/actions?q=or") as response:
        assert await response.json() == []


async def test_an_action_is_executed_outside_a_chat(client: Client, folder: Path) -> None:
    body = {"action_id": "add_knowledge", "user_input": "the sea is blue", "attachments": []}
    before = set(folder.iterdir())
    async with client.post("/api/actions/execute", json=body) as response:
        assert response.status == 200, await response.text()
        assert (await response.json())["action"] == "add_knowledge"
    (made,) = set(folder.iterdir()) - before
    assert "the sea is blue" in made.read_text()


async def test_an_unknown_action_is_404(client: Client) -> None:
    async with client.post("/api/actions/execute", json={"action_id": "nothing"}) as response:
        assert (response.status, (await response.json())["code"]) == (404, "action_not_found")


async def test_a_file_is_named_without_any_model(client: Client) -> None:
    for previews in ("How to bake bread", ["How to", "bake bread"], {"a": "bread"}, "", None, 5):
        async with client.post("/api/generate-filename", json={"previews": previews}) as response:
            assert response.status == 200
            answer = await response.json()
        check(replies.FilenameReply, answer)
        assert answer["filename"].isidentifier()
