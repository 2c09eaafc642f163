"""``Traffic``: how many requests of a person a service is answering, for who should stay behind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Traffic:
    """Counts the requests of one service that somebody waits for. Loop thread only."""

    def __init__(self) -> None:
        self._count = 0
        self._quiet = asyncio.Event()
        self._busy = asyncio.Event()
        self._quiet.set()

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits for an answer."""
        return self._count > 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """A request is going on."""
        self._count += 1
        self._quiet.clear()
        self._busy.set()
        try:
            yield
        finally:
            self._count -= 1
            if not self._count:
                self._busy.clear()
                self._quiet.set()

    async def quiet(self) -> None:
        """Wait until nobody waits for an answer."""
        await self._quiet.wait()

    async def busy(self) -> None:
        """Wait until somebody waits for an answer."""
        await self._busy.wait()
