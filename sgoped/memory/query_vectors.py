"""The vectors of queries: asked for within a time limit, kept, and not asked of who is down.

A search waits for a vector once, for a moment. When it does not come, nobody waits for the next
ones, until the one that is late has come, or after a pause that grows from failure to failure.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from sgoped.errors import SgopedError
from sgoped.memory.embedder import Embedder
from sgoped.unexpected import log_unexpected

MAX_KEPT = 256
MAX_QUERY_CHARS = 2000
MAX_PAUSE_SECONDS = 300.0
FIRST_PAUSE_SECONDS = 5.0

Vector = list[float]


class QueryVectors:
    """Asks ``embedder``; loop thread only.

    Attributes:
        problem: Why the last query has no vector; empty when it has one.

    Args:
        embedder: Who is asked.
        tasks: Where questions live; ``cancel`` before it is left.
        wait_seconds: How long a search waits at most.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        embedder: Embedder,
        tasks: asyncio.TaskGroup,
        wait_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._embedder = embedder
        self._tasks = tasks
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], Vector] = OrderedDict()
        self._asked: dict[tuple[str, str], asyncio.Task[Vector | None]] = {}
        self._late: asyncio.Task[Vector | None] | None = None
        self._failures = 0
        self._closed_until = 0.0
        self.problem = ""

    async def vector(self, text: str, model: str) -> Vector | None:
        """The vector of ``text`` by ``model``; ``None`` when it cannot be had in time."""
        key = (model, text[:MAX_QUERY_CHARS])
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        is_late = self._late is not None and not self._late.done()
        if is_late or self._clock() < self._closed_until:
            return None
        task = self._asked.get(key)
        if task is None:
            task = self._asked[key] = self._tasks.create_task(self._ask(key))
            task.add_done_callback(lambda _: self._asked.pop(key, None))
        done, _ = await asyncio.wait({task}, timeout=self._wait_seconds)
        if done:
            return None if task.cancelled() else task.result()
        self._late = task
        self.problem = "the model has not answered a query in time"
        return None

    def cancel(self) -> None:
        """Leave all questions that are not answered."""
        for task in list(self._asked.values()):
            task.cancel()

    def try_again(self) -> None:
        """Ask the next time: something suggests that the service is back."""
        self._closed_until = 0.0
        self.problem = ""

    async def _ask(self, key: tuple[str, str]) -> Vector | None:
        model, text = key
        try:
            if self._embedder.model_id() != model:
                return None
            [vector] = await self._embedder.embed([text])
        except Exception as error:  # noqa: BLE001 - the edge of a task; a plug-in may raise any
            if isinstance(error, SgopedError):
                self.problem = error.message
            else:
                self.problem = "embedding failed; see the log"
                log_unexpected("embedding a query", error)
            pause = FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures, 16)
            self._failures += 1
            self._closed_until = self._clock() + min(MAX_PAUSE_SECONDS, pause)
            return None
        self._failures = 0
        self.problem = ""
        self._kept[key] = vector
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return vector
