"""``Patience``: ends a read that takes too long, with one timer for all the reads of an answer.

``asyncio.timeout`` around each read costs a tenth of what passing on a token costs altogether; the
time limit is a minute and hardly ever reached, so its timer only looks whether it was.
"""

from __future__ import annotations

import asyncio

import aiohttp

# While a follower is waited for, what was read stays; the rest can wait in the socket.
MAX_READ_BYTES = 128 * 2**10


class Patience:
    """Reads a response's content; closing it stops its timer.

    Args:
        content: What is read; it fails with ``TimeoutError`` when a read takes too long.
    """

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content
        self._loop = asyncio.get_running_loop()
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    async def read(self, deadline: float) -> bytes:
        """What arrived next, in parts where it is much; nothing at the end.

        Args:
            deadline: In seconds of the event loop's clock.

        Raises:
            TimeoutError: Nothing had arrived by then.
            aiohttp.ClientError: As ``StreamReader.read``.
        """
        self._deadline = deadline
        if self._timer is None or deadline < self._timer_at:
            self._set(deadline)
        try:
            return await self._content.read(MAX_READ_BYTES)
        finally:
            self._deadline = None

    def close(self) -> None:
        """There will be no more reads."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, at: float) -> None:
        self.close()
        self._timer = self._loop.call_at(at, self._look)
        self._timer_at = at

    def _look(self) -> None:
        self._timer = None
        if self._deadline is None:  # nobody waits; the next read sets the timer
            return
        if self._loop.time() >= self._deadline:
            self._content.set_exception(TimeoutError())
        else:
            self._set(self._deadline)
