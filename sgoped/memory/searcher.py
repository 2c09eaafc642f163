"""Finds passages by what they say, and reads the lines to show from the files themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sgoped.memory.bodies import BodyHit
from sgoped.memory.document import Document, Kind
from sgoped.memory.reading import read_body
from sgoped.memory.snippets import SNIPPET_LINES, make_snippet
from sgoped.memory.worker import IndexWorker


@dataclass(frozen=True, slots=True)
class Passage:
    """Some lines of a file that speak of what was searched for.

    Attributes:
        document: The file.
        line_start: First line of the snippet, counted from 1.
        line_end: Its last line, inclusive.
        snippet: The lines' text; long lines are cut.
        matches: Character ranges of the snippet that hold a searched word.
        score: Higher is better; only comparable within one answer.
    """

    document: Document
    line_start: int
    line_end: int
    snippet: str
    matches: tuple[tuple[int, int], ...]
    score: float


class Searcher:
    """Answers content queries."""

    def __init__(
        self, root: Path, worker: IndexWorker, executor: ThreadPoolExecutor, max_index_bytes: int
    ) -> None:
        self._root = root
        self._worker = worker
        self._executor = executor
        self._max_index_bytes = max_index_bytes

    async def search(
        self,
        query: str,
        limit: int,
        *,
        path: str = "",
        ext: str = "",
        per_file: int = 1,
        max_lines: int = SNIPPET_LINES,
    ) -> list[Passage]:
        """The best passages for any word of ``query``, best first.

        Args:
            query: Free text.
            limit: How many passages at most.
            path: Only files whose path contains this, in any case.
            ext: Only files whose name ends with ``.ext``.
            per_file: How many passages of one file at most.
            max_lines: How many lines of a passage to show at most.
        """
        terms = self._worker.bodies.terms(query)
        if not terms or limit <= 0:
            return []
        accepts = self._filter(path.lower(), ext.lower().lstrip("."))

        def work() -> list[Passage]:
            hits = self._worker.bodies.search(terms, limit, accepts, per_file)
            passages = [self._show(hit, terms, max_lines) for hit in hits]
            return [passage for passage in passages if passage is not None]

        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _filter(self, part: str, ext: str) -> Callable[[int], bool]:
        table = self._worker.table

        def accepts(pid: int) -> bool:
            path = table.path(pid)
            if path is None or table.kind(pid) is not Kind.TEXT:
                return False
            folded = path.lower()
            return part in folded and (not ext or folded.endswith(f".{ext}"))

        return accepts

    def _show(self, hit: BodyHit, terms: Sequence[str], max_lines: int) -> Passage | None:
        document = self._worker.table.document(hit.pid)
        if document is None:
            return None
        body = read_body(self._root, document.path, self._max_index_bytes)
        first = hit.line_start - 1
        lines = body.text.split("\n")[first : first + hit.line_count]
        if not lines:
            # The file became shorter since it was indexed; the next change batch tells.
            return None
        snippet = make_snippet(lines, hit.line_start, frozenset(terms), max_lines)
        return Passage(
            document,
            snippet.line_start,
            snippet.line_end,
            snippet.text,
            snippet.matches,
            round(hit.score, 4),
        )
