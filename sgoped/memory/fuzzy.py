"""Paths that are near to what was typed: words with a typo, letters in order with gaps.

Costs milliseconds where a literal look-up costs microseconds, so it runs when that found little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from sgoped.memory.document import Kind
from sgoped.memory.haystack import PathHaystack
from sgoped.memory.matcher import (
    FOLDER_AND_NAME,
    LENGTH_WEIGHT,
    LETTERS,
    SIMILAR_NAME,
    favour,
    score_literal,
    score_scattered,
)
from sgoped.memory.names import NameIndex
from sgoped.memory.table import PathTable
from sgoped.memory.uses import Uses

MIN_TYPO_CHARS = 4
TYPO_POINTS = 0.38
TYPO_START_POINTS = 0.25
PLACE_WEIGHT = 0.001
MIN_PART_CHARS = 3
MAX_SPLITS = 12
SPLIT_POINTS = 0.3
# With so many similar names, scattered letters would only add noise.
ENOUGH = 3


class Near(NamedTuple):
    """A path that is near, in which way, its namesakes, and how near (more is nearer)."""

    pid: int
    path: str
    why: str
    namesakes: int
    score: float


class FuzzySearch:
    """Finds near paths; safe to run in any thread."""

    def __init__(
        self,
        names: NameIndex,
        haystack: Callable[[], PathHaystack],
        table: PathTable,
        uses: Uses,
    ) -> None:
        self._names = names
        self._haystack = haystack
        self._table = table
        self._uses = uses

    def run(self, tokens: Sequence[str], limit: int) -> list[Near]:
        """The nearest paths, best first; about ``limit``."""
        found: dict[int, Near] = {}
        if min(map(len, tokens)) >= MIN_TYPO_CHARS:
            typos = self._names.by_typo(tokens, limit, whole=True)
            self._offer_typos(found, typos, TYPO_POINTS)
        if len(found) < ENOUGH:
            self._offer_scattered(found, tokens, self._haystack().search(tokens, limit))
            if len(tokens) == 1:
                self._offer_split(found, tokens[0], limit)
        if len(found) < ENOUGH and min(map(len, tokens)) >= MIN_TYPO_CHARS:
            typos = self._names.by_typo(tokens, limit, whole=False)
            self._offer_typos(found, typos, TYPO_START_POINTS)
        return sorted(found.values(), key=lambda near: (-near.score, len(near.path), near.path))

    def _offer_split(self, found: dict[int, Near], token: str, limit: int) -> None:
        """A folder and a name typed as one: ``srcfoo`` for ``src/foo.py``."""
        for end in range(MIN_PART_CHARS, len(token) - MIN_PART_CHARS + 1)[:MAX_SPLITS]:
            for pid in self._names.by_folder_and_name(token[:end], token[end:], limit):
                shown = self._table.shown_candidate(pid)
                if shown is not None:
                    score = score_literal((token,), shown[0])[0] or SPLIT_POINTS
                    score += self._favour(pid, *shown) - LENGTH_WEIGHT * len(shown[0])
                    _offer(found, Near(pid, shown[0], FOLDER_AND_NAME, shown[1], score))

    def _offer_typos(self, found: dict[int, Near], pids: Iterable[int], points: float) -> None:
        """Names with a word that is near; the index gives them in their order."""
        for place, pid in enumerate(pids):
            shown = self._table.shown_candidate(pid)
            if shown is not None:
                score = points - place * PLACE_WEIGHT
                score += favour(1, folder=False, uses=self._uses.weight(shown[0]))
                _offer(found, Near(pid, shown[0], SIMILAR_NAME, shown[1], score))

    def _offer_scattered(
        self, found: dict[int, Near], tokens: Sequence[str], hits: Iterable[tuple[int, int]]
    ) -> None:
        for pid, points in hits:
            shown = self._table.shown_candidate(pid)
            if shown is not None:
                score, why = score_literal(tokens, shown[0])
                if not why:
                    score, why = score_scattered(tokens, points), LETTERS
                score += self._favour(pid, *shown)
                _offer(found, Near(pid, shown[0], why, shown[1], score))

    def _favour(self, pid: int, path: str, namesakes: int) -> float:
        folder = self._table.kind(pid) is Kind.FOLDER
        return favour(namesakes, folder=folder, uses=self._uses.weight(path))


def _offer(found: dict[int, Near], near: Near) -> None:
    other = found.get(near.pid)
    if other is None or near.score > other.score:
        found[near.pid] = near
