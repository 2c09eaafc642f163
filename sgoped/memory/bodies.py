"""The bodies index: which passage of which file speaks of the words a person gave.

A text is cut into passages of about ``PASSAGE_CHARS`` at line ends; each is a document with its
first line and its line count. The text itself is not stored: snippets come from the file. A
passage also holds the beginning of the next one, so that no phrase is lost between two. What
makes a passage relevant is said in ``relevance``.

Positions, for phrases and nearness, cost a quarter more processor time than frequencies alone,
nearly all of it in tantivy's own thread, and 160 bytes per kilobyte of text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import tantivy
from tantivy import Query

from sgoped.memory.document import shown
from sgoped.memory.index import SearchIndex
from sgoped.memory.languages import Languages
from sgoped.memory.relevance import Plan, QueryBuilder, suffix_of
from sgoped.memory.vocabulary import Vocabulary
from sgoped.memory.words import fold, split_words, spread_cjk

PASSAGE_CHARS = 2000
MAX_LINE_CHARS = 8000
MAX_TOKEN_BYTES = 80
OVERLAP_CHARS = 160
OVERLAP_LINES = 2
MAX_KEPT_DIRECTORIES = 1000
FIRST_PAGE = 60
NEXT_PAGE = 500
LAST_PAGE = 4000
# A condition on more files than these takes longer than looking at many candidates.
MAX_SELECTED = 20_000
# A text says at its beginning what it is about, and a long one has many passages to be found by:
# discounting what stands deeper finds manual pages 2 to 4 % better (nDCG@10, which then reach those of
# whole files ranked likewise) and changes nothing for short files.
DEPTH_DISCOUNT = 0.04
DEPTH_LINES = 40

_UNFINISHED = re.compile(r"\w+$")


@dataclass(frozen=True, slots=True)
class BodyHit:
    """A passage: ``line_count`` lines of a file from ``line_start`` (1-based) on."""

    pid: int
    line_start: int
    line_count: int
    score: float


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("pid", indexed=True, fast=True)
    builder.add_unsigned_field("line_start", fast=True)
    builder.add_unsigned_field("line_count", fast=True)
    builder.add_text_field("body", tokenizer_name="words", index_option="position")
    builder.add_text_field("title", tokenizer_name="words", index_option="freq")
    builder.add_text_field("suffix", tokenizer_name="raw", index_option="basic")
    return builder.build()


def _analyzer() -> tantivy.TextAnalyzer:
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    builder = builder.filter(tantivy.Filter.lowercase())
    return builder.filter(tantivy.Filter.remove_long(MAX_TOKEN_BYTES)).build()


def split_passages(text: str) -> Iterator[tuple[int, int, str]]:
    """Cut ``text`` into ``(first line, number of lines, text)``; lines are counted from 1.

    Lines end at a line feed only, as editors count them. A line longer than ``MAX_LINE_CHARS`` is cut
    into several passages that carry the same line number.
    """
    line_number, start, start_line, position = 1, 0, 1, 0
    while position < len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end + 1
        if end - position > MAX_LINE_CHARS:
            if position > start:
                yield start_line, line_number - start_line, text[start:position]
            for offset in range(position, end, MAX_LINE_CHARS):
                yield line_number, 1, text[offset : min(end, offset + MAX_LINE_CHARS)]
            start, start_line = end, line_number + 1
        elif end - start >= PASSAGE_CHARS:
            yield start_line, line_number - start_line + 1, text[start:end]
            start, start_line = end, line_number + 1
        position = end
        line_number += 1
    if start < len(text):
        yield start_line, line_number - start_line, text[start:]


def overlapping(text: str) -> Iterator[tuple[int, int, str]]:
    """The passages of ``text``, each with the beginning of the next one.

    That is at most ``OVERLAP_CHARS`` and ``OVERLAP_LINES``; the lines are counted in.
    """
    if len(text) <= PASSAGE_CHARS:
        # Most files are short.
        if text:
            yield 1, text.count("\n") + (not text.endswith("\n")), text
        return
    end = 0
    for line_start, line_count, passage in split_passages(text):
        end += len(passage)
        more = _beginning(text, end)
        lines = more.count("\n") + (more != "" and not more.endswith("\n"))
        if more and not passage.endswith("\n"):
            lines -= 1
        yield line_start, line_count + lines, passage + more


def _beginning(text: str, start: int) -> str:
    """The first whole words of ``text`` from ``start`` on."""
    limit, stop = start + OVERLAP_CHARS, start
    for _ in range(OVERLAP_LINES):
        stop = text.find("\n", stop, limit) + 1
        if not stop:
            more = text[start:limit]
            return more if limit >= len(text) else _UNFINISHED.sub("", more)
    return text[start:stop]


class BodyIndex(SearchIndex):
    """Passages of text files, keyed by pid."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, "bodies", _schema(), {"words": _analyzer()})
        self._query_analyzer = _analyzer()
        self._directory_words: dict[str, str] = {}
        self._languages = Languages()
        self._builder = QueryBuilder(self.schema)
        self._vocabulary = Vocabulary(self.searcher(), self._languages, self.guard)

    def add_text(self, pid: int, path: str, text: str) -> None:
        """Add the passages of a file under a pid that the index does not hold."""
        title = self._title(path)
        suffix = suffix_of(path)
        plain = text.isascii()
        for line_start, line_count, passage in overlapping(text):
            self.add(
                {
                    "pid": pid,
                    "line_start": line_start,
                    "line_count": line_count,
                    "body": passage if plain else fold(spread_cjk(passage)),
                    "title": title,
                    "suffix": suffix,
                }
            )

    def _title(self, path: str) -> str:
        """The words of a path; those of a directory are kept, for its other files."""
        directory, _, name = path.rpartition("/")
        above = self._directory_words.get(directory)
        if above is None:
            if len(self._directory_words) >= MAX_KEPT_DIRECTORIES:
                self._directory_words.clear()
            above = self._directory_words[directory] = " ".join(split_words(shown(directory)))
        return f"{above} {' '.join(split_words(shown(name)))}"

    def remove(self, pid: int) -> None:
        """Remove the passages of a pid."""
        self.delete("pid", pid)

    def terms(self, text: str) -> list[str]:
        """The words of a text as the index knows them, in order."""
        words: list[str] = self._query_analyzer.analyze(fold(spread_cjk(text)))
        return words

    def vocabulary(self) -> Vocabulary:
        """The words of what was committed last."""
        known, searcher = self._vocabulary, self.searcher()
        if known.searcher is not searcher:
            known = self._vocabulary = Vocabulary(searcher, self._languages, self.guard)
        return known

    def search(
        self,
        plan: Plan,
        limit: int,
        accepts: Callable[[int], bool],
        *,
        per_file: int = 1,
        accepted: Callable[[], Sequence[int]] | None = None,
        every: bool = False,
    ) -> list[BodyHit]:
        """The passages that answer ``plan`` best, at most ``per_file`` of one file.

        Args:
            plan: What is asked for.
            limit: How many passages at most.
            accepts: Asked for each candidate's pid.
            per_file: How many of one file at most.
            accepted: Gives all pids that may be accepted; asked only when the best few hundred
                candidates hold too few of them, and then no other is looked at.
            every: Whether each of the plan's concepts must occur.
        """
        if plan.empty or limit <= 0:
            return []
        searcher = self.searcher()
        hits: list[BodyHit] = []
        for size, pids in _attempts(limit, accepted):
            query = self._builder.build(plan, pids, every=every)
            candidates: list[BodyHit] = self.guard(partial(_fetch, searcher, query, size), [])
            excluded = self.excluded(plan, candidates)
            hits = _select(candidates, limit, accepts, per_file, excluded)
            if len(hits) >= limit or len(candidates) < size:
                break
        return hits

    def excluded(self, plan: Plan, candidates: Sequence[BodyHit]) -> frozenset[int]:
        """Files of the candidates that hold what is excluded in another passage."""
        if not plan.excluded or not candidates:
            return frozenset()
        pids = sorted({hit.pid for hit in candidates})
        query = self._builder.holding(plan.excluded, pids)
        return self.guard(partial(_pids_of, self.searcher(), query), frozenset())


def _pids_of(searcher: tantivy.Searcher, query: Query) -> frozenset[int]:
    found = searcher.search(query, LAST_PAGE, count=False)
    addresses = [address for _, address in found.hits]
    return frozenset(map(int, searcher.fast_field_values("pid", addresses)))  # type: ignore[arg-type]


def _attempts(
    limit: int, accepted: Callable[[], Sequence[int]] | None
) -> Iterator[tuple[int, Sequence[int] | None]]:
    """How many candidates to look at, and of which files; dearer ones only where it takes them."""
    yield max(FIRST_PAGE, 4 * limit), None
    yield NEXT_PAGE, None
    pids = accepted() if accepted else None
    if pids is None or len(pids) > MAX_SELECTED:
        yield LAST_PAGE, None
    if pids is not None:
        yield LAST_PAGE, pids


def _fetch(searcher: tantivy.Searcher, query: Query, limit: int) -> list[BodyHit]:
    hits = searcher.search(query, limit, count=False).hits
    addresses = [address for _, address in hits]
    columns = [
        searcher.fast_field_values(field, addresses)
        for field in ("pid", "line_start", "line_count")
    ]
    found = [
        BodyHit(
            int(pid or 0),
            int(start or 1),
            int(count or 1),
            float(score) / _depth_discount(int(start or 1)),
        )
        for (score, _), pid, start, count in zip(hits, *columns, strict=True)
    ]
    return sorted(found, key=lambda hit: -hit.score)


def _depth_discount(line_start: int) -> float:
    return 1 + DEPTH_DISCOUNT * math.log2(1 + (line_start - 1) / DEPTH_LINES)


def _select(
    candidates: Sequence[BodyHit],
    limit: int,
    accepts: Callable[[int], bool],
    per_file: int,
    excluded: Collection[int],
) -> list[BodyHit]:
    taken: dict[int, int] = {}
    hits: list[BodyHit] = []
    for hit in candidates:
        before = taken.get(hit.pid, 0)
        if before < per_file and hit.pid not in excluded and accepts(hit.pid):
            taken[hit.pid] = before + 1
            hits.append(hit)
            if len(hits) == limit:
                break
    return hits
