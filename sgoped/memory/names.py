"""The names index: candidates for what a person began to type, by prefix, middle or typo.

Every path is one document. Edge n-grams turn a prefix query into one posting list, trigrams do
the same for the middle of a name, and whole words serve the typo automaton. Which candidate is
meant is the matcher's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tantivy
from tantivy import Occur, Query

from sgoped.memory.document import shown
from sgoped.memory.index import SearchIndex
from sgoped.memory.words import fold, joined, split_words

MAX_GRAM = 32
TRIGRAM = 3


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("pid", indexed=True, fast=True)
    for field in ("name", "word", "directory"):
        builder.add_text_field(field, tokenizer_name="edge", index_option="freq")
    builder.add_text_field("trigram", tokenizer_name="trigram", index_option="freq")
    builder.add_text_field("whole", tokenizer_name="raw", index_option="basic")
    return builder.build()


def _analyzers() -> dict[str, tantivy.TextAnalyzer]:
    edge = tantivy.Tokenizer.ngram(1, MAX_GRAM, prefix_only=True)
    trigram = tantivy.Tokenizer.ngram(TRIGRAM, TRIGRAM)
    return {
        "edge": tantivy.TextAnalyzerBuilder(edge).build(),
        "trigram": tantivy.TextAnalyzerBuilder(trigram).build(),
    }


class NameIndex(SearchIndex):
    """Names of files and folders, keyed by pid."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, "names", _schema(), _analyzers())

    def add_path(self, pid: int, path: str) -> None:
        """Add a path under a pid that the index does not hold."""
        directory, _, name = path.rpartition("/")
        name, directory = shown(name), shown(directory)
        folded, tight = fold(name), joined(name)
        names = [folded] if folded == tight else [folded, tight]
        words = split_words(name)
        self.add(
            {
                "pid": pid,
                "name": names,
                "word": words,
                "directory": split_words(directory),
                "trigram": names,
                "whole": words,
            }
        )

    def remove(self, pid: int) -> None:
        """Remove the path of a pid."""
        self.delete("pid", pid)

    def by_prefix(self, tokens: Sequence[str], limit: int) -> list[int]:
        """Pids where every token begins the name, a word of it, or (of several) a directory's.

        For a single token those whose name it begins come first.
        """
        if len(tokens) > 1:
            fields = ("name", "word", "directory")
            queries = [self._any_field(fields, token[:MAX_GRAM]) for token in tokens]
            return self._all_of(queries, limit)
        token = tokens[0][:MAX_GRAM]
        pids = self._search(self._term("name", token), limit)
        if len(pids) < limit:
            # Two searches of one posting list each are faster than one of their union.
            words = self._search(self._term("word", token), limit)
            pids = list(dict.fromkeys((*pids, *words)))[:limit]
        return pids

    def by_directory(self, token: str, limit: int) -> list[int]:
        """Pids below a directory with a word that the token begins."""
        return self._search(self._term("directory", token[:MAX_GRAM]), limit)

    def by_middle(self, tokens: Sequence[str], limit: int) -> list[int]:
        """Pids whose name holds every trigram of every token; shorter tokens match nothing."""
        queries = [
            self._term("trigram", token[i : i + TRIGRAM])
            for token in tokens
            for i in range(len(token) - TRIGRAM + 1)
        ]
        if not queries or any(len(token) < TRIGRAM for token in tokens):
            return []
        return self._all_of(queries, limit)

    def by_typo(self, tokens: Sequence[str], limit: int) -> list[int]:
        """Pids where every token is one edit or transposition away from a word's beginning."""
        queries = [
            Query.fuzzy_term_query(self.schema, "whole", token, 1, True, True) for token in tokens
        ]
        return self._all_of(queries, limit)

    def _term(self, field: str, text: str) -> Query:
        return Query.term_query(self.schema, field, text, "freq")

    def _any_field(self, fields: Sequence[str], token: str) -> Query:
        return Query.boolean_query([(Occur.Should, self._term(field, token)) for field in fields])

    def _all_of(self, queries: Sequence[Query], limit: int) -> list[int]:
        if not queries:
            return []
        if len(queries) == 1:
            return self._search(queries[0], limit)
        return self._search(Query.boolean_query([(Occur.Must, q) for q in queries]), limit)

    def _search(self, query: Query, limit: int) -> list[int]:
        searcher = self.searcher()
        hits = searcher.search(query, limit, count=False).hits
        pids = searcher.fast_field_values("pid", [address for _, address in hits])
        return [int(pid) for pid in pids if pid is not None]
