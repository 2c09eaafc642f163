from __future__ import annotations

import asyncio

from sgoped.events import Bus, EventsDropped, FileIndexed, RunStarted


def test_ids_rise_by_one_and_since_returns_what_came_after() -> None:
    bus = Bus()
    first = bus.publish(FileIndexed("a"))
    second = bus.publish(FileIndexed("b"))
    assert second == first + 1
    assert bus.since(first) == [(second, FileIndexed("b"))]
    assert bus.since(0) == [(first, FileIndexed("a")), (second, FileIndexed("b"))]
    assert bus.since(second) == []


def test_a_gap_in_the_history_is_told() -> None:
    bus = Bus(max_history=2)
    for name in "abcd":
        bus.publish(FileIndexed(name))
    assert bus.since(0) == [
        (2, EventsDropped(2)),
        (3, FileIndexed("c")),
        (4, FileIndexed("d")),
    ]


async def test_a_subscriber_receives_what_is_published_later_and_nothing_after_leaving() -> None:
    bus = Bus()
    bus.publish(RunStarted("before"))
    with bus.subscribe() as subscription:
        bus.publish(RunStarted("one"))
        async with asyncio.timeout(5):
            async for _, event in subscription:
                assert event == RunStarted("one")
                break
    bus.publish(RunStarted("after"))
    assert subscription.take() == []


def test_a_slow_subscriber_loses_the_oldest_events_and_is_told() -> None:
    bus = Bus(max_queued=2)
    with bus.subscribe() as subscription:
        for name in "abcde":
            bus.publish(FileIndexed(name))
        assert subscription.take() == [
            (3, EventsDropped(3)),
            (4, FileIndexed("d")),
            (5, FileIndexed("e")),
        ]
        assert subscription.take() == []
