"""The bounded log between who makes events and who reads them."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from sgoped.chat import Content
from sgoped.chat.log import RunLog


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


async def test_what_was_taken_is_shed_beyond_the_bound() -> None:
    log = RunLog(max_unread_bytes=2000, max_kept_bytes=3000)
    ticket = log.join()
    for number in range(10_000):
        log.append(content(number, 100))
        log.take(ticket, len(await log.read(ticket)))
        assert log.kept_bytes < 6000
    assert log.last == 10_000


async def test_a_late_reader_begins_with_what_is_kept() -> None:
    log = RunLog(max_kept_bytes=2000)
    ticket = log.join()
    for number in range(100):
        log.append(content(number, 100))
        log.take(ticket, len(await log.read(ticket)))
    late = await log.read(log.join())
    assert late[-1] == (100, content(99, 100))
    assert len(late) < 100
    last = await log.read(log.join(after=99))
    assert last == [(100, content(99, 100))]


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
