"""Kept conversations over HTTP: shapes, pages, refusals, events."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sgoped.web import conversation_replies, replies
from tests.web.conftest import Client
from tests.web.shapes import check
from tests.web.streams import all_events, next_event, text_of

ALL = "/api/conversations"


async def chat(client: Client, message: str, conversation_id: str = "c") -> list[dict[str, Any]]:
    body = {"message": message, "conversation_id": conversation_id}
    async with client.post("/api/chat/stream", json=body) as response:
        return await all_events(response)


async def call(
    client: Client, method: str, path: str, body: object = None, status: int = 200
) -> Any:
    async with client.request(method, path, json=body) as response:
        answer = await response.json()
        assert response.status == status, answer
        if status >= 400:
            check(replies.ErrorReply, answer)
        return answer


async def test_what_is_said_is_listed_and_shown(client: Client) -> None:
    assert (await call(client, "GET", ALL)) == {"conversations": [], "total": 0, "next": None}
    said = text_of(await chat(client, "How do I start the engine, @readme.md?"))
    listed = await call(client, "GET", ALL)
    check(conversation_replies.ConversationsReply, listed)
    assert [(each["id"], each["message_count"]) for each in listed["conversations"]] == [("c", 2)]
    shown = await call(client, "GET", f"{ALL}/c")
    check(conversation_replies.ConversationMessagesReply, shown)
    asked, answer = shown["messages"]
    assert (asked["text"], asked["paths"]) == (
        "How do I start the engine, @readme.md?",
        ["readme.md"],
    )
    assert (answer["role"], answer["text"], answer["state"]) == ("assistant", said, "complete")
    assert shown["title"] == "How do I start the engine, @readme.md?"
    assert (shown["forked_from"], shown["next"]) == (None, None)


async def test_pages_of_the_list_and_of_messages_go_on_where_the_last_ended(
    client: Client,
) -> None:
    for number in range(5):
        await chat(client, f"turnip {number}", f"c{number}")
    await chat(client, "parsnip", "other")
    seen, after = [], ""
    while after is not None:
        page = await call(client, "GET", f"{ALL}?q=TURNIP&limit=2&after={after}")
        assert page["total"] == 5
        seen += [each["id"] for each in page["conversations"]]
        after = page["next"]
    assert seen == ["c4", "c3", "c2", "c1", "c0"]
    await chat(client, "again", "c0")
    page = await call(client, "GET", f"{ALL}/c0?limit=3")
    assert ([each["number"] for each in page["messages"]], page["next"]) == ([1, 2, 3], 3)
    page = await call(client, "GET", f"{ALL}/c0?limit=3&after=3")
    assert ([each["number"] for each in page["messages"]], page["next"]) == ([4], None)


async def test_a_title_changes_and_is_found(client: Client) -> None:
    await chat(client, "one")
    renamed = await call(client, "PATCH", f"{ALL}/c", {"title": "My  Engines"})
    check(conversation_replies.ConversationReply, renamed)
    assert renamed["title"] == "My Engines"
    assert (await call(client, "GET", f"{ALL}?q=engines"))["total"] == 1
    await call(client, "PATCH", f"{ALL}/c", {"title": " \n"}, status=400)
    await call(client, "PATCH", f"{ALL}/c", {"title": "x" * 201}, status=422)
    await call(client, "PATCH", f"{ALL}/c", {}, status=422)


async def test_a_fork_is_a_conversation_of_its_own(client: Client) -> None:
    await chat(client, "one")
    await chat(client, "two")
    fork = await call(client, "POST", f"{ALL}/c/fork", {"at": 2})
    check(conversation_replies.ConversationReply, fork)
    assert (fork["forked_from"], fork["forked_at"], fork["message_count"]) == ("c", 2, 2)
    await chat(client, "another", fork["id"])
    shown = await call(client, "GET", f"{ALL}/{fork['id']}")
    assert [each["text"] for each in shown["messages"]][::2] == ["one", "another"]
    assert (await call(client, "GET", f"{ALL}/c"))["message_count"] == 4
    await call(client, "POST", f"{ALL}/c/fork", {"at": 5}, status=404)
    for at in (0, -1, "2", 1.5, None):
        await call(client, "POST", f"{ALL}/c/fork", {"at": at}, status=422)


async def test_an_export_is_a_new_file_in_memory(client: Client, folder: Path) -> None:
    await chat(client, "How do I start the engine?")
    saved = await call(client, "POST", f"{ALL}/c/export", {})
    check(replies.SavedReply, saved)
    assert (saved["path"], saved["created"]) == ("how_do_i_start_the_engine.md", True)
    text = (folder / saved["path"]).read_text()
    assert text.startswith("# How do I start the engine?\n\n## You, ")
    again = await call(client, "POST", f"{ALL}/c/export", {"path": "readme.md"})
    assert again["path"] == "readme_2.md"
    assert (folder / "readme.md").read_text().startswith("# Notes")
    for path in ("../out.md", str(folder.parent / "x.md"), ".hidden/x.md", "a\0b"):
        await call(client, "POST", f"{ALL}/c/export", {"path": path}, status=400)


async def test_what_is_deleted_is_gone(client: Client) -> None:
    await chat(client, "one")
    await chat(client, "two", "kept")
    gone = await call(client, "DELETE", f"{ALL}/c")
    check(conversation_replies.DeletedConversationReply, gone)
    assert [each["id"] for each in (await call(client, "GET", ALL))["conversations"]] == ["kept"]
    await call(client, "DELETE", f"{ALL}/c", status=404)
    await chat(client, "three")
    assert (await call(client, "GET", f"{ALL}/c"))["message_count"] == 2


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", f"{ALL}/unknown", None, 404),
        ("PATCH", f"{ALL}/unknown", {"title": "x"}, 404),
        ("DELETE", f"{ALL}/unknown", None, 404),
        ("POST", f"{ALL}/unknown/fork", {"at": 1}, 404),
        ("POST", f"{ALL}/unknown/export", {}, 404),
        ("GET", f"{ALL}/{'x' * 101}", None, 422),
        ("GET", f"{ALL}?limit=0", None, 422),
        ("GET", f"{ALL}?after=nonsense", None, 422),
        ("GET", f"{ALL}?after=nan~c", None, 422),
        ("PUT", f"{ALL}/c", {}, 405),
    ],
)
async def test_what_cannot_be_is_refused(
    client: Client, method: str, path: str, body: object, status: int
) -> None:
    await call(client, method, path, body, status)


async def test_an_id_that_is_none_is_an_error_at_the_end_of_the_stream(client: Client) -> None:
    events = await chat(client, "hi", "../../etc")
    assert [event["type"] for event in events] == ["start", "error"]
    assert "conversation_id" in events[-1]["message"]


async def test_each_change_is_told_on_the_bus(client: Client) -> None:
    async with asyncio.timeout(20), client.get("/api/events") as stream:
        await chat(client, "one")
        await call(client, "PATCH", f"{ALL}/c", {"title": "x"})
        await call(client, "DELETE", f"{ALL}/c")
        seen: list[str] = []
        while "deleted" not in seen:
            event = await next_event(stream)
            check(replies.BusEventReply, event)
            if event["type"] == "conversation_changed":
                assert event["conversation_id"] == "c"
                seen.append(event["what"])
    assert seen == ["created", "extended", "renamed", "deleted"]
