"""Conversations that do not fit, and the files that they spoke of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sgoped.chat import Completed, HistoryTold, Run, RunEvent, RunInfo
from sgoped.chat.answering import Desk, Question, answer
from sgoped.chat.compaction import Summaries, fit_history
from sgoped.llm import ModelChoice
from sgoped.prompts import History, Turn
from tests.chat.world import World, open_world, told_in
from tests.fakes.scripts import Script
from tests.llm.doubles import SilentService


def talk(count: int, paths: tuple[str, ...] = ()) -> tuple[Turn, ...]:
    """Turns of about forty tokens each, of a person and a model by turns."""
    return tuple(
        Turn(
            "user" if number % 2 == 0 else "assistant",
            f"Turn {number} is about the pump. " + "It runs and runs. " * 5,
            paths if number == 0 else (),
        )
        for number in range(count)
    )


def choice(service: SilentService) -> ModelChoice:
    return ModelChoice("s/m", "m", "s", service=service, assumed_tokens=8192, report=lambda _: None)


class Said(SilentService):
    """A silent service that remembers what it was asked."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.asked: list[str] = []

    def stream(self, model: str, messages: Any, **fields: Any) -> Any:
        self.asked.append("\n".join(message.content for message in messages))
        return super().stream(model, messages, **fields)


async def test_what_fits_is_sent_whole_and_no_model_is_asked() -> None:
    service = Said(texts=["a summary"])
    history = await fit_history(talk(6), 10_000, choice(service), Summaries())
    assert (history.turns, history.summary, service.asked) == (talk(6), "", [])


async def test_the_newest_stay_whole_and_the_model_sums_up_the_others() -> None:
    service = Said(texts=["They talked of the pump."])
    history = await fit_history(talk(40), 800, choice(service), Summaries())
    assert history.how == "model"
    assert history.summary == "They talked of the pump."
    assert history.turns == talk(40)[history.compacted :]
    assert len(history.turns) >= 4
    assert history.left_out == 0
    assert history.tokens <= 800
    assert "Turn 0 is" in service.asked[0]
    assert f"Turn {history.compacted} is" not in service.asked[0]


async def test_a_summary_is_not_made_again_while_the_next_turns_fit() -> None:
    service, summaries = Said(texts=["A summary."]), Summaries()
    turns = talk(60)
    first = await fit_history(turns[:40], 800, choice(service), summaries)
    second = await fit_history(turns[:42], 800, choice(service), summaries)
    assert len(service.asked) == 1
    assert second.compacted == first.compacted
    assert second.turns[-2:] == turns[40:42]
    third = await fit_history(turns[:56], 800, choice(service), summaries)
    assert len(service.asked) == 2
    assert "A summary." in service.asked[1]
    assert "Turn 0 is" not in service.asked[1]
    assert third.compacted > first.compacted


async def test_summaries_are_forgotten_with_their_conversation() -> None:
    service, summaries = Said(texts=["A summary."]), Summaries()
    other = tuple(Turn(turn.role, f"Else: {turn.text}") for turn in talk(40))
    await fit_history(talk(40), 800, choice(service), summaries, conversation_id="c")
    await fit_history(other, 800, choice(service), summaries, conversation_id="d")
    summaries.forget("c")
    assert summaries.longest(talk(40)) is None
    assert summaries.longest(other) is not None


@pytest.mark.parametrize("fields", [{"failure": None, "texts": []}, {"texts": ["word " * 3000]}])
async def test_without_a_summary_of_use_the_first_sentences_stand_for_it(
    fields: dict[str, Any],
) -> None:
    service, summaries = Said(**fields), Summaries()
    history = await fit_history(talk(40), 800, choice(service), summaries)
    assert history.how == "sentences"
    assert history.compacted + history.left_out + len(history.turns) == 40
    assert "Turn" in history.summary
    assert history.tokens <= 800
    await fit_history(talk(40), 800, choice(service), summaries)
    assert len(service.asked) == 1


async def test_a_model_that_takes_too_long_is_not_waited_for() -> None:
    class Silent(SilentService):
        async def context_tokens(self, model: str) -> int | None:
            await asyncio.Event().wait()
            return None

    history = await fit_history(talk(40), 800, choice(Silent()), Summaries(), seconds=0.01)
    assert history.how == "sentences"


async def test_without_any_room_all_is_left_out_and_counted() -> None:
    history = await fit_history(talk(40), 0, choice(Said(texts=["x"])), Summaries())
    assert (history.turns, history.compacted, history.left_out) == ((), 0, 40)


def test_summaries_without_end_are_not_all_kept() -> None:
    summaries = Summaries(max_kept=2)
    for count in (1, 2, 3):
        summaries.keep(talk(5)[:count], History((), f"{count}", count, 0, "model"))
    assert summaries.longest(talk(1)) is None
    assert summaries.longest(talk(9)) == (3, History((), "3", 3, 0, "model"))
    assert summaries.longest(()) is None


# -- as it is sent


@pytest.fixture
async def small(home: Path) -> AsyncIterator[World]:
    """A chat whose model can hold little."""
    async with open_world(home, context_tokens=2000) as world:
        yield world


async def ask(world: World, question: Question) -> list[RunEvent]:
    """The events of an answer to a question with a history."""
    desk = Desk(world.memory, world.registry, world.settings)
    run = Run(RunInfo("r", "r", "", "", 0.0))
    run.finish(await answer(run, desk, question))
    return [event for _, event in await run._log.read(run._log.join())]


@pytest.mark.parametrize("kind", ["ollama", "openai"])
async def test_earlier_turns_are_sent_as_messages_and_told(small: World, kind: str) -> None:
    await small.serve(kind)
    events = await ask(small, Question("and now?", history=talk(4)))
    messages = small.upstream.chats[-1].body["messages"]
    assert messages == [
        *({"role": turn.role, "content": turn.text} for turn in talk(4)),
        {"role": "user", "content": "and now?"},
    ]
    assert told_in(events).history == HistoryTold(4, 0, 0)


@pytest.mark.parametrize("kind", ["ollama", "openai"])
async def test_what_is_compacted_is_told_and_within_the_window(small: World, kind: str) -> None:
    await small.serve(kind)
    small.upstream.behave(Script(chunks=("They talked", " of pumps.")))
    turns = talk(120)
    events = await ask(small, Question("and now?", history=turns))
    assert isinstance(events[-1], Completed)
    told = told_in(events)
    asked, sent = (
        small.upstream.chats[-2].body["messages"],
        small.upstream.chats[-1].body["messages"],
    )
    assert "Summarise" in asked[-1]["content"]
    assert "They talked of pumps." in sent[0]["content"]
    assert told.history.how == "model"
    assert told.history.whole == len(sent) - 2
    assert told.history.whole + told.history.compacted + told.history.left_out == 120
    assert f"{told.history.left_out} messages before that are left out" in sent[0]["content"]
    assert told.tokens <= told.window_tokens == 2000
    assert [message["content"] for message in sent[1:-1]] == [
        turn.text for turn in turns[120 - told.history.whole :]
    ]


async def test_files_of_earlier_turns_go_along_again_where_there_is_room(small: World) -> None:
    await small.serve()
    await small.write({"old.md": "the old file\n", "new.md": "the new file\n"})
    turns = talk(2, ("old.md", "new.md", "gone.md"))
    events = await ask(small, Question("and @new.md?", history=turns))
    told = told_in(events)
    assert [(item.path, item.why) for item in told.items] == [
        ("new.md", "referenced"),
        ("old.md", "history"),
    ]
    assert "gone.md, referred to earlier, is left out" in told.notes[0]
    assert small.sent().count("the old file") == small.sent().count("the new file") == 1


async def test_a_file_that_is_gone_is_not_taken_for_another_whose_path_ends_likewise(
    small: World,
) -> None:
    await small.serve()
    await small.write({"private/plan.md": "nobody spoke of this one\n"})
    events = await ask(small, Question("and now?", history=talk(2, ("plan.md",))))
    told = told_in(events)
    assert told.items == ()
    assert "plan.md, referred to earlier, is left out" in told.notes[0]
    assert "nobody spoke of" not in small.sent()


async def test_files_of_earlier_turns_give_way_to_those_of_the_message(small: World) -> None:
    await small.serve()
    await small.write({"old.md": "old line\n" * 3000, "new.md": "new line\n" * 3000})
    events = await ask(small, Question("and @new.md?", history=talk(2, ("old.md",))))
    new, old = told_in(events).items
    assert new.lines
    assert (old.why, old.lines, old.chosen) == ("history", (), "no room in the model's window")
    assert "Left out entirely, for want of room: old.md" in small.sent()


async def test_earlier_files_are_not_counted_as_used(small: World) -> None:
    await small.serve()
    await small.write({"old.md": "1", "new.md": "2"})
    await small.memory.record_use("new.md")
    await ask(small, Question("well?", history=talk(2, ("old.md",))))
    newest, _ = await small.memory.documents(1)
    assert [document.path for document in newest] == ["new.md"]
