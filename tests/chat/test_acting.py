"""Actions in a chat and outside of one, with ``/add_knowledge`` from end to end."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from sgoped.actions import ActionRegistry, ActionRequest, ActionResult, Tools
from sgoped.chat import (
    ActionCompleted,
    Attachment,
    Cancelled,
    ChatRequest,
    Completed,
    ContextTold,
    Failed,
    execute_action,
    open_chat,
)
from sgoped.errors import NotFound
from sgoped.events import RunEnded, RunStarted
from tests.chat.world import World, events_of, followed, names, open_world, said_in
from tests.fakes.scripts import Script

TEXT = "The walrus sleeps at noon. " * 8
GOOD = ["ActionStarted", "ActionCompleted", "Content", "Completed"]


async def add(world: World, message: str = "", **fields: Any) -> list[Any]:
    return await world.ask(message, selected_action="add_knowledge", **fields)


def result_of(events: list[Any]) -> dict[str, Any]:
    (completed,) = [event for event in events if isinstance(event, ActionCompleted)]
    return completed.result


async def test_without_a_model_text_is_kept_and_confirmed_plainly(world: World) -> None:
    events = await add(world, TEXT)
    assert names(events) == GOOD
    result = result_of(events)
    assert result["filename"] == "walrus_sleeps_noon_walrus_sleeps.md"
    assert TEXT in world.files()[result["filename"]]
    assert result["filename"] in said_in(events)


async def test_the_file_is_suggested_at_once(world: World) -> None:
    result = result_of(await add(world, "x", knowledge_filename="walrus"))
    assert [hit.label for hit in await world.memory.find("walrus")] == [result["filename"]]


async def test_a_model_names_summarises_and_confirms(served: World) -> None:
    served.upstream.behave(Script(chunks=("sea", "_beasts")))
    events = await add(served, TEXT)
    assert names(events) == GOOD
    result = result_of(events)
    assert result["filename"] == "sea_beasts.md"
    assert result["named_by"] == "model"
    assert result["summary"] == "sea_beasts"
    stored = served.files()["sea_beasts.md"]
    assert "## Summary\n\n> sea_beasts" in stored
    assert TEXT in stored
    assert set(served.files()) == {"sea_beasts.md"}
    assert said_in(events) == "sea_beasts"


async def test_uploads_and_memory_files_are_stored_whole(served: World) -> None:
    await served.write({"old.md": "OLD ``` TEXT"})
    events = await add(
        served,
        "my words about @old.md",
        attachments=(Attachment("up.py", "print(1)\n"), Attachment("old.md"), Attachment("gone")),
        knowledge_filename="all of it",
    )
    result = result_of(events)
    assert result["filename"] == "all of it.md"
    stored = served.files()["all of it.md"]
    assert "my words about @old.md" in stored
    assert "```py\nprint(1)\n```" in stored
    assert "````md\nOLD ``` TEXT\n````" in stored
    assert "Summary of up.py" in stored
    assert "Summary of old.md" not in stored
    assert [line.partition(":")[0] for line in result["missing"]] == ["gone"]
    assert any(isinstance(event, ContextTold) for event in events)


async def test_a_leading_command_is_the_action_without_a_selection(world: World) -> None:
    events = await world.ask("/add_knowledge buy milk", knowledge_filename="list")
    assert names(events) == GOOD
    assert world.files()["list.md"].endswith("## Text\n\nbuy milk\n")


async def test_a_command_in_the_middle_or_an_unknown_one_is_text(world: World) -> None:
    assert names(await world.ask("say /add_knowledge x"))[0] == "Started"
    assert names(await world.ask("/add_knowledgeable x"))[0] == "Started"
    assert names(await world.ask("/usr/bin/env"))[0] == "Started"
    assert world.files() == {}


async def test_an_unknown_selection_is_a_failure_that_names_the_known(world: World) -> None:
    events = await world.ask("x", selected_action="fly")
    assert isinstance(events[-1], Failed)
    assert "'fly'" in events[-1].message
    assert "/add_knowledge" in events[-1].message


@pytest.mark.parametrize("message", ["", "  \n", "/add_knowledge  "])
async def test_an_empty_request_is_refused_in_words(world: World, message: str) -> None:
    events = await add(world, message, attachments=(Attachment("gone.md"),))
    assert names(events) == ["ActionStarted", "Failed"]
    assert "nothing to save" in events[-1].message
    assert "gone.md" in events[-1].message
    assert world.files() == {}


async def test_nothing_is_overwritten(world: World) -> None:
    await world.write({"notes.md": "mine"})
    result = result_of(await add(world, "new", knowledge_filename="notes.md"))
    assert result["filename"] == "notes_2.md"
    assert world.files()["notes.md"] == "mine"


async def test_a_models_name_that_is_taken_is_numbered(served: World) -> None:
    await served.write({"sea_beasts.md": "mine", "sea_beasts_2.md": "mine too"})
    served.upstream.behave(Script(chunks=("sea_beasts",)))
    result = result_of(await add(served, TEXT))
    assert result["filename"] == "sea_beasts_3.md"
    assert served.files()["sea_beasts.md"] == "mine"


@pytest.mark.parametrize(
    "name", ["../../outside.md", "BESIDE/outside", "..\\outside", ".outside", "a/b/outside.txt"]
)
async def test_a_given_name_never_leaves_the_folder(world: World, home: Path, name: str) -> None:
    name = name.replace("BESIDE", str(home))
    result = result_of(await add(world, "text", knowledge_filename=name))
    assert result["filename"] in ("outside.md", "outside.txt")
    assert [path.name for path in home.rglob("*outside*") if "versions" not in path.parts] == [
        result["filename"]
    ]


async def test_a_models_answer_is_no_path(served: World, home: Path) -> None:
    served.upstream.behave(Script(chunks=("../../../outside",)))
    result = result_of(await add(served, "text"))
    assert result["filename"] == "outside.md"
    assert (served.root / "outside.md").is_file()


@pytest.mark.parametrize("fault", ["500", "reset", "stall_early", "error"])
async def test_a_dying_model_costs_only_its_own_part(home: Path, fault: str) -> None:
    async with open_world(home, first_token_timeout_seconds=0.3) as world:
        await world.serve()
        world.upstream.behave(Script(fault=fault, fault_at=1))
        events = await add(world, TEXT, attachments=(Attachment("up.txt", "whole upload"),))
        assert names(events) == GOOD
        stored = world.files()[result_of(events)["filename"]]
    assert TEXT in stored
    assert "whole upload" in stored
    assert "Summary" not in stored


async def test_the_text_is_on_the_disk_before_the_model_has_said_anything(served: World) -> None:
    served.upstream.behave(Script(gate_at=-1))
    run = served.chat.start(ChatRequest(TEXT, selected_action="add_knowledge", stream_id="x"))
    await served.upstream.until(lambda: len(served.upstream.chats) == 1)
    (stored,) = served.files().values()
    assert TEXT in stored
    served.chat.stop("x")
    end = (await events_of(run))[-1]
    assert isinstance(end, Cancelled)
    assert f"Kept: {next(iter(served.files()))}" in end.message
    assert TEXT in next(iter(served.files().values()))


async def test_a_summary_that_was_paid_for_survives_a_stop(home: Path) -> None:
    async with open_world(home) as world:
        await world.serve()
        world.upstream.behave(Script(chunks=("A fine summary",)))
        request = ChatRequest(
            TEXT,
            (Attachment("up.txt", "upload"),),
            stream_id="x",
            selected_action="add_knowledge",
            knowledge_filename="n",
        )
        run = world.chat.start(request)
        await world.upstream.until(lambda: len(world.upstream.chats) == 1)
        world.upstream.behave(Script(gate_at=-1))
        await world.upstream.until(lambda: len(world.upstream.chats) == 2)
        world.chat.stop("x")
        assert isinstance((await events_of(run))[-1], Cancelled)
        assert "> A fine summary" in world.files()["n.md"]


async def test_a_person_who_edits_the_file_meanwhile_is_not_overwritten(served: World) -> None:
    served.upstream.behave(Script(gate_at=-1))
    run = served.chat.start(
        ChatRequest(TEXT, selected_action="add_knowledge", knowledge_filename="n")
    )
    await served.upstream.until(lambda: len(served.upstream.chats) == 1)
    (served.root / "n.md").write_text("edited by hand")
    served.upstream.open_gate()
    events = await events_of(run)
    assert isinstance(events[-1], Completed)
    assert served.files() == {"n.md": "edited by hand"}
    assert "problems" in result_of(events)


async def test_a_model_that_is_gone_does_not_keep_an_action_from_saving(world: World) -> None:
    events = await add(world, "text", model="gone", knowledge_filename="n")
    assert names(events) == GOOD
    assert "text" in world.files()["n.md"]


async def test_a_confirmation_that_breaks_off_is_completed_plainly(served: World) -> None:
    served.upstream.behave(Script(fault="reset", fault_at=1))
    events = await add(served, "short", knowledge_filename="n")
    assert names(events) == GOOD
    assert said_in(events) == "Hello\n\nSaved as n.md."


async def test_a_stop_during_the_confirmation_still_says_what_is_kept(served: World) -> None:
    served.upstream.behave(Script(gate_at=-1))
    request = ChatRequest(
        "short", stream_id="x", selected_action="add_knowledge", knowledge_filename="n"
    )
    run = served.chat.start(request)
    await served.upstream.until(lambda: len(served.upstream.chats) == 1)
    served.chat.stop("x")
    events = await events_of(run)
    assert names(events) == ["ActionStarted", "ActionCompleted", "Cancelled"]
    end = events[-1]
    assert isinstance(end, Cancelled)
    assert "Kept: n.md" in end.message


async def test_an_action_outside_a_chat_gives_its_result(world: World) -> None:
    result = await execute_action("/add_knowledge", "# Trip", (), chat=world.chat)
    assert result["filename"] == "trip.md"
    assert result["message"] == "Saved as trip.md."
    with pytest.raises(NotFound, match="no action 'fly'"):
        await execute_action("fly", "x", (), chat=world.chat)


async def test_runs_are_told_on_the_bus(world: World) -> None:
    run = world.chat.start(ChatRequest("hi"))
    await events_of(run)
    await asyncio.sleep(0)
    told = [event for _, event in world.bus.since(0) if isinstance(event, RunStarted | RunEnded)]
    assert told == [RunStarted(run.id), RunEnded(run.id, "completed")]


class Odd:
    """An action that somebody else wrote."""

    name = "odd"
    description = "does odd things"
    category = "test"
    tags: tuple[str, ...] = ()

    async def run(self, request: ActionRequest, tools: Tools) -> ActionResult:
        if request.text == "raise":
            raise ZeroDivisionError
        if request.text == "json":
            return ActionResult({"x": object()}, "done")
        if request.text == "touch":
            saved = await tools.add_text("mine.md", "1")
            other = type(saved)("precious.md", 1, "", created=False, version=None)  # type: ignore[call-arg]
            await tools.replace_text(other, "gone")
        return ActionResult({}, "")


@pytest.mark.parametrize("text", ["raise", "json"])
async def test_an_action_that_breaks_is_a_failure_and_no_more(world: World, text: str) -> None:
    registry = ActionRegistry([Odd()])
    async with open_chat(
        world.memory, world.registry, registry, world.settings, world.bus, state=world.state
    ) as chat:
        events = await events_of(chat.start(ChatRequest(f"/odd {text}")))
        assert names(events) == ["ActionStarted", "Failed"]
        fine = await events_of(chat.start(ChatRequest("/odd fine")))
    assert names(fine) == GOOD
    assert said_in(fine) == "Done."


async def test_an_action_can_change_only_what_it_saved_itself(world: World) -> None:
    await world.write({"precious.md": "precious"})
    registry = ActionRegistry([Odd()])
    async with open_chat(
        world.memory, world.registry, registry, world.settings, world.bus, state=world.state
    ) as chat:
        events = await events_of(chat.start(ChatRequest("/odd touch")))
    assert isinstance(events[-1], Failed)
    assert world.files()["precious.md"] == "precious"


async def test_the_action_start_is_the_first_event_at_once(world: World) -> None:
    run = world.chat.start(ChatRequest("x", selected_action="add_knowledge"))
    async with aclosing(followed(run)) as batches:
        assert names(await anext(batches)) == ["ActionStarted"]
