"""Finds the paths that were meant by what a person typed so far.

Stages run from cheap to dear and stop when enough good candidates are in: prefixes, middles of
names, folders, then (in a thread) letters in order and typos. The matcher ranks them all; use
breaks ties.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from sgoped.memory.document import Document, Kind, shown
from sgoped.memory.labels import label
from sgoped.memory.matcher import (
    FOLDER_WEIGHT,
    LENGTH_WEIGHT,
    USE_WEIGHT,
    WHOLE_NAME,
    Ranges,
    Scored,
    highlight,
    score_literal,
    score_scattered,
    score_typo,
    shared_name_penalty,
)
from sgoped.memory.uses import Uses
from sgoped.memory.words import query_tokens, split_words
from sgoped.memory.worker import IndexWorker

MIN_CANDIDATES = 20
MIN_TYPO_CHARS = 4
MIN_PATHS_FOR_THREAD = 10_000
# With so many similar names, letters scattered over whole paths would only add noise.
ENOUGH_FUZZY = 3
MIN_SCATTERED_CHARS = 2


class PathHit(NamedTuple):
    """A path that may be meant.

    Attributes:
        document: The file or folder.
        label: What identifies it; see ``labels.label``.
        why: Why it is here, in a few words.
        matches: Character ranges of ``label`` or the shown path, as ``target`` says.
        target: ``"label"`` or ``"path"``.
        score: Higher is better; only comparable within one answer.
    """

    document: Document
    label: str
    why: str
    matches: Ranges
    target: str
    score: float


class Finder:
    """Answers path queries from the names index and the path table."""

    def __init__(self, worker: IndexWorker, uses: Uses, executor: ThreadPoolExecutor) -> None:
        self._worker = worker
        self._uses = uses
        self._executor = executor

    async def find(self, query: str, limit: int) -> list[PathHit]:
        """The best paths for ``query``, best first; nothing for a query without a letter."""
        tokens = query_tokens(query)
        if not tokens or limit <= 0:
            return []
        scored = self._find_literal(tokens, limit)
        if len(scored) < limit and sum(map(len, tokens)) >= MIN_SCATTERED_CHARS:
            fuzzy = await self._find_fuzzy_apart(tokens, 2 * limit)
            known = {hit.pid for hit in scored}
            scored += [hit for hit in fuzzy if hit.pid not in known]
        scored.sort(key=_rank)
        presented = (self._present(tokens, hit) for hit in scored[:limit])
        return [hit for hit in presented if hit is not None]

    def _find_literal(self, tokens: Sequence[str], limit: int) -> list[Scored]:
        names = self._worker.names
        count = max(limit, MIN_CANDIDATES)
        pids = names.by_prefix(tokens, count)
        scored = self._score(pids, tokens)
        if len(scored) < limit:
            more = dict.fromkeys(names.by_middle(tokens, count))
            if len(tokens) == 1:
                more.update(dict.fromkeys(names.by_directory(tokens[0], count)))
            known = set(pids)
            scored += self._score([pid for pid in more if pid not in known], tokens)
        return scored

    async def _find_fuzzy_apart(self, tokens: Sequence[str], limit: int) -> list[Scored]:
        """Search in a thread, unless that takes longer than the search."""
        if len(self._worker.table) < MIN_PATHS_FOR_THREAD:
            return self._find_fuzzy(tokens, limit)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._find_fuzzy, tokens, limit)

    def _find_fuzzy(self, tokens: Sequence[str], limit: int) -> list[Scored]:
        """Typos and scattered letters; blocks for milliseconds."""
        found: dict[int, Scored] = {}
        haystack = self._worker.haystack
        self._offer_scattered(found, tokens, haystack.search_tails(tokens, limit))
        if min(map(len, tokens)) >= MIN_TYPO_CHARS:
            for pid in self._worker.names.by_typo(tokens, limit):
                path = self._path(pid)
                if path is not None:
                    score = score_typo(tokens, split_words(shown(path.rpartition("/")[2])))
                    score += self._favour(pid, path, "") - LENGTH_WEIGHT * len(path)
                    self._offer(found, Scored(pid, path, score, "similar name"))
        if len(found) < ENOUGH_FUZZY:
            self._offer_scattered(found, tokens, haystack.search_paths(tokens, limit))
        return list(found.values())

    def _offer_scattered(
        self, found: dict[int, Scored], tokens: Sequence[str], hits: Iterable[tuple[int, int]]
    ) -> None:
        for pid, points in hits:
            path = self._path(pid)
            if path is not None:
                score, why = score_literal(tokens, path)
                if not why:
                    score, why = score_scattered(tokens, points), "letters in this order"
                self._offer(found, Scored(pid, path, score + self._favour(pid, path, why), why))

    def _offer(self, found: dict[int, Scored], hit: Scored) -> None:
        other = found.get(hit.pid)
        if other is None or hit.score > other.score:
            found[hit.pid] = hit

    def _score(self, pids: Iterable[int], tokens: Sequence[str]) -> list[Scored]:
        scored = []
        for pid in pids:
            path = self._path(pid)
            if path is not None:
                score, why = score_literal(tokens, path)
                if why:
                    scored.append(Scored(pid, path, score + self._favour(pid, path, why), why))
        return scored

    def _favour(self, pid: int, path: str, why: str) -> float:
        """What speaks for and against a path besides where it matches."""
        table = self._worker.table
        favour = 0.0
        if why != WHOLE_NAME:
            namesakes = table.count_namesakes(path.rpartition("/")[2])
            if namesakes > 1:
                favour = -shared_name_penalty(namesakes)
        if table.kind(pid) is Kind.FOLDER:
            favour -= FOLDER_WEIGHT
        if self._uses:
            favour += USE_WEIGHT * min(1.0, self._uses.weight(path) / 4)
        return favour

    def _path(self, pid: int) -> str | None:
        """The path of a living pid that may be suggested."""
        table = self._worker.table
        path = table.path(pid)
        return None if path is None or table.kind(pid) is Kind.BINARY else path

    def _present(self, tokens: Sequence[str], hit: Scored) -> PathHit | None:
        table = self._worker.table
        document = table.document(hit.pid)
        if document is None:
            return None
        text = label(table, hit.path)
        lowered = text.lower()
        in_label = text == hit.path or all(token in lowered for token in tokens)
        matches = highlight(tokens, text if in_label else document.shown_path)
        target = "label" if in_label else "path"
        return PathHit(document, text, hit.why, matches, target, round(hit.score, 4))


def _rank(hit: Scored) -> tuple[float, int, str]:
    return -hit.score, len(hit.path), hit.path


class Recents:
    """All documents, newest use first; kept until the index or the uses change."""

    def __init__(self, worker: IndexWorker, uses: Uses) -> None:
        self._worker = worker
        self._uses = uses
        self._kept: tuple[tuple[int, int, int], list[Document]] = ((-1, -1, -1), [])

    def newest(self, limit: int) -> tuple[list[Document], int]:
        """The ``limit`` newest documents, and how many there are; blocks for many files."""
        table = self._worker.table
        total = table.visible_count
        key = (self._worker.generation, self._uses.generation, limit)
        # One assignment, because two threads may be here at once.
        known, documents = self._kept
        if known != key:
            documents = self._collect(limit)
            self._kept = (key, documents)
        return documents, total

    def _collect(self, limit: int) -> list[Document]:
        table, uses = self._worker.table, self._uses
        mtimes = table.mtimes_ns
        visible = list(table.visible())
        used = uses.last_used_at

        def newest(pid: int) -> int:
            return max(mtimes[pid], int(used(table.path(pid) or "") * 1e9))

        chosen = heapq.nlargest(limit, visible, key=newest if uses else mtimes.__getitem__)
        return [document for pid in chosen if (document := table.document(pid))]
