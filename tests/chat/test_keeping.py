"""Runs in ``state.db``: written while they are made, found again, and ended after a kill."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from sgoped.chat import (
    Cancelled,
    Citations,
    Completed,
    Content,
    ContextTold,
    Failed,
    Run,
    RunEvent,
    RunInfo,
    Started,
    UsageTold,
    keeping,
)
from sgoped.chat.keeping import Keeper
from sgoped.chat.stored import INTERRUPTED, MAX_MESSAGE_CHARS
from sgoped.errors import StorageError
from sgoped.state import LIVE, MessageRow, RunRecords, State, open_state

CONTEXT = ContextTold((), ("x: not there",), (), 3, 8, 2.0)
USAGE = UsageTold("m", 7, 3, 9, 0.5, 1.5, 2.0, 4.0)


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[State]:
    async with open_state(tmp_path / "state.db", tmp_path / "backups") as state:
        state.changed.clear()
        yield state


def new_run(run_id: str, started_at: float = 1.0, **fields: object) -> Run:
    return Run(RunInfo(run_id, "stream", "m", "", started_at, **fields))  # type: ignore[arg-type]


def speak(run: Run, *texts: str) -> None:
    for text in texts:
        run.say(text)


async def numbered(run: Run | None, after: int = 0) -> list[tuple[int, RunEvent]]:
    assert run is not None
    seen: list[tuple[int, RunEvent]] = []
    async with aclosing(run.follow(after)) as batches:
        async for batch in batches:
            seen += batch
    return seen


async def kept(keeper: Keeper, *runs: Run) -> None:
    for run in runs:
        keeper.hold(run)
    await keeper.save()


def ids(found: Sequence[object]) -> list[str]:
    return [each.info.id for each in found]  # type: ignore[attr-defined]


async def test_an_ended_run_is_found_as_it_was(state: State) -> None:
    run = new_run("r", message="why?", conversation_id="c", durable=True)
    run.add(Started("m", 1.0))
    run.add(CONTEXT)
    run.add(Content("<think>", 2.0, "tag"))
    run.add(Content("hm", 2.5, "thought"))
    run.add(Content("</think>", 2.6, "tag"))
    speak(run, "because", " so")
    run.add(Citations((), 3.5))
    run.add(USAGE)
    run.finish(Completed(5.0, "length"))
    keeper = Keeper(RunRecords(state), 10)
    await kept(keeper, run)
    again = await Keeper(RunRecords(state), 10).find("r")
    assert again is not None
    assert again is not run
    assert (again.info, again.state, again.end) == (run.info, "completed", Completed(5.0, "length"))
    assert again.text == "because so"
    assert again.told == (CONTEXT, Citations((), 3.5), USAGE)
    assert again.last_event_id == run.last_event_id
    for after in range(run.last_event_id + 2):
        assert await numbered(again, after) == await numbered(run, after)


async def test_a_long_run_is_written_piece_by_piece_and_found_whole(state: State) -> None:
    run = new_run("r")
    keeper = Keeper(RunRecords(state), 10)
    keeper.hold(run)
    async with aclosing(run.follow()) as batches:
        for number in range(300):
            speak(run, f"{number} {'ä' * (number % 7) * 300}")
            await anext(batches)
            if number % 20 == 0:
                await keeper.save()
        run.finish(Completed(1.0))
        await anext(batches)
    await keeper.save()
    assert len(run.kept().pages) > 3
    assert await numbered(await Keeper(RunRecords(state), 10).find("r")) == await numbered(run)


async def test_what_is_shed_is_shed_on_the_disk_too(state: State) -> None:
    run = Run(RunInfo("r", "s", "m", "", 1.0, durable=True))
    run._log._max_kept_bytes = 2000
    keeper = Keeper(RunRecords(state), 10)
    keeper.hold(run)
    for number in range(3000):
        speak(run, f"{number} {hash(str(number))} {'x' * 100}")
        if number % 100 == 0:
            await keeper.save()
    run.finish(Completed(1.0))
    await keeper.save()
    seen = await numbered(await keeper.find("r"))
    assert 1 < seen[0][0] < 3000
    assert seen == await numbered(run)


async def test_a_run_that_a_kill_left_live_ends_interrupted_with_its_text(state: State) -> None:
    run = new_run("r", message="why?")
    run.add(Started("m", 1.0))
    run.add(CONTEXT)
    run.add(Content("hm", 2.0, "thought"))
    speak(run, "half an ", "answer")
    await kept(Keeper(RunRecords(state), 10), run, new_run("empty", 0.5))
    seen = 5
    speak(run, "never written")

    keeper = Keeper(RunRecords(state), 10)
    assert sorted(await keeper.recover()) == ["empty", "r"]
    assert await keeper.recover() == []
    again = await keeper.find("r")
    assert again is not None
    assert (again.state, again.text, again.told) == ("interrupted", "half an answer", (CONTEXT,))
    events = await numbered(again)
    assert events[:-1] == (await take_all_but_last(run))[:seen]
    assert isinstance(events[-1][1], Failed)
    assert events[-1][1].message == INTERRUPTED
    assert INTERRUPTED.startswith("interrupted")
    # Who saw more than was written still sees the end.
    for after in (seen, seen + 1, seen + 2, 10**9):
        assert await numbered(again, after) == [events[-1]]
    assert [(each.info.id, each.state) for each in await keeper.listed(10)] == [
        ("r", "interrupted"),
        ("empty", "interrupted"),
    ]
    assert await keeper.listed(10, "live") == []


async def test_a_thought_that_a_kill_cut_off_is_closed(state: State) -> None:
    run = new_run("r")
    run.add(Content("<think>", 1.0, "tag"))
    run.add(Content("hm", 2.0, "thought"))
    await kept(Keeper(RunRecords(state), 10), run)
    keeper = Keeper(RunRecords(state), 10)
    await keeper.recover()
    events = [event for _, event in await numbered(await keeper.find("r"))]
    assert [getattr(event, "text", "") for event in events] == ["<think>", "hm", "</think>", ""]
    assert isinstance(events[-1], Failed)


async def take_all_but_last(run: Run) -> list[tuple[int, RunEvent]]:
    async with aclosing(run.follow()) as batches:
        return list(await anext(batches))


async def test_a_run_that_ended_with_sgoped_is_kept_as_interrupted(state: State) -> None:
    run = new_run("r")
    speak(run, "half")
    run.interrupted = True
    run.finish(Cancelled("sgoped is shutting down.", 2.0))
    await kept(Keeper(RunRecords(state), 10), run)
    again = await Keeper(RunRecords(state), 10).find("r")
    assert again is not None
    assert (again.state, again.text) == ("interrupted", "half")
    assert await numbered(again) == [
        (1, (await numbered(run))[0][1]),
        (2, Failed(INTERRUPTED, 2.0)),
    ]


async def test_only_the_newest_ended_runs_stay(state: State) -> None:
    keeper = Keeper(RunRecords(state), 3)
    live = new_run("live", 0.0)
    runs = [live, *(new_run(f"r{number}", float(number)) for number in range(1, 7))]
    for run in runs[1:]:
        run.finish(Completed(9.0))
    await kept(keeper, *runs)
    assert ids(await keeper.listed(10)) == ["r6", "r5", "r4", "live"]
    assert ids(await keeper.listed(2)) == ["r6", "r5"]
    assert ids(await keeper.listed(10, "live")) == ["live"]
    assert await keeper.find("r1") is None


async def test_all_ended_runs_together_stay_within_their_bound(state: State) -> None:
    records = RunRecords(state)
    keeper = Keeper(records, 100)
    for number in range(10):
        run = new_run(f"r{number}", float(number))
        speak(run, "".join(chr(0x4E00 + (number * 7919 + n * n) % 20000) for n in range(3000)))
        run.finish(Completed(9.0))
        await kept(keeper, run)
    assert len(await records.listed(100)) == 10
    await records.save([], 100, 30_000)  # nothing ended: nothing is looked at
    last = new_run("last", 99.0)
    last.finish(Completed(9.0))
    from sgoped.chat.stored import change_of  # noqa: PLC0415

    await records.save([change_of(last, last.kept())], 100, 30_000)
    left = [row.id for row in await records.listed(100)]
    assert left[0] == "last"
    assert 1 < len(left) < 6


async def test_with_none_to_be_kept_nothing_is_on_the_disk(state: State, tmp_path: Path) -> None:
    old = new_run("old")
    old.finish(Completed(1.0))
    await kept(Keeper(RunRecords(state), 10), old)
    keeper = Keeper(RunRecords(state), 0)
    assert await keeper.recover() == []
    run = new_run("r")
    speak(run, "a secret")
    run.finish(Completed(1.0))
    await kept(keeper, run)
    assert await keeper.find("r") is run, "for who comes back in this moment"
    assert ids(await keeper.listed(10)) == ["r"]
    assert await RunRecords(state).listed(10) == []
    assert b"a secret" not in (tmp_path / "state.db-wal").read_bytes()
    assert await keeper.forget("r")
    assert await keeper.find("r") is None


async def test_what_is_not_to_be_kept_is_never_written(state: State, tmp_path: Path) -> None:
    keeper = Keeper(RunRecords(state), 10)
    run = new_run("r", message="a secret")
    keeper.hold(run, keep=False)
    speak(run, "a secret")
    await keeper.save()
    assert await keeper.find("r") is run
    run.finish(Completed(1.0))
    keeper.note_end()
    await keeper.save()
    assert await keeper.find("r") is None
    assert await keeper.listed(10) == []
    for file in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert b"a secret" not in file.read_bytes()


async def test_without_a_disk_only_the_last_few_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeping, "MAX_UNSAVED_RUNS", 5)
    keeper = Keeper(None, 10)
    live = new_run("live")
    keeper.hold(live)
    for number in range(20):
        run = new_run(f"r{number}", float(number + 1))
        run.finish(Completed(1.0))
        keeper.hold(run)
    assert ids(await keeper.listed(100)) == ["r19", "r18", "r17", "r16", "r15", "live"]
    monkeypatch.setattr(keeping, "MAX_UNSAVED_BYTES", 0)
    keeper.note_end()
    assert ids(await keeper.listed(100)) == ["live"]


async def test_a_forgotten_run_is_in_no_byte_of_the_database(state: State, tmp_path: Path) -> None:
    run = new_run("r", message="the secret question")
    run.finish(Completed(1.0))
    keeper = Keeper(RunRecords(state), 10)
    await kept(keeper, run)
    assert await keeper.forget("r")
    assert not await keeper.forget("r")
    await state._database.run(lambda connection: connection.execute("select * from run").fetchall())
    for file in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert b"secret question" not in file.read_bytes()


async def test_the_runs_of_a_conversation_go_with_it(state: State) -> None:
    keeper = Keeper(RunRecords(state), 10)
    live = new_run("live", conversation_id="c")
    ended = [new_run(f"r{n}", conversation_id="c" if n else "other") for n in range(3)]
    for run in ended:
        run.finish(Completed(1.0))
    asked = MessageRow(0, "user", "?", 1.0, run_id="live")
    await state.conversations.begin("c", "?", asked, replace(asked, role="assistant"))
    await kept(keeper, live, *ended[:2])
    keeper.hold(ended[2])
    keeper.let_go("c")
    begun = new_run("begun meanwhile", conversation_id="c")
    await kept(keeper, begun)
    await state.conversations.delete("c")
    live.finish(Cancelled("deleted", 1.0))
    keeper.write_anew("c")
    await keeper.save()
    assert sorted(ids(await keeper.listed(10))) == ["begun meanwhile", "r0"]
    rows = await RunRecords(state).listed(10)
    assert sorted(row.id for row in rows) == ["begun meanwhile", "r0"]


async def test_writing_runs_causes_no_backup(state: State) -> None:
    run = new_run("r")
    run.finish(Completed(1.0))
    keeper = Keeper(RunRecords(state), 10)
    await kept(keeper, run)
    await keeper.forget("r")
    assert not state.changed.is_set()


async def test_a_disk_that_refuses_costs_nothing_but_the_keeping(
    state: State, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = Keeper(RunRecords(state), 10)
    real = state.run

    async def refuse(work: object) -> None:
        raise StorageError("state.db cannot be used: full")

    monkeypatch.setattr(state, "run", refuse)
    run = new_run("r")
    speak(run, "x")
    run.finish(Completed(1.0))
    await kept(keeper, run)
    await keeper.save()
    assert caplog.text.count("cannot be kept") == 1
    assert await keeper.find("r") is run
    monkeypatch.setattr(state, "run", real)
    await keeper.save()
    assert [row.state for row in await RunRecords(state).listed(10)] == ["completed"]


async def test_it_writes_at_the_start_then_while_it_is_made_and_at_the_end(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "SAVE_SECONDS", 0.01)
    monkeypatch.setattr(keeping, "PAUSE_SECONDS", 0.0)
    records = RunRecords(state)
    keeper = Keeper(records, 10)

    async def until(row_state: str, last_event: int) -> None:
        async with asyncio.timeout(10):
            while True:
                rows = await records.listed(1)
                if [(row.state, row.last_event) for row in rows] == [(row_state, last_event)]:
                    return
                await asyncio.sleep(0.005)

    async with asyncio.TaskGroup() as tasks:
        keeping_on = tasks.create_task(keeper.keep())
        run = new_run("r")
        run.add(Started("m", 1.0))
        keeper.hold(run)
        await until(LIVE, 1)
        speak(run, "more")
        await until(LIVE, 2)
        run.finish(Completed(1.0))
        keeper.note_end()
        await until("completed", 3)
        keeping_on.cancel()


async def test_a_pasted_message_is_kept_by_its_beginning(state: State) -> None:
    run = new_run("r", message="x" * (MAX_MESSAGE_CHARS + 5))
    await kept(Keeper(RunRecords(state), 10), run)
    (row,) = await RunRecords(state).listed(1)
    assert len(row.info) < MAX_MESSAGE_CHARS + 1000


async def test_a_text_that_is_no_utf8_is_no_damage(state: State) -> None:
    run = new_run("r")
    speak(run, "the file \udcff.md")
    run.finish(Completed(1.0))
    keeper = Keeper(RunRecords(state), 10)
    await kept(keeper, run)
    assert state.problem == ""
    found = await keeper.find("r")
    assert found is not None
    assert found.text == "the file ?.md"


async def test_what_cannot_be_read_is_left_out_and_hides_no_other(state: State) -> None:
    keeper = Keeper(RunRecords(state), 10)
    for run_id in ("good", "odd", "live"):
        run = new_run(run_id)
        speak(run, "x")
        if run_id != "live":
            run.finish(Completed(1.0))
        await kept(keeper, run)

    def garble(connection: sqlite3.Connection) -> None:
        connection.execute("update run set info = '{}' where id = 'odd'")
        connection.execute("update run_page set events = 'x' where run_id = 'live'")

    await state.run(garble)
    later = Keeper(RunRecords(state), 10)
    assert await later.recover() == ["live"]
    assert ids(await later.listed(10)) == ["good"]
    assert await later.find("odd") is None
    assert await later.find("live") is None
