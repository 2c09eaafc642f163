"""What changed on disk, gathered until it is quiet: pure, the clock is passed in.

The two delays follow Syncthing's watch aggregator: a batch is due when nothing happened for
``quiet_seconds``, or ``max_delay_seconds`` after its first change, whichever comes first. A
flood is collapsed into the directories it happened in; a path is never lost, it is only
covered by one of its ancestors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FileChange:
    """Something happened at ``path``, a file or directory: stat it and its subtree again.

    ``path`` is relative to the memory folder, ``/``-separated; ``""`` means everything.
    """

    path: str


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """What to look at again.

    Attributes:
        paths: Files and directories, none of them below another; empty when ``full``.
        full: Everything must be looked at again.
    """

    paths: frozenset[str]
    full: bool


class Coalescer:
    """Gathers changes into batches.

    Args:
        quiet_seconds: A batch is due after this long without another change.
        max_delay_seconds: ... but never later than this after its first change.
        max_paths: More pending paths than this are collapsed into their directories.
    """

    def __init__(
        self, quiet_seconds: float, max_delay_seconds: float, max_paths: int = 1000
    ) -> None:
        self._quiet_seconds = quiet_seconds
        self._max_delay_seconds = max_delay_seconds
        self._max_paths = max(1, max_paths)
        self._paths: set[str] = set()
        self._first_at: float | None = None
        self._last_at = 0.0

    def add(self, path: str, now: float) -> None:
        """Remember that ``path`` changed; ``""`` means everything did."""
        if self._first_at is None:
            self._first_at = now
        self._last_at = now
        if path == "":
            self._paths = {""}
        elif not self._is_covered(path):
            self._paths.add(path)
            if len(self._paths) > self._max_paths:
                self._collapse()

    def add_all(self, paths: Iterable[str], now: float) -> None:
        """Remember each of ``paths``."""
        for path in paths:
            self.add(path, now)

    def due(self, now: float) -> float | None:
        """Seconds until the batch is due, at least 0; None when there is nothing to take."""
        if self._first_at is None:
            return None
        at = min(self._last_at + self._quiet_seconds, self._first_at + self._max_delay_seconds)
        return min(max(0.0, at - now), self._max_delay_seconds)

    def take(self, now: float) -> ChangeBatch:
        """Return all that was gathered, due or not, and start anew."""
        paths, self._paths, self._first_at = self._paths, set(), None
        if "" in paths:
            return ChangeBatch(frozenset(), full=True)
        return ChangeBatch(frozenset(_without_descendants(paths)), full=False)

    def _is_covered(self, path: str) -> bool:
        if "" in self._paths or path in self._paths:
            return True
        end = path.rfind("/")
        while end > 0:
            if path[:end] in self._paths:
                return True
            end = path.rfind("/", 0, end)
        return False

    def _collapse(self) -> None:
        """Make room: to half of the limit, so that a flood does not collapse at every path."""
        goal = self._max_paths // 2
        paths = _without_descendants(self._paths)
        while len(paths) > max(1, goal) and "" not in paths:
            parents = Counter(map(_parent, paths)).most_common()
            crowded = {parent for parent, count in parents if count > 1 and parent}
            if not crowded:
                deepest = max(path.count("/") for path in paths)
                crowded = {_parent(path) for path in paths if path.count("/") == deepest}
            paths = _without_descendants(_raised(paths, crowded, goal, parents))
        self._paths = {""} if "" in paths else paths


def _raised(
    paths: set[str], crowded: set[str], goal: int, parents: list[tuple[str, int]]
) -> set[str]:
    """Replace children by their crowded parents, most crowded first, until few enough."""
    excess = len(paths) - goal
    chosen: set[str] = set()
    for parent, count in parents:
        if parent in crowded:
            chosen.add(parent)
            excess -= max(1, count - 1)
            if excess <= 0:
                break
    return {parent if (parent := _parent(path)) in chosen else path for path in paths}


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _without_descendants(paths: set[str]) -> set[str]:
    kept: set[str] = set()
    # A parent sorts before its children when "/" sorts before every other character.
    for path in sorted(paths, key=lambda path: path.split("/")):
        end = path.find("/")
        while end > 0 and path[:end] not in kept:
            end = path.find("/", end + 1)
        if end <= 0:
            kept.add(path)
    return kept
