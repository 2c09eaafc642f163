"""The names index: candidates for what a person began to type, by prefix, middle or typo.

Every path is one document. Edge n-grams turn a prefix query into one posting list, trigrams do
the same for the middle of a name, and whole words serve the typo automaton. A posting list is
cut at a few dozen, so candidates come in the order of a number kept beside each, its prior: how
likely it is that this file is asked for by its name at all. Which one is meant is the matcher's
business.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tantivy
from tantivy import Occur, Query

from sgoped.memory.document import MAX_PATH_BYTES, shown
from sgoped.memory.hidden import is_hidden
from sgoped.memory.index import SearchIndex
from sgoped.memory.words import fold, joined, split_words

# The first two letters have lists of their own: with the words' they would be very long.
SHORT = 2
MAX_GRAM = 32
TRIGRAM = 3
# The pid is part of the prior, so that earlier paths come first among equals: asking for it
# separately would cost as much as a search.
PID_BITS = 32
PID_MASK = 2**PID_BITS - 1
# Holds a whole portion (see portions): about 2.5 kB for each name.
HEAP_BYTES = 160_000_000
MAX_DISTINCT_NAMESAKES = 2
MAX_SHARED_BITS = 16
MAX_PRIOR_CHARS = 64
FOLDER_CHARS = 8
# Steps of the prior: each is more than all below it together.
SHARED_STEP = 1_000_000
CHARS_STEP = 10_000
# Distinct names of at most eight characters have this prior or a higher one.
BRIEF_PRIOR = MAX_SHARED_BITS * SHARED_STEP + (MAX_PRIOR_CHARS - 8) * CHARS_STEP


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("pid", indexed=True, fast=True)
    builder.add_unsigned_field("prior", fast=True)
    for field, tokenizer in (
        ("brief", "short"),
        ("name", "short"),
        ("word", "short"),
        ("start", "edge"),
        ("tight", "edge"),
        ("directory", "any_edge"),
        ("dotted", "any_edge"),
        ("trigram", "trigram"),
        ("exact", "raw"),
        ("whole", "raw"),
    ):
        builder.add_text_field(field, tokenizer_name=tokenizer, index_option="basic")
    return builder.build()


def _analyzers() -> dict[str, tantivy.TextAnalyzer]:
    tokenizers = {
        "short": tantivy.Tokenizer.ngram(1, SHORT, prefix_only=True),
        "edge": tantivy.Tokenizer.ngram(SHORT + 1, MAX_GRAM, prefix_only=True),
        "any_edge": tantivy.Tokenizer.ngram(1, MAX_GRAM, prefix_only=True),
        "trigram": tantivy.Tokenizer.ngram(TRIGRAM, TRIGRAM),
    }
    return {
        name: tantivy.TextAnalyzerBuilder(tokenizer).build()
        for name, tokenizer in tokenizers.items()
    }


class NameIndex(SearchIndex):
    """Names of files and folders, keyed by pid."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, "names", _schema(), _analyzers(), HEAP_BYTES)
        # The last directory and its words: paths of one directory mostly come together.
        self._above: tuple[str, list[str]] = ("", [])

    def add_path(self, pid: int, path: str, namesakes: int = 1, *, folder: bool = False) -> None:
        """Add a path under a pid that the index does not hold.

        ``namesakes`` is how many paths have this name, as far as is known by now.
        """
        directory, _, name = path.rpartition("/")
        name, directory = shown(name), shown(directory)
        folded = fold(name)
        tight = joined(folded)
        words = split_words(name)
        prior = _prior(folded, path, namesakes, folder=folder) << PID_BITS | (PID_MASK - pid)
        if is_hidden(name):
            # In no other field, so that no other query finds it, or is slower for it.
            dotted = [folded, *words, *self._words_above(directory)]
            self.add({"pid": pid, "prior": prior, "dotted": dotted})
            return
        starts = [folded, *words]
        self.add(
            {
                "pid": pid,
                "prior": prior,
                "brief": folded if prior >= BRIEF_PRIOR << PID_BITS else [],
                "name": folded,
                "word": words,
                "start": starts,
                "tight": tight,
                "directory": self._words_above(directory),
                "trigram": folded if folded == tight else [folded, tight],
                "exact": _exact(folded),
                "whole": words,
            }
        )

    def _words_above(self, directory: str) -> list[str]:
        if directory != self._above[0]:
            self._above = (directory, split_words(directory))
        return self._above[1]

    def remove(self, pid: int) -> None:
        """Remove the path of a pid."""
        self.delete("pid", pid)

    def by_exact(self, text: str, limit: int) -> list[int]:
        """Pids of which the name, with or without its suffixes, is ``text``."""
        return self._search(self._term("exact", text), limit)

    def by_start(self, text: str, limit: int) -> list[int]:
        """Pids of which the name or a word of it begins so.

        Those whose name begins so come first when there are very many.
        """
        if len(text) > SHORT:
            return self._all_of(self._beginning("start", text), limit)
        # The best of a list that is very long in a big folder are a list of their own.
        pids = self._search(self._term("brief", text), limit)
        if len(pids) < limit:
            pids = self._search(self._term("name", text), limit)
        if len(pids) < limit:
            words = self._search(self._term("word", text), limit)
            pids = list(dict.fromkeys((*pids, *words)))[:limit]
        return pids

    def by_tight(self, text: str, limit: int) -> list[int]:
        """Pids of which the name without its separators begins so; three letters at least."""
        return self._all_of(self._beginning("tight", text), limit)

    def by_directory(self, token: str, limit: int) -> list[int]:
        """Pids below a directory with a word that the token begins."""
        return self._search(self._term("directory", token[:MAX_GRAM]), limit)

    def by_dot(self, words: Sequence[str], limit: int) -> list[int]:
        """Pids of hidden files where each begins the name, a word of it, or one of a directory's.

        A word that begins with a dot can only begin the name.
        """
        return self._all_of([self._term("dotted", word[:MAX_GRAM]) for word in words], limit)

    def by_folder_and_name(self, folder: str, name: str, limit: int) -> list[int]:
        """Pids where one begins a word of a directory, and the other the name or a word of it."""
        queries = [self._term("directory", folder[:MAX_GRAM]), self._start(name)]
        return self._all_of(queries, limit)

    def by_all(self, tokens: Sequence[str], limit: int) -> list[int]:
        """Pids where every token begins the name, a word of it, or one of a directory's."""
        queries = [
            self._any_of((self._start(token), self._term("directory", token[:MAX_GRAM])))
            for token in tokens
        ]
        return self._all_of(queries, limit)

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

    def by_typo(self, tokens: Sequence[str], limit: int, *, whole: bool) -> list[int]:
        """Pids where every token is one edit or swap away from a word, or from its beginning."""
        queries = [
            Query.fuzzy_term_query(self.schema, "whole", token, 1, True, not whole)
            for token in tokens
        ]
        return self._all_of(queries, limit)

    def _beginning(self, field: str, text: str) -> list[Query]:
        """What must hold for a beginning; of a long one the grams do not reach the end."""
        queries = [self._term(field, text[:MAX_GRAM])]
        if len(text) > MAX_GRAM:
            end = text[-MAX_GRAM:]
            queries += [
                self._term("trigram", end[at : at + TRIGRAM])
                for at in range(len(end) - TRIGRAM + 1)
            ]
        return queries

    def _start(self, token: str) -> Query:
        if len(token) > SHORT:
            return self._term("start", token[:MAX_GRAM])
        return self._any_of((self._term("name", token), self._term("word", token)))

    def _term(self, field: str, text: str) -> Query:
        return Query.term_query(self.schema, field, text, "basic")

    def _any_of(self, queries: Sequence[Query]) -> Query:
        return Query.boolean_query([(Occur.Should, query) for query in queries])

    def _all_of(self, queries: Sequence[Query], limit: int) -> list[int]:
        if not queries:
            return []
        if len(queries) == 1:
            return self._search(queries[0], limit)
        return self._search(Query.boolean_query([(Occur.Must, q) for q in queries]), limit)

    def _search(self, query: Query, limit: int) -> list[int]:
        searcher = self.searcher()
        hits: list[tuple[Any, Any]] = self.guard(
            lambda: searcher.search(query, limit, count=False, order_by_field="prior").hits, []
        )
        return [PID_MASK - (int(prior) & PID_MASK) for prior, _ in hits]


def is_whole(text: str, name: str) -> bool:
    """Whether ``text`` is all of a folded name, with all, some or none of its suffixes."""
    return name == text or (name.startswith(text) and text in _exact(name))


def _exact(name: str) -> list[str]:
    """What a person may call the whole name: with all, some or none of its suffixes."""
    first, last = name.find(".", 1), name.rfind(".", 1)
    if first < 0:
        return [name]
    return [name, name[:last]] if first == last else [name, name[:last], name[:first]]


def _prior(name: str, path: str, namesakes: int, *, folder: bool) -> int:
    """Where a path stands in a list: distinct names first, then short ones, then short paths.

    Of a long name the same few letters say less; a name that many files share (``__init__.py``)
    is seldom meant by its name alone; a folder can be meant, but mostly a file is.
    """
    shared = namesakes.bit_length() if namesakes > MAX_DISTINCT_NAMESAKES else 0
    stem = name.rfind(".", 1)
    chars = (stem if stem > 0 else len(name)) + (FOLDER_CHARS if folder else 0)
    return (
        (MAX_SHARED_BITS - min(shared, MAX_SHARED_BITS)) * SHARED_STEP
        + (MAX_PRIOR_CHARS - min(chars, MAX_PRIOR_CHARS)) * CHARS_STEP
        + (MAX_PATH_BYTES - min(len(path), MAX_PATH_BYTES))
    )
