"""The bodies index: which passage of which file speaks of the words a person gave.

A text is cut into passages of about ``PASSAGE_CHARS`` at line ends; each is a document with its
first line and its line count. The text itself is not stored: snippets come from the file.
Ranking is BM25 (Robertson and Zaragoza, 2009) as tantivy computes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tantivy
from tantivy import Occur, Query

from sgoped.memory.document import shown
from sgoped.memory.index import SearchIndex
from sgoped.memory.words import fold, split_words, spread_cjk

PASSAGE_CHARS = 2000
MAX_LINE_CHARS = 8000
MAX_TOKEN_BYTES = 80
TITLE_BOOST = 0.3
MAX_KEPT_DIRECTORIES = 1000
FIRST_PAGE = 60
LAST_PAGE = 4000


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
    builder.add_text_field("body", tokenizer_name="words", index_option="freq")
    builder.add_text_field("title", tokenizer_name="words", index_option="freq")
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


def _whole(text: str) -> Iterator[tuple[int, int, str]]:
    """The single passage of a short text: most files are short."""
    if text:
        yield 1, text.count("\n") + (not text.endswith("\n")), text


class BodyIndex(SearchIndex):
    """Passages of text files, keyed by pid."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, "bodies", _schema(), {"words": _analyzer()})
        self._query_analyzer = _analyzer()
        self._directory_words: dict[str, str] = {}

    def add_text(self, pid: int, path: str, text: str) -> None:
        """Add the passages of a file under a pid that the index does not hold."""
        title = self._title(path)
        plain = text.isascii()
        passages = split_passages(text) if len(text) > PASSAGE_CHARS else _whole(text)
        for line_start, line_count, passage in passages:
            self.add(
                {
                    "pid": pid,
                    "line_start": line_start,
                    "line_count": line_count,
                    "body": passage if plain else fold(spread_cjk(passage)),
                    "title": title,
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

    def terms(self, query: str, max_chars: int = 2000, max_terms: int = 64) -> list[str]:
        """The words of a query, as the index knows them, each once."""
        analyzed = self._query_analyzer.analyze(fold(spread_cjk(query[:max_chars])))
        return list(dict.fromkeys(analyzed))[:max_terms]

    def search(
        self,
        terms: Sequence[str],
        limit: int,
        accepts: Callable[[int], bool],
        per_file: int = 1,
    ) -> list[BodyHit]:
        """The best passages for any of ``terms``, at most ``per_file`` of one file.

        ``accepts`` is asked for each candidate's pid; more candidates are fetched while too few
        are accepted.
        """
        if not terms or limit <= 0:
            return []
        query = self._query(terms)
        page = max(FIRST_PAGE, 4 * limit)
        while True:
            candidates = self._fetch(query, page)
            hits = _select(candidates, limit, accepts, per_file)
            if len(hits) >= limit or len(candidates) < page or page >= LAST_PAGE:
                return hits
            page *= 8

    def _query(self, terms: Sequence[str]) -> Query:
        clauses = [(Occur.Should, self._term("body", term)) for term in terms]
        clauses += [
            (Occur.Should, Query.boost_query(self._term("title", term), TITLE_BOOST))
            for term in terms
        ]
        return Query.boolean_query(clauses)

    def _term(self, field: str, text: str) -> Query:
        return Query.term_query(self.schema, field, text, "freq")

    def _fetch(self, query: Query, limit: int) -> list[BodyHit]:
        searcher = self.searcher()
        hits = searcher.search(query, limit, count=False).hits
        addresses = [address for _, address in hits]
        columns = [
            searcher.fast_field_values(field, addresses)
            for field in ("pid", "line_start", "line_count")
        ]
        return [
            BodyHit(int(pid or 0), int(start or 1), int(count or 1), float(score))
            for (score, _), pid, start, count in zip(hits, *columns, strict=True)
        ]


def _select(
    candidates: Sequence[BodyHit], limit: int, accepts: Callable[[int], bool], per_file: int
) -> list[BodyHit]:
    taken: dict[int, int] = {}
    hits: list[BodyHit] = []
    for hit in candidates:
        if taken.get(hit.pid, 0) < per_file and accepts(hit.pid):
            taken[hit.pid] = taken.get(hit.pid, 0) + 1
            hits.append(hit)
            if len(hits) == limit:
                break
    return hits
