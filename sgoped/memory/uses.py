"""How often and how lately files were used: a tie-breaker, kept over restarts.

A use counts one and halves every two weeks, as in frecency rankings of browsers.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sgoped.state import State

HALF_LIFE_SECONDS = 14 * 24 * 3600.0


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

    def last_used_at(self, path: str) -> float:
        """Unix seconds of the last use, 0 for a file never used."""
        return self._counts.get(path, (0.0, 0.0))[1]

    async def record(self, path: str) -> None:
        """Count one use of ``path`` now."""
        count, at = self.weight(path) + 1.0, self._clock()
        self._counts[path] = (count, at)
        self.generation += 1
        await self._state.save_use(path, count, at)


async def load_uses(state: State) -> Uses:
    """The use counts that ``state`` keeps."""
    return Uses(state, await state.load_uses())
