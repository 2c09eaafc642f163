"""Followers that leave, come back and come late; what a run does meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgoped.chat import Cancelled, Completed, Content, End, Run, RunEvent, RunInfo
from sgoped.chat.log import RunLog
from sgoped.chat.run import LEFT, SHUTTING_DOWN
from tests.chat.world import events_of, followed, said_in

Numbered = list[tuple[int, RunEvent]]


def new_run(*, durable: bool = False, grace_seconds: float = 0.0, **log: Any) -> Run:
    info = RunInfo("r", "s", "m", "", 0.0, durable=durable)
    return Run(info, RunLog(goes_on=durable, **log), grace_seconds=grace_seconds)


def begin(run: Run, tasks: asyncio.TaskGroup, work: Callable[[], Awaitable[End]]) -> None:
    run.begin(tasks, work, lambda _: None)


async def for_ever() -> End:
    await asyncio.Event().wait()
    raise AssertionError


async def take(run: Run, after: int, until: int | None) -> Numbered:
    """Follow behind ``after`` until event number ``until`` was seen, or to the end."""
    seen: Numbered = []
    if until is not None and until <= after:
        return seen
    async with aclosing(run.follow(after)) as batches:
        async for batch in batches:
            seen += batch
            if until is not None and seen[-1][0] >= until:
                break
    return [each for each in seen if until is None or each[0] <= until]


PIECES = st.lists(
    st.tuples(st.text(min_size=1, max_size=300), st.sampled_from(["answer", "thought", "tag"])),
    max_size=30,
)


@settings(max_examples=200)
@given(PIECES, st.lists(st.integers(0, 31), max_size=4), st.booleans(), st.integers(100, 3000))
async def test_however_a_follower_breaks_off_and_resumes_it_sees_what_one_sees_who_stays(
    pieces: list[tuple[str, Any]], breaks: list[int], durable: bool, page_bytes: int
) -> None:
    # The pages are small, so that resuming leads into packed events and recent ones alike.
    run = new_run(durable=durable, grace_seconds=5, max_kept_bytes=10**6)
    run._log._max_recent_bytes = page_bytes

    async def work() -> End:
        for number, (text, part) in enumerate(pieces):
            run.add(Content(text, float(number), part))
            await run.room()
            if number % 3 == 0:
                await asyncio.sleep(0)
        return Completed(time.time())

    async with asyncio.TaskGroup() as tasks:
        begin(run, tasks, work)
        staying = tasks.create_task(take(run, 0, None))
        resumed: Numbered = []
        for number in sorted(breaks):
            until = min(number, len(pieces))
            resumed += await take(run, resumed[-1][0] if resumed else 0, until)
        resumed += await take(run, resumed[-1][0] if resumed else 0, None)
    assert resumed == staying.result()
    assert [number for number, _ in resumed] == list(range(1, len(pieces) + 2))
    assert resumed == await take(run, 0, None)
    assert resumed[-1][1] is run.end


async def test_two_who_follow_see_the_same() -> None:
    run = new_run()

    async def work() -> End:
        for number in range(100):
            run.say(f"{number} ")
            await asyncio.sleep(0)
        return Completed(1.0)

    async with asyncio.TaskGroup() as tasks:
        begin(run, tasks, work)
        both = [tasks.create_task(take(run, 0, None)) for _ in range(2)]
    assert both[0].result() == both[1].result()
    assert said_in(event for _, event in both[0].result()) == "".join(f"{n} " for n in range(100))


async def test_who_comes_within_the_grace_keeps_the_run_alive() -> None:
    run = new_run(grace_seconds=60)
    go = asyncio.Event()

    async def work() -> End:
        run.say("x")
        await go.wait()
        return Completed(1.0)

    async with asyncio.TaskGroup() as tasks:
        begin(run, tasks, work)
        assert len(await take(run, 0, 1)) == 1
        assert run.end is None
        go.set()
        assert await take(run, 1, None) == [(2, Completed(1.0))]


async def test_when_nobody_comes_within_the_grace_the_run_is_cancelled() -> None:
    run = new_run(grace_seconds=0.01)
    async with asyncio.TaskGroup() as tasks:
        begin(run, tasks, for_ever)
        run.say("x")
        await take(run, 0, 1)
        assert run.end is None
    assert isinstance(run.end, Cancelled)
    assert run.end.message == LEFT


async def test_a_grace_that_was_used_is_whole_again_for_the_next_leaving() -> None:
    run = new_run(grace_seconds=0.2)
    async with asyncio.TaskGroup() as tasks:
        begin(run, tasks, for_ever)
        run.say("x")
        await take(run, 0, 1)
        async with aclosing(followed(run)) as batches:
            await anext(batches)
            await asyncio.sleep(0.4)
            assert run.end is None
    assert isinstance(run.end, Cancelled)


async def test_a_durable_run_goes_on_to_its_end_with_nobody_there() -> None:
    run = new_run(durable=True, max_kept_bytes=200_000)
    peak = 0

    async def work() -> End:
        nonlocal peak
        for number in range(4000):
            run.say(f"{number} {'ä' * 500}")
            await run.room()
            peak = max(peak, run._log.kept_bytes)
        return Completed(1.0)

    async with asyncio.TaskGroup() as tasks:
        begin(run, tasks, work)
        await take(run, 0, 1)
    assert run.state == "completed"
    assert peak < 500_000
    assert (await take(run, 0, None))[-1] == (run.last_event_id, Completed(1.0))


async def test_a_durable_run_can_be_stopped_with_nobody_there() -> None:
    run = new_run(durable=True)
    async with asyncio.TaskGroup() as tasks:
        begin(run, tasks, for_ever)
        await asyncio.sleep(0)
        run.cancel()
    assert run.state == "cancelled"


async def test_a_stop_ends_a_run_that_waits_for_a_follower_who_does_not_read() -> None:
    run = new_run(max_unread_bytes=1000)

    async def work() -> End:
        while True:
            run.say("x" * 100)
            await run.room()

    async with asyncio.TaskGroup() as tasks:
        begin(run, tasks, work)
        async with aclosing(run.follow()) as stalled:
            await anext(stalled)
            for _ in range(50):
                await asyncio.sleep(0)
            run.cancel()
            seen = [event async for batch in stalled for _, event in batch]
            assert isinstance(seen[-1], Cancelled)


@pytest.mark.parametrize("stopped_before", [False, True])
async def test_a_run_that_ends_with_sgoped_is_interrupted_unless_it_was_stopped(
    stopped_before: bool,
) -> None:
    run = new_run()
    async with asyncio.TaskGroup() as tasks:
        begin(run, tasks, for_ever)
        await asyncio.sleep(0)
        if stopped_before:
            run.cancel()
        run.interrupt()
        run.interrupt()
    assert run.state == ("cancelled" if stopped_before else "interrupted")
    (end,) = await events_of(run)
    assert isinstance(end, Cancelled)
    assert (end.message == SHUTTING_DOWN) is not stopped_before


async def test_a_run_that_completes_as_sgoped_ends_is_whole() -> None:
    run = new_run()

    async def work() -> End:
        try:
            await asyncio.Event().wait()
        finally:
            return Completed(1.0)  # noqa: B012 - as one whose last step cannot be interrupted

    async with asyncio.TaskGroup() as tasks:
        begin(run, tasks, work)
        await asyncio.sleep(0)
        run.interrupt()
    assert run.state == "completed"
