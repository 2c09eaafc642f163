"""When the paths of a big folder are made ready for subsequence search: after its first scan.

That takes half as long as loading the table, and is needed for what nothing nearer matches only.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from sgoped.memory.haystack import PathHaystack
from sgoped.memory.table import PathTable

# Fewer are made ready at once.
EAGER_PATHS = 20_000
WAIT_SECONDS = 5.0


class DeferredHaystack:
    """A haystack that is filled from a table late; changed in the indexer's thread only."""

    def __init__(self, table: PathTable) -> None:
        self._table = table
        self._haystack = PathHaystack()
        self._filled = threading.Event()
        if len(table) <= EAGER_PATHS:
            self.fill()

    @property
    def filled(self) -> bool:
        """Whether ``wait`` does not block."""
        return self._filled.is_set()

    def wait(self) -> PathHaystack:
        """The haystack, once it is filled; blocks for a moment after the start of a big folder."""
        self._filled.wait(WAIT_SECONDS)
        return self._haystack

    def fill(self) -> None:
        """Take in every path of the table, unless that was done."""
        if not self._filled.is_set():
            self._fill()
            self._filled.set()

    def _fill(self) -> None:
        fresh = PathHaystack()
        fresh.update(((pid, self._table.path(pid) or "") for pid in self._table.visible()), ())
        self._haystack = fresh

    def update(self, added: Iterable[tuple[int, str]], removed: Iterable[int]) -> None:
        """Take in a change; what is not filled yet will learn of it from the table."""
        if self._filled.is_set():
            self._haystack.update(added, removed)
            if self._haystack.outdated:
                self._fill()
