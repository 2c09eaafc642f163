"""The bounded log between who makes events and who reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from sgoped.chat import Content, RunEvent
from sgoped.chat.log import MAX_KEPT_BYTES, MAX_UNREAD_BYTES, RunLog


def content(number: int, size: int = 0) -> Content:
    return Content(str(number).rjust(size, "."), 0.0)


async def test_a_reader_gets_everything_in_order_and_waits_for_more() -> None:
    log = RunLog()
    ticket = log.join()
    log.append(content(1))
    log.append(content(2))
    assert await log.read(ticket) == [(1, content(1)), (2, content(2))]
    log.take(ticket, 2)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(log.read(ticket))
        await asyncio.sleep(0)
        assert not waiting.done()
        log.append(content(3))
    assert waiting.result() == [(3, content(3))]


async def test_a_writer_waits_for_the_slowest_reader() -> None:
    log = RunLog(max_unread_bytes=1000)
    quick, slow = log.join(), log.join()
    for number in range(3):
        log.append(content(number, 400))
    log.take(quick, len(await log.read(quick)))
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(log.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        log.take(slow, len(await log.read(slow)))
    assert waiting.done()


async def test_without_a_reader_the_writer_waits_until_there_is_one_that_reads() -> None:
    log = RunLog(max_unread_bytes=10)
    log.append(content(1, 400))
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(log.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        ticket = log.join()
        log.take(ticket, len(await log.read(ticket)))


def noise(number: int, size: int) -> Content:
    """A text that cannot be packed small."""
    rng = Random(number)
    return Content("".join(chr(rng.randrange(0x4E00, 0x9F00)) for _ in range(size)), 0.0)


async def test_what_was_taken_is_shed_beyond_the_bound() -> None:
    log = RunLog(max_unread_bytes=2000, max_kept_bytes=3000)
    ticket = log.join()
    for number in range(10_000):
        log.append(noise(number, 100))
        log.take(ticket, len(await log.read(ticket)))
        assert log.kept_bytes < 6000
    assert log.last == 10_000
    assert 9_900 < log.first < 10_000


async def read_from(log: RunLog, after: int) -> list[tuple[int, RunEvent]]:
    ticket = log.join(after)
    seen = []
    while not log.has_taken_all(ticket):
        batch = await log.read(ticket)
        seen += batch
        log.take(ticket, len(batch))
    log.leave(ticket)
    return seen


async def test_a_late_reader_begins_with_what_is_kept() -> None:
    log = RunLog(max_kept_bytes=3000)
    ticket = log.join()
    for number in range(100):
        log.append(noise(number, 100))
        log.take(ticket, len(await log.read(ticket)))
    late = await read_from(log, 0)
    assert late == [(number + 1, noise(number, 100)) for number in range(log.first - 1, 100)]
    assert 1 < len(late) < 100
    assert await read_from(log, 99) == [(100, noise(99, 100))]
    assert await read_from(log, 100) == []
    assert await read_from(log, 10**9) == []


async def test_a_long_answer_of_small_tokens_can_be_read_again_from_its_beginning() -> None:
    log = RunLog()
    ticket = log.join()
    for number in range(30_000):
        log.append(Content(f"token{number} ", number / 7))
        log.take(ticket, len(await log.read(ticket)))
    assert log.first == 1
    assert log.kept_bytes < MAX_KEPT_BYTES + MAX_UNREAD_BYTES
    again = await read_from(log, 0)
    assert again == [(n + 1, Content(f"token{n} ", n / 7)) for n in range(30_000)]


async def test_a_log_that_goes_on_needs_no_reader_and_stays_small() -> None:
    log = RunLog(max_kept_bytes=100_000, goes_on=True)
    for number in range(1000):
        log.append(noise(number, 500))
        await log.room()
        assert log.kept_bytes < 300_000
    seen = await read_from(log, 0)
    assert [number for number, _ in seen] == list(range(log.first, 1001))
    assert 1 < log.first < 1000


async def test_a_reader_of_old_pages_holds_a_log_that_goes_on() -> None:
    log = RunLog(max_unread_bytes=100_000, goes_on=True)
    for number in range(500):
        log.append(noise(number, 500))
        await log.room()
    ticket = log.join()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(log.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        while not waiting.done():
            log.take(ticket, len(await log.read(ticket)))
            await asyncio.sleep(0)
    log.leave(ticket)


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 400)), max_size=40),
    st.integers(0, 4000),
    st.data(),
)
async def test_whatever_was_packed_a_reader_may_begin_anywhere(
    writes: list[tuple[int, int]], max_kept_bytes: int, data: st.DataObject
) -> None:
    log = RunLog(max_kept_bytes=max_kept_bytes, goes_on=True)
    written: list[RunEvent] = []
    for count, size in writes:
        for _ in range(count):
            written.append(noise(len(written), 1 + size))
            log.append(written[-1])
    after = data.draw(st.integers(0, len(written)))
    expected = list(enumerate(written, start=1))[max(after, log.first - 1) :]
    assert await read_from(log, after) == expected


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(0, 2000))
async def test_whatever_the_interleaving_every_reader_sees_every_event(
    steps: list[int], max_kept_bytes: int
) -> None:
    log = RunLog(max_kept_bytes=max_kept_bytes)
    tickets = [log.join(), log.join()]
    seen: list[list[tuple[int, object]]] = [[], []]
    written = 0
    for step in steps:
        if step > 1:
            written += 1
            log.append(content(written, step * 50))
        elif not log.has_taken_all(tickets[step]):
            batch = await log.read(tickets[step])
            seen[step] += batch
            log.take(tickets[step], len(batch))
    for reader, ticket in enumerate(tickets):
        if not log.has_taken_all(ticket):
            seen[reader] += await log.read(ticket)
        texts = [int(str(getattr(event, "text", "")).strip(".")) for _, event in seen[reader]]
        assert texts == list(range(1, written + 1)) == [number for number, _ in seen[reader]]


async def test_who_waits_is_handed_what_was_pushed_in_that_moment() -> None:
    log = RunLog()
    taken: list[tuple[int, RunEvent]] = []

    def take(batch: Sequence[tuple[int, RunEvent]]) -> bool:
        taken.extend(batch)
        return True

    ticket = log.join(at_once=take)
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(log.read(ticket))
        await asyncio.sleep(0)
        log.hand_over()
        log.push(content(1))
        assert taken == []
        log.hand_over()
        assert taken == [(1, content(1))]
        await asyncio.sleep(0)
        assert not reading.done()
        log.append(content(2))
    assert reading.result() == [(2, content(2))]


async def test_who_cannot_take_it_at_once_is_woken() -> None:
    log = RunLog()
    ticket = log.join(at_once=lambda _: False)
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(log.read(ticket))
        await asyncio.sleep(0)
        log.push(content(1))
        log.hand_over()
    assert reading.result() == [(1, content(1))]


@given(
    st.lists(st.sampled_from(["push", "append", "append and push", "hand over"]), max_size=60),
    st.data(),
)
async def test_handed_over_or_read_every_event_comes_once_and_in_order(
    steps: list[str], data: st.DataObject
) -> None:
    log = RunLog(max_kept_bytes=1000)
    seen: list[int] = []
    able = data.draw(st.lists(st.booleans(), min_size=1, max_size=20))

    def take(batch: Sequence[tuple[int, RunEvent]]) -> bool:
        able.append(able.pop(0))
        if able[-1]:
            seen.extend(number for number, _ in batch)
        return able[-1]

    async def read() -> None:
        ticket = log.join(at_once=take)
        while not seen or seen[-1] < written + 1:
            batch = await log.read(ticket)
            await asyncio.sleep(0)
            seen.extend(number for number, _ in batch)
            log.take(ticket, len(batch))

    def append_and_push() -> None:
        log.append(content(1, 200))
        log.push(content(1, 200))

    works: dict[str, Callable[[], object]] = {
        "push": lambda: log.push(content(1, 200)),
        "append": lambda: log.append(content(1, 200)),
        "append and push": append_and_push,
        "hand over": log.hand_over,
    }
    written = sum(2 if step == "append and push" else step != "hand over" for step in steps)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(read())
        await asyncio.sleep(0)
        for step in steps:
            works[step]()
            await asyncio.sleep(0)
        log.append(content(0))
    assert seen == list(range(1, written + 2))
