"""The words of one state of the index: how frequent they are, and which are forms of one another.

Forms are found when they are asked for, by walking the sorted dictionary from the common beginning
of a word and its stem; indexing stems instead finds what is meant 1 to 2 % better (nDCG@10 on
four collections) and makes tantivy's share of indexing cost two and a half times as much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import tantivy

from sgoped.memory.index import Guard
from sgoped.memory.languages import Languages, languages_of, spoken
from sgoped.memory.words import has_cjk

MIN_STEM_CHARS = 3
MIN_PREFIX_CHARS = 4
MAX_FORMS = 8
# Of the words that begin alike, the most frequent ones are looked at.
MAX_NEIGHBOURS = 200


class Vocabulary:
    """What a searcher knows of words; made anew after every commit.

    Attributes:
        searcher: The state of the index.
    """

    def __init__(self, searcher: tantivy.Searcher, languages: Languages, guard: Guard) -> None:
        self.searcher = searcher
        self._guard = guard
        self._languages = languages
        self._passages = int(searcher.num_docs)
        self._spoken: tuple[str, ...] = ()
        self.forms = lru_cache(maxsize=2000)(self._find_forms)
        self.begun = lru_cache(maxsize=2000)(self._find_begun)
        self.stem = lru_cache(maxsize=10_000)(self._stem)
        self.says_little = lru_cache(maxsize=10_000)(self._says_little)

    def frequency(self, word: str) -> int:
        """How many passages hold a word."""
        return int(self._guard(lambda: self.searcher.doc_freq("body", word), 0))

    def weight(self, frequency: int) -> float:
        """The inverse document frequency that BM25 gives to a word in so many passages."""
        held = min(frequency, self._passages)
        return math.log(1 + (self._passages - held + 0.5) / (held + 0.5))

    def _stem(self, word: str) -> str:
        """What forms of one word have in common, in the folder's first language."""
        languages = languages_of(word, self.languages[:1])
        return self._languages.stem(languages[0], word) if languages else word

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages of the folder, the most frequent first."""
        if not self._spoken:
            self._spoken = spoken(self.frequency, self._passages)
        return self._spoken

    def _says_little(self, word: str) -> bool:
        """Whether a word is a stop word in one of the folder's languages."""
        return any(
            self._languages.is_stop_word(language, word)
            for language in languages_of(word, self.languages)
        )

    def _find_forms(self, word: str) -> dict[str, int]:
        """A word and its most frequent other forms, with the number of passages that hold each."""
        forms = {word: self.frequency(word)}
        if len(word) == 1 and has_cjk(word):
            # Such text is indexed in pairs of characters.
            forms.update(self._beginning_with(word, MAX_FORMS))
        if word.isalpha():
            for language in languages_of(word, self.languages):
                stem = self._languages.stem(language, word)
                beginning = _common_beginning(word, stem)
                if len(beginning) >= MIN_STEM_CHARS:
                    for other, count in self._beginning_with(beginning, MAX_NEIGHBOURS):
                        if self._languages.stem(language, other) == stem:
                            forms.setdefault(other, count)
        others = sorted(forms, key=lambda form: (form != word, -forms[form]))[:MAX_FORMS]
        return {form: forms[form] for form in others}

    def _find_begun(self, beginning: str, limit: int) -> list[str]:
        """The most frequent words that begin so, itself first; itself alone when it is short."""
        if len(beginning) < MIN_PREFIX_CHARS and not has_cjk(beginning):
            return [beginning]
        others = (word for word, _ in self._beginning_with(beginning, limit))
        return list(dict.fromkeys((beginning, *others)))[:limit]

    def _beginning_with(self, beginning: str, limit: int) -> Sequence[tuple[str, int]]:
        return self._guard(
            lambda: self.searcher.terms_with_prefix("body", beginning, limit=limit), []
        )


def _common_beginning(word: str, stem: str) -> str:
    """``happy`` and ``happi`` have ``happ``: so do ``happiness`` and ``happier``."""
    length = 0
    for one, other in zip(word, stem, strict=False):
        if one != other:
            break
        length += 1
    # A stem that is short as it is would have too many neighbours.
    if stem[-1:] in ("e", "i", "y") and len(stem) > MIN_STEM_CHARS:
        length = min(length, len(stem) - 1)
    return word[:length]
