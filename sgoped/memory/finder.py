"""Finds the paths that were meant by what a person typed so far.

Literal matches cost microseconds and come first; only when they are few are near ones looked for,
in a thread.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from sgoped.memory.document import ID_PREFIX, Document
from sgoped.memory.fuzzy import FuzzySearch, Near
from sgoped.memory.labels import label
from sgoped.memory.literal import Found, LiteralSearch
from sgoped.memory.matcher import NAME_START, NAME_WHOLE, NAME_WORD, Ranges, highlight
from sgoped.memory.path_query import PathQuery, parse_path_query
from sgoped.memory.uses import Uses
from sgoped.memory.worker import IndexWorker

# Up to here a search takes a millisecond or two, and going to a thread and back about as much.
MIN_PATHS_FOR_THREAD = 150_000
ENOUGH_LITERAL = 3
MIN_FUZZY_CHARS = 2
STARTS = (NAME_WHOLE, NAME_START, NAME_WORD)
MAX_KEPT_LABELS = 10_000


class PathHit(NamedTuple):
    """A path that may be meant.

    Attributes:
        document: The file or folder.
        label: What identifies it; see ``labels.label``.
        why: Why it is here, in a few words.
        matches: Character ranges of ``label`` or the shown path, as ``target`` says.
        target: ``"label"`` or ``"path"``.
    """

    document: Document
    label: str
    why: str
    matches: Ranges
    target: str


class Finder:
    """Answers path queries from the names index and the path table."""

    def __init__(self, worker: IndexWorker, uses: Uses, executor: ThreadPoolExecutor) -> None:
        self._worker = worker
        self._uses = uses
        self._executor = executor
        self._last: tuple[object, list[Found]] | None = None
        self._labels: dict[int, str] = {}
        self._labels_version = -1

    @property
    def stamp(self) -> tuple[int, int, int]:
        """What answers depend on: as long as it is the same, so are they."""
        worker = self._worker
        return worker.generation, worker.table.version, self._uses.generation

    def find_now(self, query: str, limit: int) -> list[PathHit] | None:
        """The best paths for ``query``, best first; ``None`` when that may take milliseconds."""
        asked = parse_path_query(query)
        if not asked.tokens or limit <= 0:
            return []
        found = self._find_literal(asked, limit)
        return self._present_all(asked, found) if _suffices(asked, found, limit) else None

    async def find(self, query: str, limit: int) -> list[PathHit]:
        """The best paths for ``query``, best first; nothing for a query without a letter."""
        asked = parse_path_query(query)
        if not asked.tokens or limit <= 0:
            return []
        found = self._find_literal(asked, limit)
        if not _suffices(asked, found, limit):
            known = {one.pid for one in found}
            near = await self._find_near(asked, 2 * limit)
            found = [*found, *(Found(*one[:4]) for one in near if one.pid not in known)]
        return self._present_all(asked, found[:limit])

    def _find_literal(self, asked: PathQuery, limit: int) -> list[Found]:
        """The literal matches; those of the last query are kept, for ``find`` after ``find_now``."""
        key = (asked.text, limit, self.stamp)
        if self._last is None or self._last[0] != key:
            worker = self._worker
            search = LiteralSearch(worker.names, worker.table, self._uses, asked, limit)
            self._last = key, search.run()
        return self._last[1]

    async def _find_near(self, asked: PathQuery, limit: int) -> Sequence[Near]:
        """Search in a thread, unless that takes longer than the search."""
        worker = self._worker
        search = FuzzySearch(worker.names, lambda: worker.haystack, worker.table, self._uses)
        if len(worker.table) < MIN_PATHS_FOR_THREAD and worker.haystack_filled:
            return search.run(asked.tokens, limit)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, search.run, asked.tokens, limit)

    def _present_all(self, asked: PathQuery, found: Sequence[Found]) -> list[PathHit]:
        table, labels = self._worker.table, self._labels
        if self._labels_version != table.version or len(labels) > MAX_KEPT_LABELS:
            labels.clear()
            self._labels_version = table.version
        hits = []
        for pid, path, why, namesakes in found:
            # Nearly all names are unique, and then they are their labels.
            own = namesakes == 1 and path.isascii() and ID_PREFIX not in path
            text = path.rpartition("/")[2] if own else labels.get(pid)
            if text is None:
                text = labels[pid] = label(table, path)
            hits.append(_present(asked.tokens, table.document_at(pid, path), text, why))
        return hits


def _present(tokens: Sequence[str], document: Document, text: str, why: str) -> PathHit:
    lowered = text.lower()
    if len(text) == len(document.path) or _all_in(tokens, lowered):
        return PathHit(document, text, why, highlight(tokens, text), "label")
    return PathHit(document, text, why, highlight(tokens, document.shown_path), "path")


def _all_in(tokens: Sequence[str], text: str) -> bool:
    return tokens[0] in text and (len(tokens) == 1 or all(token in text for token in tokens))


def _suffices(asked: PathQuery, found: Sequence[Found], limit: int) -> bool:
    """Whether literal matches are such that near ones would only add noise."""
    return (
        len(found) >= min(limit, ENOUGH_LITERAL)
        or asked.letters < MIN_FUZZY_CHARS
        or (len(asked.tokens) > 1 and len(found) > 0)
        or any(one.why in STARTS for one in found)
    )


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
