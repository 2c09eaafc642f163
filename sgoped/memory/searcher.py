"""Finds passages by what they say, and reads the lines to show from the files themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from sgoped.memory.bodies import BodyHit
from sgoped.memory.content_filter import ContentFilter
from sgoped.memory.content_query import MAX_QUERY_CHARS, ContentQuery, parse_query
from sgoped.memory.document import Document
from sgoped.memory.feedback import PASSAGES, expand, wants_feedback
from sgoped.memory.fusion import CANDIDATES, FILE_WEIGHT, SUBJECT_WEIGHT, fuse
from sgoped.memory.reading import BodyReader
from sgoped.memory.relevance import Plan, make_completing_plan, make_plan
from sgoped.memory.snippets import SNIPPET_LINES, make_snippet
from sgoped.memory.worker import IndexWorker

if TYPE_CHECKING:
    from sgoped.memory.nearest import Similarities

# Larger files take too long to read only to see what they are about.
MAX_FEEDBACK_BYTES = 200_000
MAX_COMPLETED_WORDS = 16

Result = TypeVar("Result")
Compare = Callable[[], "Similarities | None"]
SimilarTo = Callable[[str], Awaitable[Compare | None]]


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
    """Answers content queries.

    Attributes:
        similar_to: Tells how near passages are to a text, or that nobody can; ``None`` when
            nothing is found by meaning.
    """

    def __init__(
        self, root: Path, worker: IndexWorker, executor: ThreadPoolExecutor, max_index_bytes: int
    ) -> None:
        self._root = root
        self._worker = worker
        self._executor = executor
        self._max_index_bytes = max_index_bytes
        self.similar_to: SimilarTo | None = None

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
        """The passages that answer ``query`` best, best first, by its words and its meaning.

        Where nobody tells the meaning these are exactly those that the words find. A phrase that
        is demanded has no meaning beside its words.

        Args:
            query: Words, phrases, exclusions and filters; see ``content_query``. Exclusions and
                filters alone find nothing.
            limit: How many passages at most.
            path: One more ``path:`` filter.
            ext: One more ``ext:`` filter.
            per_file: How many passages of one file at most.
            max_lines: How many lines of a passage to show at most.
        """
        if limit <= 0:
            return []
        parsed, compare = parse_query(query, path, ext), None
        if self.similar_to is not None and parsed.words:
            compare = await self.similar_to(" ".join((parsed.words, *parsed.phrases)))
        return await self._run(
            lambda: self._search(parsed, limit, per_file, max_lines, compare=compare)
        )

    async def content_hits(
        self, query: str, limit: int, skip_pids: Collection[int] = ()
    ) -> list[Passage]:
        """The files whose contents hold the words typed so far, for a list below the names found.

        Each holds every word in one passage; the last may be incomplete from its fourth character
        on.

        Args:
            query: What was typed; everything in it is words.
            limit: How many files at most.
            skip_pids: Files that are not wanted.
        """
        if limit <= 0:
            return []
        return await self._run(lambda: self._complete(query, limit, skip_pids))

    def may_mention(self, query: str) -> bool:
        """Whether ``content_hits`` may find anything; takes microseconds."""
        bodies = self._worker.bodies
        words = bodies.terms(query[:MAX_QUERY_CHARS])[:MAX_COMPLETED_WORDS]
        vocabulary = bodies.vocabulary()
        if not words or not all(vocabulary.frequency(word) for word in words[:-1]):
            return False
        return vocabulary.frequency(words[-1]) > 0 or len(vocabulary.begun(words[-1], 2)) > 1

    async def _run(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _search(
        self,
        query: ContentQuery,
        limit: int,
        per_file: int,
        max_lines: int,
        *,
        compare: Compare | None,
    ) -> list[Passage]:
        bodies, table = self._worker.bodies, self._worker.table
        plan = make_plan(query, bodies.vocabulary(), bodies.terms)
        if plan.empty:
            return []
        similar = compare() if compare is not None and not plan.phrases else None
        files = ContentFilter(table, query)
        accepted = files.accepted if files.narrows else None

        def search(plan: Plan, limit: int, per_file: int) -> list[BodyHit]:
            return bodies.search(plan, limit, files.accepts, per_file=per_file, accepted=accepted)

        with _Reader(self._worker, self._root, self._max_index_bytes) as reader:
            if wants_feedback(plan):
                best = search(plan, PASSAGES, 1)
                texts = [
                    (hit.score, "\n".join(reader.lines(hit, MAX_FEEDBACK_BYTES))) for hit in best
                ]
                plan = expand(plan, texts, bodies.vocabulary(), bodies.terms)
            if similar is None:
                hits = search(plan, limit, per_file)
            else:
                depth = max(CANDIDATES, 2 * limit)
                near = similar.best(depth, files.accepts, per_file)
                excluded = bodies.excluded(plan, near)
                hits = fuse(
                    search(plan, depth, per_file),
                    [hit for hit in near if hit.pid not in excluded],
                    similar.of,
                    limit=limit,
                    per_file=per_file,
                    depth=depth,
                    weight=SUBJECT_WEIGHT if wants_feedback(plan) else FILE_WEIGHT,
                )
            return _passages(reader, hits, plan, max_lines)

    def _complete(self, query: str, limit: int, skip_pids: Collection[int]) -> list[Passage]:
        bodies = self._worker.bodies
        words = bodies.terms(query[:MAX_QUERY_CHARS])[:MAX_COMPLETED_WORDS]
        plan = make_completing_plan(words, bodies.vocabulary())
        files = ContentFilter(self._worker.table, ContentQuery())
        skipped = set(skip_pids)

        def accepts(pid: int) -> bool:
            return pid not in skipped and files.accepts(pid)

        hits = bodies.search(plan, limit, accepts, every=True)
        with _Reader(self._worker, self._root, self._max_index_bytes) as reader:
            return _passages(reader, hits, plan, 1)


class _Reader:
    """Reads passages from the files, each file once."""

    def __init__(self, worker: IndexWorker, root: Path, max_bytes: int) -> None:
        self._table = worker.table
        self._reader = BodyReader(root, max_bytes)
        self._lines: dict[int, list[str]] = {}

    def __enter__(self) -> Self:
        self._reader.__enter__()
        return self

    def __exit__(self, *reason: object) -> None:
        self._reader.__exit__(*reason)

    def document(self, pid: int) -> Document | None:
        return self._table.document(pid)

    def lines(self, hit: BodyHit, max_bytes: int | None = None) -> list[str]:
        """The lines of a passage; none when the file is gone, shorter by now, or larger."""
        lines = self._lines.get(hit.pid)
        if lines is None:
            document = self.document(hit.pid)
            if document is None or (max_bytes is not None and document.size > max_bytes):
                return []
            lines = self._lines[hit.pid] = self._reader.read(document.path).text.split("\n")
        first = hit.line_start - 1
        return lines[first : first + hit.line_count]


def _passages(
    reader: _Reader, hits: Sequence[BodyHit], plan: Plan, max_lines: int
) -> list[Passage]:
    forms, phrases = plan.marked(), plan.phrases + plan.quoted
    passages: list[Passage] = []
    for hit in hits:
        document, lines = reader.document(hit.pid), reader.lines(hit)
        # A file may have become shorter since it was indexed; the next change batch tells.
        if document is not None and any(lines):
            snippet = make_snippet(lines, hit.line_start, forms, phrases, max_lines)
            passages.append(
                Passage(
                    document,
                    snippet.line_start,
                    snippet.line_end,
                    snippet.text,
                    snippet.matches,
                    round(hit.score, 4),
                )
            )
    return passages
