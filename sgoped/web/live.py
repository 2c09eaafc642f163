"""The connections that stay open (event streams and sockets), so that shutdown can end them.

An open stream would hold the shutdown for twice aiohttp's time limit; the application's one
``on_shutdown`` ends them all here instead.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from sgoped.errors import SgopedError

MAX_CONNECTIONS = 512

log = logging.getLogger(__name__)

End = Callable[[], Awaitable[None]]


class TooManyConnections(SgopedError):  # noqa: N818 - reads as the fact it reports
    """As many streams and sockets are open as one desktop can mean."""

    code = "too_many_connections"


class LiveConnections:
    """Knows how to end each open stream and socket."""

    def __init__(self, max_connections: int = MAX_CONNECTIONS) -> None:
        self._ends: dict[object, End] = {}
        self._max_connections = max_connections

    def __len__(self) -> int:
        """How many are open."""
        return len(self._ends)

    def admit(self) -> None:
        """Check that one more may be opened.

        Raises:
            TooManyConnections: The bound is reached.
        """
        if len(self._ends) >= self._max_connections:
            raise TooManyConnections(
                f"{self._max_connections} streams and sockets are open already; close some"
            )

    @contextmanager
    def track(self, end: End) -> Iterator[None]:
        """Call ``end`` on shutdown for as long as the block is not left."""
        ticket = object()
        self._ends[ticket] = end
        try:
            yield
        finally:
            del self._ends[ticket]

    async def end_all(self) -> None:
        """End every open connection; they finish on their own afterwards."""
        ends = list(self._ends.values())
        for result in await asyncio.gather(*(end() for end in ends), return_exceptions=True):
            if isinstance(result, Exception):
                log.warning("a connection did not end cleanly: %s", type(result).__name__)
