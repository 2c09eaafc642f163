"""A run's events and its one end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgoped.chat import Cancelled, Completed, Content, End, Failed, Run, RunInfo
from sgoped.chat import run as run_module
from sgoped.chat.log import MAX_KEPT_BYTES, MAX_UNREAD_BYTES, RunLog
from sgoped.chat.relay import Relay
from sgoped.errors import ServiceError
from sgoped.llm import Finished, ReasoningDelta, StreamEvent, TextDelta, Usage
from tests.chat.world import ENDS, events_of, followed, said_in

Work = Callable[[], Awaitable[End]]


def new_run(log: RunLog | None = None) -> Run:
    return Run(RunInfo("r", "s", "m", "", 0.0), log)


def begin(run: Run, tasks: asyncio.TaskGroup, work: Work) -> None:
    run.begin(tasks, work, lambda _: None)


async def ends(work: Work, cancel_after: int | None = None) -> list[Any]:
    run = new_run()
    async with asyncio.TaskGroup() as tasks:
        begin(run, tasks, work)
        for _ in range(cancel_after or 0):
            await asyncio.sleep(0)
        if cancel_after is not None:
            run.cancel("enough")
        return await events_of(run)


async def for_ever() -> End:
    await asyncio.Event().wait()
    raise AssertionError


async def test_the_works_result_is_the_end() -> None:
    async def work() -> End:
        return Completed(1.0)

    assert await ends(work) == [Completed(1.0)]


async def test_an_expected_failure_ends_in_its_own_words() -> None:
    async def work() -> End:
        raise ServiceError("Connection lost")

    (end,) = await ends(work)
    assert isinstance(end, Failed)
    assert end.message == "Connection lost"


async def test_an_unexpected_failure_ends_in_ours_and_its_message_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret = "the person's text"

    async def work() -> End:
        raise ZeroDivisionError(secret)

    (end,) = await ends(work)
    assert isinstance(end, Failed)
    assert end.message == run_module.UNEXPECTED
    assert "ZeroDivisionError" in caplog.text
    assert secret not in caplog.text


@pytest.mark.parametrize("steps", [0, 1, 2])
async def test_a_run_cancelled_before_or_after_its_first_step_says_so(steps: int) -> None:
    (end,) = await ends(for_ever, cancel_after=steps)
    assert isinstance(end, Cancelled)
    assert end.message == "enough"


async def test_a_second_cancellation_does_not_interrupt_the_closing() -> None:
    closed = asyncio.Event()
    closing = asyncio.Event()

    async def work() -> End:
        try:
            await asyncio.Event().wait()
        finally:
            closing.set()
            await asyncio.sleep(0)
            closed.set()
        raise AssertionError

    run = new_run()
    async with asyncio.TaskGroup() as tasks:
        begin(run, tasks, work)
        await asyncio.sleep(0)
        run.cancel("one")
        await closing.wait()
        run.cancel("two")
        assert [type(event) for event in await events_of(run)] == [Cancelled]
    assert closed.is_set()


async def test_nothing_comes_behind_the_end() -> None:
    run = new_run()
    run.finish(Completed(1.0))
    run.finish(Failed("late", 2.0))
    run.say("late")
    assert await events_of(run) == [Completed(1.0)]


async def test_an_ended_run_can_be_followed_again_from_a_number() -> None:
    run = new_run()
    for text in "abc":
        run.say(text)
    run.finish(Completed(1.0))
    async with aclosing(followed(run, after=2)) as batches:
        events = [event async for batch in batches for event in batch]
    assert said_in(events) == "c"
    assert events[-1] == Completed(1.0)


async def test_a_run_that_nobody_ever_follows_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_module, "UNFOLLOWED_SECONDS", 0.01)
    run = new_run()
    async with asyncio.TaskGroup() as tasks:
        begin(run, tasks, for_ever)
    assert isinstance(run.end, Cancelled)


async def test_one_of_two_followers_leaving_changes_nothing() -> None:
    run = new_run()
    go = asyncio.Event()

    async def work() -> End:
        run.say("x")
        await go.wait()
        return Completed(1.0)

    async with asyncio.TaskGroup() as tasks:
        begin(run, tasks, work)
        async with aclosing(followed(run)) as staying:
            assert said_in(await anext(staying)) == "x"
            async with aclosing(followed(run)) as leaving:
                assert said_in(await anext(leaving)) == "x"
            go.set()
            assert list(await anext(staying)) == [Completed(1.0)]


async def test_a_stalled_follower_holds_the_stream_and_memory_stays_flat() -> None:
    run = new_run()
    read = 0

    async def stream() -> AsyncGenerator[Sequence[StreamEvent], None]:
        nonlocal read
        for _ in range(2000):
            read += 1
            yield [TextDelta("x" * 10_000)]
        yield [Finished("stop")]

    async def work() -> End:
        await Relay(run).play(stream())
        return Completed(1.0)

    async with asyncio.TaskGroup() as tasks:
        begin(run, tasks, work)
        async with aclosing(followed(run)) as batches:
            await anext(batches)
            for _ in range(5000):
                await asyncio.sleep(0)
            assert read * 20_000 < MAX_UNREAD_BYTES * 2
            peak = 0
            chars = 0
            async for batch in batches:
                chars += len(said_in(batch))
                peak = max(peak, run._log.kept_bytes)
    assert peak < 2 * (MAX_UNREAD_BYTES + MAX_KEPT_BYTES)
    assert read == 2000
    assert isinstance(run.end, Completed)


STEP = st.one_of(
    st.builds(TextDelta, st.text(min_size=1, max_size=5)),
    st.builds(ReasoningDelta, st.text(min_size=1, max_size=5)),
    st.just(Usage(1, 1)),
    st.just("pause"),
    st.just("service error"),
    st.just("bug"),
    st.just("finish"),
)


async def played(script: list[list[Any]]) -> AsyncGenerator[Sequence[StreamEvent], None]:
    """What an upstream sends: batches of events with faults among them."""
    for batch in script:
        events = [event for event in batch if not isinstance(event, str)]
        events += [Finished("stop")] if "finish" in batch else []
        if events:
            yield events
        if "pause" in batch:
            await asyncio.sleep(0)
        if "service error" in batch:
            raise ServiceError("Connection lost")
        if "bug" in batch:
            raise ZeroDivisionError


async def follow_for(run: Run, batches_to_take: int | None) -> None:
    taken = 0
    async with aclosing(followed(run)) as batches:
        async for _ in batches:
            if taken == batches_to_take:
                return
            taken += 1


@settings(max_examples=300)
@given(
    st.lists(st.lists(STEP, min_size=1, max_size=4), max_size=12),
    st.none() | st.integers(0, 30),
    st.none() | st.integers(0, 6),
)
async def test_under_any_faults_stops_and_leavings_there_is_exactly_one_end_and_it_is_last(
    script: list[list[Any]], stop_after: int | None, leave_after: int | None
) -> None:
    run = new_run(RunLog(max_unread_bytes=600, max_kept_bytes=100_000))

    async def work() -> End:
        await Relay(run).play(played(script))
        return Completed(time.time())

    async with asyncio.TaskGroup() as tasks:
        begin(run, tasks, work)
        tasks.create_task(follow_for(run, leave_after))
        for _ in range(stop_after or 0):
            await asyncio.sleep(0)
        if stop_after is not None:
            run.cancel()
    events = await events_of(run)
    texts = [event.text for event in events if isinstance(event, Content)]
    assert isinstance(events[-1], ENDS)
    assert texts.count("<think>") == texts.count("</think>")
    assert run.end is events[-1]
