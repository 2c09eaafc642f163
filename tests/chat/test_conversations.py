"""Conversations: what a model is sent of them, and what is kept whatever happens."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sgoped.chat import Attachment, Cancelled, ChatRequest, Completed, Failed
from sgoped.chat.said import MAX_TEXT_CHARS
from sgoped.errors import Conflict, InvalidInput, NotFound, PathRefused, StorageError
from sgoped.events import ConversationChanged
from sgoped.state import MessageRow
from tests.chat.world import World, events_of, open_world, said_in, until
from tests.fakes.scripts import Script

BAD_IDS = ("../x", "a b", ".hidden", "é", "x" * 101, "a/b", "a\nb", "-a", "a\n")
TITLES = {
    "  # What\n is   this? ": "# What is this?",
    "word " * 40: f"{'word ' * 14}".strip() + "…",
    "x" * 100: "x" * 72 + "…",
    "a\x1b[31m\u202eb": "a [31m b",
    "": "Conversation",
}


async def messages(world: World, conversation: str = "c") -> list[MessageRow]:
    return (await world.chat.conversations.get(conversation))[1]


async def texts(world: World, conversation: str = "c") -> list[str]:
    return [message.text for message in await messages(world, conversation)]


def sent(world: World) -> list[tuple[str, str]]:
    """The last request's messages."""
    body = world.upstream.chats[-1].body
    return [(message["role"], message["content"]) for message in body["messages"]]


def told(world: World) -> list[tuple[str, str]]:
    """What the bus said of conversations."""
    return [
        (event.conversation_id, event.what)
        for _, event in world.bus.since(0)
        if isinstance(event, ConversationChanged)
    ]


async def test_the_upstream_receives_what_was_said_before_as_messages(served: World) -> None:
    served.upstream.behave(Script(chunks=("The", " first"), reasoning=("hidden",)))
    await served.ask("one", conversation_id="c")
    served.upstream.behave(Script(chunks=("The second",)))
    await served.ask("two", conversation_id="c")
    await served.ask("three", conversation_id="c")
    assert sent(served) == [
        ("user", "one"),
        ("assistant", "The first"),
        ("user", "two"),
        ("assistant", "The second"),
        ("user", "three"),
    ]
    assert told(served)[0] == ("c", "created")
    assert set(told(served)[1:]) == {("c", "extended")}


async def test_history_stands_between_the_rules_and_the_message_with_its_files(
    served: World,
) -> None:
    await served.write({"garden.md": "The tulips stand by the well.\n"})
    await served.ask("one", conversation_id="c")
    await served.ask("where, @garden.md?", conversation_id="c")
    roles = [role for role, _ in sent(served)]
    assert roles == ["system", "user", "assistant", "user"]
    assert "tulips" in sent(served)[-1][1]


async def test_a_message_without_a_conversation_stands_alone_and_is_not_kept(
    served: World,
) -> None:
    await served.ask("one")
    await served.ask("two")
    assert sent(served) == [("user", "two")]
    assert await served.chat.conversations.find("", 10) == ([], 0)
    assert told(served) == []


async def test_conversations_do_not_see_each_other(served: World) -> None:
    await served.ask("one", conversation_id="a")
    await served.ask("two", conversation_id="b")
    assert sent(served) == [("user", "two")]
    assert await texts(served, "a") == ["one", "Hello, world"]


async def test_a_message_is_kept_with_its_files_its_uploads_and_its_model(served: World) -> None:
    await served.write({"plans/garden.md": "x\n", "b.md": "y\n", "c.md": "z\n"})
    attachments = (
        Attachment("garden.md"),
        Attachment("notes.txt", "an upload"),
        Attachment("missing.md"),
    )
    await served.ask("see @b.md, @b.md and @nobody", attachments=attachments, conversation_id="c")
    asked, answer = await messages(served)
    assert (asked.paths, asked.uploads) == (("plans/garden.md", "b.md"), ("notes.txt",))
    assert (asked.number, asked.role, asked.state) == (1, "user", "complete")
    assert (answer.number, answer.role, answer.state) == (2, "assistant", "complete")
    assert (answer.model, answer.text) == ("s/beta", "Hello, world")
    assert answer.run_id == asked.run_id != ""


@pytest.mark.parametrize("conversation_id", BAD_IDS)
async def test_an_id_that_is_none_ends_the_stream_with_a_clear_error(
    served: World, conversation_id: str
) -> None:
    events = await served.ask("hi", conversation_id=conversation_id)
    assert isinstance(events[-1], Failed)
    assert "conversation_id" in events[-1].message
    assert served.upstream.chats == []
    assert await served.chat.conversations.find("", 10) == ([], 0)


async def test_the_message_is_on_the_disk_before_the_model_is_asked(served: World) -> None:
    served.upstream.behave(Script(gate_at=-1))
    run = served.chat.start(ChatRequest("one @nothing", conversation_id="c"))
    following = asyncio.ensure_future(events_of(run))  # noqa: TID251 - a reader of the test's own
    await served.upstream.until(lambda: len(served.upstream.chats) == 1)
    asked, answer = await messages(served)
    assert (asked.text, asked.state) == ("one @nothing", "complete")
    assert (answer.text, answer.state, answer.run_id) == ("", "live", run.id)
    with pytest.raises(Conflict):
        await served.chat.conversations.fork("c", 2)
    served.upstream.open_gate()
    await following
    assert [message.state for message in await messages(served)] == ["complete", "complete"]


async def test_a_stopped_answer_is_kept_as_far_as_it_got_and_said_again(served: World) -> None:
    served.upstream.behave(Script(chunks=("half", "rest"), gate_at=1))
    run = served.chat.start(ChatRequest("one", conversation_id="c"))
    following = asyncio.ensure_future(events_of(run))  # noqa: TID251 - a reader of the test's own
    await until(run, "half")
    run.cancel()
    assert isinstance((await following)[-1], Cancelled)
    assert [(row.text, row.state) for row in await messages(served)] == [
        ("one", "complete"),
        ("half", "cancelled"),
    ]
    served.upstream.behave(Script())
    await served.ask("two", conversation_id="c")
    assert [text for _, text in sent(served)] == ["one", "half", "two"]


@pytest.mark.parametrize("fault", ["reset", "error", "no_end"])
async def test_a_failed_answer_is_kept_as_far_as_it_got(served: World, fault: str) -> None:
    served.upstream.behave(Script(fault=fault, fault_at=2, together=fault == "error"))
    events = await served.ask("one", conversation_id="c")
    assert isinstance(events[-1], Failed)
    assert [(row.text, row.state) for row in await messages(served)] == [
        ("one", "complete"),
        ("Hello, ", "failed"),
    ]


async def test_an_answer_that_never_began_is_no_turn(served: World) -> None:
    served.upstream.behave(Script(fault="500"))
    await served.ask("one", conversation_id="c")
    assert [(row.text, row.state) for row in await messages(served)] == [
        ("one", "complete"),
        ("", "failed"),
    ]
    served.upstream.behave(Script())
    await served.ask("two", conversation_id="c")
    assert sent(served) == [("user", "one"), ("user", "two")]


async def test_of_two_messages_at_once_the_second_waits_and_knows_the_first(
    served: World,
) -> None:
    served.upstream.behave(Script(chunks=("first answer",), gate_at=0))
    runs = [served.chat.start(ChatRequest(text, conversation_id="c")) for text in ("one", "two")]
    following = [asyncio.ensure_future(events_of(run)) for run in runs]  # noqa: TID251 - as above
    await served.upstream.until(lambda: len(served.upstream.chats) == 1)
    assert await texts(served) == ["one", ""]
    served.upstream.open_gate()
    await asyncio.gather(*following)
    assert await texts(served) == ["one", "first answer", "two", "first answer"]
    assert [text for _, text in sent(served)] == ["one", "first answer", "two"]


async def test_who_waits_can_be_stopped_and_leaves_nothing(served: World) -> None:
    served.upstream.behave(Script(gate_at=0))
    first = served.chat.start(ChatRequest("one", conversation_id="c"))
    second = served.chat.start(ChatRequest("two", conversation_id="c", stream_id="x"))
    following = [asyncio.ensure_future(events_of(run)) for run in (first, second)]  # noqa: TID251 - as above
    await served.upstream.until(lambda: len(served.upstream.chats) == 1)
    assert served.chat.stop("x")
    assert isinstance((await following[1])[-1], Cancelled)
    served.upstream.open_gate()
    assert isinstance((await following[0])[-1], Completed)
    assert await texts(served) == ["one", "Hello, world"]


async def test_many_at_once_are_answered_one_after_the_other(served: World) -> None:
    runs = [served.chat.start(ChatRequest(f"m{n}", conversation_id="c")) for n in range(6)]
    await asyncio.gather(*(events_of(run) for run in runs))
    kept = await messages(served)
    assert [row.number for row in kept] == list(range(1, 13))
    assert [row.text for row in kept] == [
        text for n in range(6) for text in (f"m{n}", "Hello, world")
    ]
    assert [text for _, text in sent(served)] == [
        *(text for n in range(5) for text in (f"m{n}", "Hello, world")),
        "m5",
    ]


async def test_an_answer_from_memory_alone_is_kept_too(world: World) -> None:
    await world.write({"garden.md": "The tulips stand by the well.\n"})
    events = await world.ask("tulips?", conversation_id="c")
    assert await texts(world) == ["tulips?", said_in(events)]
    assert (await messages(world))[1].model == ""


async def test_an_action_in_a_conversation_is_kept_with_its_confirmation(served: World) -> None:
    events = await served.ask("/add_knowledge Bread needs flour.", conversation_id="c")
    assert isinstance(events[-1], Completed)
    assert await texts(served) == ["/add_knowledge Bread needs flour.", said_in(events)]


async def test_at_the_end_of_the_daemon_what_is_being_made_is_interrupted_with_its_text(
    home: Path,
) -> None:
    async with open_world(home) as world:
        await world.serve()
        world.upstream.behave(Script(chunks=("half", "rest"), gate_at=1))
        run = world.chat.start(ChatRequest("one", conversation_id="c"))
        following = asyncio.ensure_future(events_of(run))  # noqa: TID251 - a reader of the test's own
        await until(run, "half")
        world.chat.close()
        await following
    async with open_world(home) as world:
        assert [(row.text, row.state) for row in await messages(world)] == [
            ("one", "complete"),
            ("half", "interrupted"),
        ]


async def test_what_a_kill_left_live_is_interrupted_with_what_the_run_is_known_to_have_said(
    world: World,
) -> None:
    row = MessageRow(0, "assistant", "", 1.0, "live", run_id="r")
    asked = MessageRow(0, "user", "one", 1.0, run_id="r")
    await world.state.conversations.begin("c", "one", asked, row)
    await world.chat.conversations.interrupt({"r": "half an answer"})
    assert [(row.text, row.state) for row in await messages(world)] == [
        ("one", "complete"),
        ("half an answer", "interrupted"),
    ]


async def test_where_nothing_can_be_kept_no_model_is_asked(
    served: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> Any:
        raise StorageError("state.db cannot be used: the disk is full", code="storage_full")

    monkeypatch.setattr(served.state.conversations, "begin", refuse)
    events = await served.ask("one", conversation_id="c")
    assert isinstance(events[-1], Failed)
    assert "the disk is full" in events[-1].message
    assert served.upstream.chats == []


async def test_an_answer_that_cannot_be_kept_is_no_success(
    served: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> Any:
        raise StorageError("state.db cannot be used: the disk is full", code="storage_full")

    monkeypatch.setattr(served.state.conversations, "finish", refuse)
    events = await served.ask("one", conversation_id="c")
    assert said_in(events) == "Hello, world"
    assert isinstance(events[-1], Failed)


async def test_a_stop_while_the_answer_is_being_kept_loses_nothing(
    served: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = served.state.conversations.finish
    runs: list[Any] = []

    async def stopped_meanwhile(*given: Any) -> bool:
        runs[0].cancel()
        await asyncio.sleep(0)
        return await finish(*given)

    monkeypatch.setattr(served.state.conversations, "finish", stopped_meanwhile)
    runs.append(served.chat.start(ChatRequest("one", conversation_id="c")))
    await events_of(runs[0])
    assert [(row.text, row.state) for row in await messages(served)] == [
        ("one", "complete"),
        ("Hello, world", "complete"),
    ]


async def test_deleting_ends_what_is_answered_or_waits_and_nothing_of_it_comes_back(
    served: World,
) -> None:
    served.upstream.behave(Script(gate_at=1))
    runs = [served.chat.start(ChatRequest(text, conversation_id="c")) for text in ("one", "two")]
    following = [asyncio.ensure_future(events_of(run)) for run in runs]  # noqa: TID251 - as above
    await until(runs[0], "Hello")
    await served.chat.delete_conversation("c")
    await served.upstream.client_closed()
    for events in await asyncio.gather(*following):
        assert isinstance(events[-1], Cancelled)
        assert "deleted" in events[-1].message
    with pytest.raises(NotFound):
        await served.chat.conversations.get("c")
    assert told(served)[-1] == ("c", "deleted")
    assert served.chat.live() == []


async def test_what_is_deleted_under_an_answer_is_not_brought_back_by_its_end(
    served: World,
) -> None:
    served.upstream.behave(Script(gate_at=1))
    run = served.chat.start(ChatRequest("one", conversation_id="c"))
    following = asyncio.ensure_future(events_of(run))  # noqa: TID251 - a reader of the test's own
    await until(run, "Hello")
    assert await served.state.conversations.delete("c") == (run.id,)
    served.upstream.open_gate()
    assert isinstance((await following)[-1], Completed)
    assert await served.chat.conversations.find("", 10) == ([], 0)


async def test_more_of_an_answer_than_is_kept_is_not_cut_in_silence(served: World) -> None:
    served.upstream.behave(Script(chunks=("x" * (MAX_TEXT_CHARS // 2),) * 3, together=True))
    await served.ask("one", conversation_id="c")
    text = (await texts(served))[1]
    assert text.startswith("x" * MAX_TEXT_CHARS)
    assert "Only the first" in text


async def test_a_title_is_the_first_words_on_one_line(world: World) -> None:
    for number, (message, title) in enumerate(TITLES.items()):
        await world.ask(message, conversation_id=f"c{number}")
        row, _ = await world.chat.conversations.get(f"c{number}")
        assert row.title == title
    await world.ask("", attachments=(Attachment("up.txt", "x"),), conversation_id="u")
    assert (await world.chat.conversations.get("u"))[0].title == "up.txt"


async def test_a_title_can_be_changed_and_stays_so(served: World) -> None:
    await served.ask("one", conversation_id="c")
    row = await served.chat.conversations.rename("c", "  My\n garden ")
    assert row.title == "My garden"
    await served.ask("two", conversation_id="c")
    assert (await served.chat.conversations.get("c"))[0].title == "My garden"
    for title in ("", " \n ", "x" * 201):
        with pytest.raises(InvalidInput):
            await served.chat.conversations.rename("c", title)
    with pytest.raises(NotFound):
        await served.chat.conversations.rename("unknown", "x")


async def test_a_fork_goes_on_from_its_message(served: World) -> None:
    await served.ask("one", conversation_id="c")
    await served.ask("two", conversation_id="c")
    fork = await served.chat.conversations.fork("c", 2)
    await served.ask("another two", conversation_id=fork.id)
    assert [text for _, text in sent(served)] == ["one", "Hello, world", "another two"]
    assert (await texts(served))[2:] == ["two", "Hello, world"]


async def test_an_export_is_a_file_that_replaces_none(served: World) -> None:
    await served.write({"garden.md": "x\n", "what_grows_here.md": "mine\n"})
    served.upstream.behave(Script(chunks=("```py\nopen(1)",)))
    await served.ask("What grows here, @garden.md?", conversation_id="c")
    await served.chat.conversations.rename("c", "What grows here?")
    await served.ask("# and?\n", conversation_id="c")
    saved = await served.chat.conversations.export("c")
    assert (saved.path, saved.created) == ("what_grows_here_2.md", True)
    text = (served.root / saved.path).read_text()
    lines = text.splitlines()
    assert lines[0] == "# What grows here?"
    assert [line.partition(",")[0] for line in lines if line.startswith("## ")] == [
        "## You",
        "## s/beta",
        "## You",
        "## s/beta",
    ]
    assert "(with garden.md)" in lines
    assert "````markdown\n```py\nopen(1)\n````" in text
    assert (served.root / "what_grows_here.md").read_text() == "mine\n"
    again = await served.chat.conversations.export("c", "talks/one.md")
    assert (again.path, (served.root / "talks/one.md").read_text()) == ("talks/one.md", text)
    assert (await served.chat.conversations.export("c", "talks/one.md")).path != again.path
    for path in ("../out.md", str(served.root.parent / "x.md"), ".hidden.md"):
        with pytest.raises(PathRefused):
            await served.chat.conversations.export("c", path)
    with pytest.raises(NotFound):
        await served.chat.conversations.export("unknown")
