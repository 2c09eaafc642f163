"""``RunLog``: the bounded log of one run's events, between who makes them and who reads them.

What the slowest reader has not taken yet is bounded by making the writer wait, which reaches the
upstream's socket; what all have taken is packed into pages, so that a reader can come back or come
late, and the oldest pages are shed beyond a bound. So a run's memory is flat however long its
answer and however slow its readers.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from sgoped.chat.events import Content, RunEvent
from sgoped.chat.pages import Page, pack

MAX_UNREAD_BYTES = 256 * 1024
MAX_KEPT_BYTES = 1024 * 1024
PAGE_BYTES = 32 * 1024

_EVENT_BYTES = 200

AtOnce = Callable[[Sequence[tuple[int, RunEvent]]], bool]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a log keeps at a moment.

    Attributes:
        first: Number of the oldest event that is kept.
        pages: Packed events, oldest first; those that were asked for.
        base: Number of the last event that is in a page.
        recent: The events behind it.
    """

    first: int
    pages: tuple[Page, ...]
    base: int
    recent: tuple[RunEvent, ...]

    @property
    def last(self) -> int:
        """Number of the newest event."""
        return self.base + len(self.recent)


class RunLog:
    """Events with consecutive numbers from 1; one writer, any number of readers.

    Args:
        max_unread_bytes: How far the slowest reader may be behind before the writer waits.
        max_kept_bytes: Of pages.
        goes_on: Whether the writer goes on while there is no reader.
        pages: What was written before, for a log that is only read.
    """

    def __init__(
        self,
        max_unread_bytes: int = MAX_UNREAD_BYTES,
        max_kept_bytes: int = MAX_KEPT_BYTES,
        *,
        goes_on: bool = False,
        pages: Sequence[Page] = (),
    ) -> None:
        self._max_unread_bytes = max_unread_bytes
        self._max_kept_bytes = max_kept_bytes
        self._max_recent_bytes = min(PAGE_BYTES, max_kept_bytes // 2)
        self._goes_on = goes_on
        self._pages = list(pages)
        self._page_ends = [0] * len(self._pages)  # bytes written up to and with each page
        self._page_bytes = sum(page.kept_bytes for page in self._pages)
        self._base = self._pages[-1].last if self._pages else 0
        self._base_bytes = 0
        self._events: list[RunEvent] = []
        self._ends: list[int] = []  # bytes written up to and with each recent event
        self._taken: dict[int, int] = {}  # reader -> number of the last event it has taken
        self._waiting: set[int] = set()  # readers that have taken everything and wait for more
        self._at_once: dict[int, AtOnce] = {}
        self._tickets = count()
        self._closed = False
        self._grown = asyncio.Event()
        self._drained = asyncio.Event()

    @property
    def first(self) -> int:
        """Number of the oldest event that is kept."""
        return self._pages[0].first if self._pages else self._base + 1

    @property
    def last(self) -> int:
        """Number of the newest event."""
        return self._base + len(self._events)

    @property
    def kept_bytes(self) -> int:
        """About how much memory the kept events take."""
        return self._written() - self._base_bytes + self._page_bytes

    @property
    def readers(self) -> int:
        """How many read at present."""
        return len(self._taken)

    def kept(self, after: int = 0) -> Kept:
        """What is kept now, without pages that begin at ``after`` or before."""
        wanted = bisect_left(self._pages, after + 1, key=lambda page: page.first)
        pages = tuple(self._pages[wanted:])
        return Kept(self.first, pages, self._base, tuple(self._events))

    def append(self, event: RunEvent) -> None:
        """Add an event, at once and whatever the bound: use ``room`` to respect it."""
        self.push(event)
        self._grown.set()

    def push(self, event: RunEvent) -> None:
        """Add an event of which readers hear by the ``hand_over`` that is to follow."""
        size = _EVENT_BYTES + (2 * len(event.text) if isinstance(event, Content) else 0)
        self._ends.append(self._written() + size)
        self._events.append(event)
        if self._goes_on and not self._taken:
            self._pack_old()

    def hand_over(self) -> None:
        """Let readers have what was pushed: this moment where they can take it, else soon.

        Waking a reader's task costs as much again as all the rest of passing on a token.
        """
        for ticket in list(self._waiting):
            batch = self._behind(self._taken[ticket])
            at_once = self._at_once.get(ticket)
            if not batch:
                continue
            if at_once is not None and at_once(batch):
                self._taken[ticket] += len(batch)
            else:
                self._grown.set()
        self._pack_old()

    def close(self, event: RunEvent) -> None:
        """Add the last event; what is recent stays so."""
        self._closed = True
        self.append(event)

    async def room(self) -> None:
        """Wait until the slowest reader is near enough; with no reader, until there is one."""
        while self._written() - self._taken_bytes() > self._max_unread_bytes:
            self._drained.clear()
            await self._drained.wait()

    def join(self, after: int = 0, at_once: AtOnce | None = None) -> int:
        """Begin to read behind event number ``after``; returns a ticket for ``read``.

        Args:
            after: Number of the last event that is not wanted.
            at_once: Takes numbered events while ``read`` waits for them, or says that it cannot.
        """
        ticket = next(self._tickets)
        if at_once is not None:
            self._at_once[ticket] = at_once
        self._taken[ticket] = min(max(after, self.first - 1), self.last)
        self._drained.set()
        return ticket

    async def read(self, ticket: int) -> list[tuple[int, RunEvent]]:
        """Events that this reader has not taken, numbered, at least one; waits for it.

        They count as taken once the reader reads again: until then it is busy with them.
        """
        try:
            while self._taken[ticket] == self.last:
                self._waiting.add(ticket)
                self._grown.clear()
                await self._grown.wait()
        finally:
            self._waiting.discard(ticket)
        position = self._taken[ticket]
        if position >= self._base:
            return self._behind(position)
        page = self._pages[self._page_of(position + 1)]
        return list(enumerate(page.events()[position + 1 - page.first :], start=position + 1))

    def take(self, ticket: int, number: int) -> None:
        """Note that a reader is done with the next ``number`` events; old ones may be packed."""
        self._taken[ticket] += number
        self._pack_old()
        self._drained.set()

    def has_taken_all(self, ticket: int) -> bool:
        """Whether a reader is done with everything written so far."""
        return self._taken[ticket] == self.last

    def leave(self, ticket: int) -> None:
        """Read no more."""
        del self._taken[ticket]
        self._at_once.pop(ticket, None)
        self._drained.set()

    def _behind(self, position: int) -> list[tuple[int, RunEvent]]:
        """The recent events with a number greater than ``position``."""
        return list(enumerate(self._events[position - self._base :], start=position + 1))

    def _written(self) -> int:
        return self._ends[-1] if self._ends else self._base_bytes

    def _taken_number(self) -> int:
        """Up to which event everybody who reads has taken them."""
        nobody = self.last if self._goes_on else self._base
        return min(self._taken.values(), default=nobody)

    def _taken_bytes(self) -> int:
        number = self._taken_number()
        if number > self._base:
            return self._ends[number - self._base - 1]
        if number == self._base:
            return self._base_bytes
        before = self._page_of(number + 1) - 1
        return self._page_ends[before] if before >= 0 else 0

    def _page_of(self, number: int) -> int:
        return bisect_left(self._pages, number, key=lambda page: page.last)

    def _pack_old(self) -> None:
        """Pack what was taken, once it is a page, and shed the oldest pages."""
        number = self._taken_number() - self._base
        if self._closed or number <= 0:
            return
        if self._ends[number - 1] - self._base_bytes <= self._max_recent_bytes:
            return
        page = pack(self._base + 1, self._events[:number])
        self._base, self._base_bytes = page.last, self._ends[number - 1]
        del self._events[:number], self._ends[:number]
        self._pages.append(page)
        self._page_ends.append(self._base_bytes)
        self._page_bytes += page.kept_bytes
        self._shed()

    def _shed(self) -> None:
        number = 0
        while self._page_bytes > self._max_kept_bytes and number < len(self._pages):
            self._page_bytes -= self._pages[number].kept_bytes
            number += 1
        del self._pages[:number], self._page_ends[:number]
