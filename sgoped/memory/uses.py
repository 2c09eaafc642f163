"""How often and how lately files were used: a tie-breaker, kept over restarts.

A use counts one and halves every two weeks, as in frecency rankings of browsers.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections.abc import Callable, Sequence

from sgoped.errors import StorageError
from sgoped.memory.words import fold
from sgoped.state import State

HALF_LIFE_SECONDS = 14 * 24 * 3600.0
MAX_FAVOURITES = 200

_log = logging.getLogger(__name__)


class Uses:
    """Use counts by path."""

    def __init__(
        self,
        state: State,
        counts: dict[str, tuple[float, float]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._state = state
        self._counts = counts
        self._clock = clock
        self.generation = 0
        self._favourites: list[tuple[str, str]] | None = None
        self._unsaved: dict[str, None] = {}
        self._due = asyncio.Event()

    def __len__(self) -> int:
        """How many files were ever used."""
        return len(self._counts)

    def weight(self, path: str) -> float:
        """The decayed count of uses, 0 for a file never used."""
        found = self._counts.get(path)
        if found is None:
            return 0.0
        count, at = found
        return float(count * 0.5 ** (max(0.0, self._clock() - at) / HALF_LIFE_SECONDS))

    def favourites(self) -> Sequence[tuple[str, str]]:
        """Paths as they are and folded, most used first; at most ``MAX_FAVOURITES``."""
        if self._favourites is None:
            most = heapq.nlargest(MAX_FAVOURITES, self._counts, key=self.weight)
            self._favourites = [(path, fold(path)) for path in most]
        return self._favourites

    def last_used_at(self, path: str) -> float:
        """Unix seconds of the last use, 0 for a file never used."""
        return self._counts.get(path, (0.0, 0.0))[1]

    def note(self, path: str) -> None:
        """Count one use of ``path`` now; ``keep`` writes it, so that nobody waits for a disk."""
        self._counts[path] = (self.weight(path) + 1.0, self._clock())
        self.generation += 1
        self._favourites = None
        self._unsaved[path] = None
        self._due.set()

    async def record(self, path: str) -> None:
        """Count one use of ``path`` now, and write it.

        Raises:
            StorageError: It cannot be written; ``keep`` tries it again with the next one.
        """
        self.note(path)
        await self.save()

    async def save(self) -> None:
        """Write all uses that are not written yet.

        Raises:
            StorageError: Not all of them can be.
        """
        for path in list(self._unsaved):
            count, at = self._counts[path]
            await self._state.save_use(path, count, at)
            if self._counts[path] == (count, at):
                self._unsaved.pop(path, None)

    async def keep(self) -> None:
        """Write for ever what was noted; a disk that refuses costs nothing but the keeping."""
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self.save()
            except StorageError as error:
                _log.warning("uses cannot be kept: %s", error.code)


async def load_uses(state: State) -> Uses:
    """The use counts that ``state`` keeps."""
    return Uses(state, await state.load_uses())
