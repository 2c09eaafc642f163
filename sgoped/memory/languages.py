"""Stop words and stems: which words say little, and which are forms of one another.

The stemmers are those of Snowball (Porter, 2001) and most stop words those of Lucene, as tantivy
ships them. Which languages a folder is written in is told by how many passages hold the most
frequent words of each, so that nothing about languages needs to be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

import tantivy

from sgoped.memory.words import fold

ENGLISH = "english"
MAX_LANGUAGES = 4
# Of the marks of a language that many must occur, in that share of the passages.
_MARKS_NEEDED = 4
_LEAST_SHARE = 0.005

# Frequent words that are rare in the other languages, as the index knows them: folded.
_MARKS = {
    ENGLISH: ("the", "and", "with", "this", "that"),
    "german": ("und", "der", "nicht", "ist", "mit"),
    "french": ("les", "est", "dans", "pour", "une"),
    "spanish": ("los", "una", "por", "como", "para"),
    "portuguese": ("nao", "uma", "com", "dos", "para"),
    "italian": ("che", "della", "sono", "con", "per"),
    "dutch": ("het", "een", "van", "niet", "voor"),
    "swedish": ("och", "att", "som", "inte", "det"),
    "danish": ("og", "ikke", "af", "det", "jeg"),
    "norwegian": ("og", "ikke", "av", "det", "jeg"),
    "finnish": ("ja", "ei", "etta", "oli", "mutta"),
    "hungarian": ("hogy", "nem", "egy", "az", "volt"),
    "romanian": ("si", "nu", "este", "pentru", "care"),
    "turkish": ("ve", "bir", "icin", "bu", "ile"),
}
_SCRIPTS = (
    ("russian", "\u0400", "\u04ff"),
    ("greek", "\u0370", "\u03ff"),
    ("arabic", "\u0600", "\u06ff"),
    ("tamil", "\u0b80", "\u0bff"),
)
# tantivy knows no stop words for these.
_WITHOUT_STOP_WORDS = frozenset({"greek", "arabic", "tamil", "romanian", "turkish"})
# Lucene's list has none of the words that questions are made of.
_QUESTION_WORDS = (
    "about all also am any are been being can could did do does doing done from had has have having "
    "he her here him his how i its just many may me might more most much must my of on one only or "
    "other our out she should so some such than them those though through to too upon us very was "
    "we were what when where whether which while who whom whose why would you your d don ll m re s "
    "t ve"
)


class Languages:
    """The stemmers and stop words of the languages that a folder holds."""

    def __init__(self) -> None:
        self._stemmers: dict[str, tantivy.TextAnalyzer] = {}
        self._stops: dict[str, tantivy.TextAnalyzer] = {}
        self._question_words = frozenset(_QUESTION_WORDS.split())
        self.stem = lru_cache(maxsize=20_000)(self._stem)
        self.is_stop_word = lru_cache(maxsize=20_000)(self._is_stop_word)

    def _stem(self, language: str, word: str) -> str:
        """The stem of a folded word."""
        if language not in self._stemmers:
            self._stemmers[language] = _analyzer(tantivy.Filter.stemmer(language))
        stems: list[str] = self._stemmers[language].analyze(word)
        return stems[0] if len(stems) == 1 else word

    def _is_stop_word(self, language: str, word: str) -> bool:
        """Whether a folded word says nothing about a text in this language."""
        if language == ENGLISH and word in self._question_words:
            return True
        if language in _WITHOUT_STOP_WORDS:
            return word in _MARKS.get(language, ())
        if language not in self._stops:
            self._stops[language] = _analyzer(tantivy.Filter.stopword(language))
        return not self._stops[language].analyze(word)


def _analyzer(word_filter: tantivy.Filter) -> tantivy.TextAnalyzer:
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace())
    return builder.filter(word_filter).build()


def spoken(frequency: Callable[[str], int], passages: int) -> tuple[str, ...]:
    """The languages of an index, the most frequent first; English when nothing can be told.

    Args:
        frequency: How many passages hold a word.
        passages: How many passages there are.
    """
    shares: dict[str, int] = {}
    for language, marks in _MARKS.items():
        counts = sorted((frequency(mark) for mark in marks), reverse=True)
        if counts[_MARKS_NEEDED - 1] >= max(1, _LEAST_SHARE * passages):
            shares[language] = counts[_MARKS_NEEDED - 1]
    ranked = sorted(shares, key=lambda language: -shares[language])[:MAX_LANGUAGES]
    return tuple(ranked) or (ENGLISH,)


def languages_of(word: str, in_use: Iterable[str]) -> tuple[str, ...]:
    """The languages a word may belong to: that of its script, else those in use."""
    first = fold(word[:1])
    for language, lowest, highest in _SCRIPTS:
        if lowest <= first <= highest:
            return (language,)
    return tuple(in_use) if first.isascii() else ()
