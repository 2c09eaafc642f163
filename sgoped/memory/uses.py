"""How often and how lately files were used: a tie-breaker, kept over restarts.

A use counts one and halves every two weeks, as in frecency rankings of browsers.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Sequence

from sgoped.memory.words import fold
from sgoped.state import State

HALF_LIFE_SECONDS = 14 * 24 * 3600.0
MAX_FAVOURITES = 200


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

    async def record(self, path: str) -> None:
        """Count one use of ``path`` now."""
        count, at = self.weight(path) + 1.0, self._clock()
        self._counts[path] = (count, at)
        self.generation += 1
        self._favourites = None
        await self._state.save_use(path, count, at)


async def load_uses(state: State) -> Uses:
    """The use counts that ``state`` keeps."""
    return Uses(state, await state.load_uses())
