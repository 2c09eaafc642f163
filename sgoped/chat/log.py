"""``RunLog``: the bounded log of one run's events, between who makes them and who reads them.

What the slowest reader has not taken yet is bounded by making the writer wait, which reaches the
upstream's socket; what all have taken is kept for a while, so that a reader can come back, and
then shed. So a run's memory is flat however long its answer and however slow its readers.
"""

from __future__ import annotations

import asyncio
from itertools import count

from sgoped.chat.events import Content, RunEvent

MAX_UNREAD_BYTES = 256 * 1024
MAX_KEPT_BYTES = 64 * 1024

_EVENT_BYTES = 128


class RunLog:
    """Events with consecutive numbers from 1; one writer, any number of readers."""

    def __init__(
        self, max_unread_bytes: int = MAX_UNREAD_BYTES, max_kept_bytes: int = MAX_KEPT_BYTES
    ) -> None:
        self._max_unread_bytes = max_unread_bytes
        self._max_kept_bytes = max_kept_bytes
        self._events: list[RunEvent] = []
        self._ends: list[int] = []  # bytes written up to and with each kept event
        self._shed = 0  # events no longer kept
        self._shed_bytes = 0
        self._taken: dict[int, int] = {}  # reader -> events it has taken
        self._tickets = count()
        self._grown = asyncio.Event()
        self._drained = asyncio.Event()

    @property
    def last(self) -> int:
        """Number of the newest event."""
        return self._shed + len(self._events)

    @property
    def kept_bytes(self) -> int:
        """About how much memory the kept events take."""
        return self._written() - self._shed_bytes

    @property
    def readers(self) -> int:
        """How many read at present."""
        return len(self._taken)

    def append(self, event: RunEvent) -> None:
        """Add an event, at once and whatever the bound: use ``room`` to respect it."""
        size = _EVENT_BYTES + (2 * len(event.text) if isinstance(event, Content) else 0)
        self._ends.append(self._written() + size)
        self._events.append(event)
        self._grown.set()

    async def room(self) -> None:
        """Wait until the slowest reader is near enough; with no reader, until there is one."""
        while self._written() - self._taken_bytes() > self._max_unread_bytes:
            self._drained.clear()
            await self._drained.wait()

    def join(self, after: int = 0) -> int:
        """Begin to read behind event number ``after``; returns a ticket for ``read``."""
        ticket = next(self._tickets)
        self._taken[ticket] = min(max(after, self._shed), self.last)
        self._drained.set()
        return ticket

    async def read(self, ticket: int) -> list[tuple[int, RunEvent]]:
        """All events that this reader has not taken, numbered, at least one; waits for it.

        They count as taken once the reader reads again: until then it is busy with them.
        """
        position = self._taken[ticket]
        while position == self.last:
            self._grown.clear()
            await self._grown.wait()
        return list(enumerate(self._events[position - self._shed :], start=position + 1))

    def take(self, ticket: int, number: int) -> None:
        """Note that a reader is done with the next ``number`` events; old ones may be shed."""
        self._taken[ticket] += number
        self._shed_old()
        self._drained.set()

    def has_taken_all(self, ticket: int) -> bool:
        """Whether a reader is done with everything written so far."""
        return self._taken[ticket] == self.last

    def leave(self, ticket: int) -> None:
        """Read no more."""
        del self._taken[ticket]
        self._drained.set()

    def _written(self) -> int:
        return self._ends[-1] if self._ends else self._shed_bytes

    def _taken_bytes(self) -> int:
        if not self._taken:
            return self._shed_bytes
        return self._bytes_up_to(min(self._taken.values()))

    def _bytes_up_to(self, number: int) -> int:
        return self._ends[number - self._shed - 1] if number > self._shed else self._shed_bytes

    def _shed_old(self) -> None:
        """Drop taken events beyond the bound, half of it at a time to move the rest seldom."""
        taken = min(self._taken.values(), default=self._shed)
        excess = self._bytes_up_to(taken) - self._shed_bytes - self._max_kept_bytes
        if excess <= self._max_kept_bytes // 2:
            return
        number = 0
        while self._shed + number < taken and self._ends[number] - self._shed_bytes <= excess:
            number += 1
        if number:
            self._shed_bytes = self._ends[number - 1]
            self._shed += number
            del self._events[:number], self._ends[:number]
