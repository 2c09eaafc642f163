"""What happened in the daemon: a closed union of past-tense facts, and the bus they travel on.

The shape follows Syncthing's event log: every event has a rising id, a bounded history can be
asked for what came after an id, and a subscriber that falls behind loses the oldest events and
is told so. The bus belongs to the event loop's thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FileIndexed:
    """A file's present content can be found; ``path`` is relative to the memory folder."""

    path: str


@dataclass(frozen=True, slots=True)
class FileRemoved:
    """A file left the memory folder, or became ignored."""

    path: str


@dataclass(frozen=True, slots=True)
class IndexProgressed:
    """Indexing advanced: ``done`` of ``total`` files."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class WatcherChanged:
    """The watcher's state became ``native``, ``polling`` or ``degraded``."""

    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class ServiceChanged:
    """A service's status, or what is known of its models; ``status`` is ``removed`` when it is gone.

    Opening and closing of its circuit are such changes, too.
    """

    service_id: str
    status: str


@dataclass(frozen=True, slots=True)
class EnrichmentChanged:
    """A summary that waits for a model went on; ``state`` is ``cancelled`` when it is given up."""

    enrichment_id: str
    path: str
    state: str


@dataclass(frozen=True, slots=True)
class RunStarted:
    """An answer is being made."""

    run_id: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    """An answer ended: ``completed``, ``cancelled``, ``failed`` or ``interrupted``."""

    run_id: str
    outcome: str


@dataclass(frozen=True, slots=True)
class ConversationChanged:
    """A kept conversation was ``created``, ``extended``, ``renamed`` or ``deleted``."""

    conversation_id: str
    what: str


@dataclass(frozen=True, slots=True)
class SettingsChanged:
    """Something a person configured at run time changed; ``what`` names it."""

    what: str


@dataclass(frozen=True, slots=True)
class EventsDropped:
    """This subscriber was too slow; ``count`` events before the next one are missing."""

    count: int


Event = (
    FileIndexed
    | FileRemoved
    | IndexProgressed
    | WatcherChanged
    | ServiceChanged
    | EnrichmentChanged
    | RunStarted
    | RunEnded
    | ConversationChanged
    | SettingsChanged
    | EventsDropped
)


class Subscription:
    """One reader's bounded queue; iterate it to receive ``(id, event)`` pairs for ever."""

    def __init__(self, max_events: int) -> None:
        self._queue: deque[tuple[int, Event]] = deque()
        self._max_events = max_events
        self._dropped = 0
        self._wake = asyncio.Event()

    def offer(self, item: tuple[int, Event]) -> None:
        """Queue one event, dropping the oldest when full."""
        if len(self._queue) >= self._max_events:
            self._queue.popleft()
            self._dropped += 1
        self._queue.append(item)
        self._wake.set()

    def take(self) -> list[tuple[int, Event]]:
        """Return and forget all that is queued, led by ``EventsDropped`` where events are lost."""
        items = list(self._queue)
        self._queue.clear()
        self._wake.clear()
        if self._dropped:
            items.insert(0, (items[0][0] - 1, EventsDropped(self._dropped)))
            self._dropped = 0
        return items

    async def __aiter__(self) -> AsyncIterator[tuple[int, Event]]:
        """Yield events as they come."""
        while True:
            await self._wake.wait()
            for item in self.take():
                yield item


class Bus:
    """Publishes events to subscribers and remembers the last ``max_history`` of them."""

    def __init__(self, max_history: int = 1000, max_queued: int = 1000) -> None:
        self._history: deque[tuple[int, Event]] = deque(maxlen=max_history)
        self._subscriptions: set[Subscription] = set()
        self._max_queued = max_queued
        self._last_id = 0

    @property
    def last_id(self) -> int:
        """Id of the newest event, 0 when there was none."""
        return self._last_id

    def publish(self, event: Event) -> int:
        """Give ``event`` the next id, remember it, and hand it to every subscriber."""
        self._last_id += 1
        item = (self._last_id, event)
        self._history.append(item)
        for subscription in self._subscriptions:
            subscription.offer(item)
        return self._last_id

    @contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        """Receive what is published from now on, until the block is left."""
        subscription = Subscription(self._max_queued)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def since(self, after: int) -> list[tuple[int, Event]]:
        """Remembered events with an id greater than ``after``, oldest first.

        A gap between what was asked for and what is still remembered is told by a leading
        ``EventsDropped``.
        """
        items = [item for item in self._history if item[0] > after]
        missing = (items[0][0] - 1 - after) if items else 0
        if missing > 0:
            items.insert(0, (items[0][0] - 1, EventsDropped(missing)))
        return items
