"""How many names go into one commit, so that few segments are left to search in; pure.

A look-up pays for every segment, and a segment is made by every commit. tantivy merges eight of
about equal size into one, so names that come all at once are committed in equal portions, eight of
them, or eight times eight: they end as one segment.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

MERGED_AT_ONCE = 8
MIN_LAYER_DOCS = 10_000
LEVEL_LOG_SIZE = 0.75
# What fits into the writer's memory; more would be cut into segments of another size.
MAX_PORTION = 50_000
# Below this one commit is made in well under a second.
MAX_SINGLE = 8_000
MAX_MERGE_SECONDS = 20.0


def portion_size(waiting: int) -> int:
    """The size of each commit for ``waiting`` names; all of them when they are few."""
    if waiting <= MAX_SINGLE:
        return waiting
    size = -(-waiting // MERGED_AT_ONCE)
    while size > MAX_PORTION:
        size = -(-size // MERGED_AT_ONCE)
    return size


def merges(segment_sizes: Sequence[int]) -> bool:
    """Whether tantivy merges some of segments of these sizes.

    Its ``LogMergePolicy`` with the defaults: eight whose sizes differ by less than 2 ** 0.75, where
    those below 10,000 documents count as equal.
    """
    level: list[float] = []
    for size in sorted(segment_sizes, reverse=True):
        log = math.log2(max(size, MIN_LAYER_DOCS))
        if not level or level[0] - log > LEVEL_LOG_SIZE:
            level = []
        level.append(log)
        if len(level) >= MERGED_AT_ONCE:
            return True
    return False


class Portions:
    """Tells when to commit, and when to wait for a merge, while many names are indexed."""

    def __init__(self) -> None:
        self._size = 0
        self._left = 0
        self._waiting_since = 0.0

    def must_wait(self, segment_sizes: Sequence[int], now: float) -> bool:
        """Whether segments are being merged: one made meanwhile would be left over."""
        if not merges(segment_sizes):
            self._waiting_since = 0.0
            return False
        self._waiting_since = self._waiting_since or now
        return now - self._waiting_since < MAX_MERGE_SECONDS

    def begin(self, waiting: int) -> None:
        """Go on with ``waiting`` names to index; their first call decides the size."""
        if not self._size:
            self._size = self._left = portion_size(waiting)

    def take(self) -> bool:
        """Count one name; whether a portion is complete with it."""
        self._left -= 1
        if self._left > 0:
            return False
        self._left = self._size
        return True

    def end(self) -> None:
        """No name waits any more."""
        self._size = 0
