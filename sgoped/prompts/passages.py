"""Passages: cutting a long text into numbered pieces, and which of them fit a question; pure.

Scoring is BM25 (Robertson and Zaragoza, 2009: k1 = 1.2, b = 0.75) over the pieces of one text,
with the question's words matched as beginnings of words, so that ``index`` finds ``indexing``
and ``snake_index``. Everything works on slices of about a kilobyte: no single C call holds the
interpreter long enough for the event loop in the other thread to notice.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

PIECE_CHARS = 1600
_K1 = 1.2
_B = 0.75
_MAX_TERMS = 32
_MAX_QUESTION_CHARS = 8192
_MAX_HEADING_CHARS = 80

_WORD = re.compile(r"[^\W_]+")
_IDEOGRAPHS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_HEADING = re.compile(
    r"(?:\#{1,6}\s+\S"
    r"|\s{0,8}(?:export\s+|pub\s+|public\s+|private\s+|static\s+|async\s+|default\s+|abstract\s+)*"
    r"(?:def|class|function|func|fn|interface|struct|enum|trait|impl|module|namespace|type)\s+\w"
    r"|\[[\w.\" -]+\]\s*$)"
)
_COMMON_WORDS = (
    "a about an and are as at be by can do does for from how i in is it me my of on or please "
    "tell that the their this to was what when where which who why with you"
)
_COMMON = frozenset(_COMMON_WORDS.split())


def never() -> bool:
    """The ``should_stop`` of work that nobody will interrupt."""
    return False


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of whole lines, or a part of one line that is too long by itself.

    Attributes:
        start: Index of its first character in the text.
        end: Index behind its last character.
        line_start: Number of its first line, from 1.
        line_end: Number of its last line.
    """

    start: int
    end: int
    line_start: int
    line_end: int


def split_pieces(text: str, max_chars: int = PIECE_CHARS) -> Iterator[Piece]:
    """Cut ``text`` into pieces of at most ``max_chars`` that together are all of it.

    Cuts fall at blank lines where there is one in the second half of a piece, else between
    lines, else at a space, else anywhere.
    """
    start, line = 0, 1
    while start < len(text):
        end = _cut(text, start, min(start + max_chars, len(text)))
        breaks = text.count("\n", start, end)
        last = line + breaks - (text[end - 1] == "\n")
        yield Piece(start, end, line, last)
        start, line = end, line + breaks


def question_terms(question: str) -> tuple[str, ...]:
    """The words of a question that can tell passages apart, lower-case, at most 32.

    Runs of Chinese, Japanese or Korean become pairs of characters, there being no spaces.
    """
    head = question[:_MAX_QUESTION_CHARS].casefold()
    terms: dict[str, None] = {}
    for word in _WORD.findall(head):
        if _IDEOGRAPHS.fullmatch(word):
            pairs = [word[at : at + 2] for at in range(max(1, len(word) - 1))]
            terms.update(dict.fromkeys(pairs))
        elif len(word) > 1 and word not in _COMMON:
            terms[word.removesuffix("s") if len(word) > 3 else word] = None  # noqa: PLR2004
    return tuple(terms)[:_MAX_TERMS]


def rank_pieces(
    text: str,
    terms: Sequence[str],
    pieces: Sequence[Piece],
    should_stop: Callable[[], bool] = never,
) -> list[tuple[float, Piece]]:
    """Score pieces against a question's terms, best first, earlier ones first among equals."""
    pattern = _pattern(terms)
    counts = [_count(text[piece.start : piece.end], pattern, should_stop) for piece in pieces]
    frequencies: Counter[str] = Counter(term for count in counts for term in count)
    rarity = {
        term: math.log(1 + (len(pieces) - seen + 0.5) / (seen + 0.5))
        for term, seen in frequencies.items()
    }
    average = len(text) / max(1, len(pieces))
    scored = [
        (_score(count, rarity, (piece.end - piece.start) / average), piece)
        for count, piece in zip(counts, pieces, strict=True)
    ]
    return sorted(scored, key=lambda item: (-item[0], item[1].start))


def outline(text: str, max_entries: int, should_stop: Callable[[], bool] = never) -> list[str]:
    """Headings and definitions of a text, each as ``12: def main() -> None:``.

    More than ``max_entries`` are thinned evenly, so that the whole length stays represented.
    """
    entries: list[str] = []
    for piece in split_pieces(text):
        if should_stop():
            break
        for offset, line in enumerate(text[piece.start : piece.end].split("\n")):
            if _HEADING.match(line):
                entries.append(f"{piece.line_start + offset}: {line.strip()[:_MAX_HEADING_CHARS]}")
    if len(entries) <= max_entries:
        return entries
    step = len(entries) / max(1, max_entries)
    return [entries[int(at * step)] for at in range(max_entries)]


def _cut(text: str, start: int, limit: int) -> int:
    if limit == len(text):
        return limit
    middle = start + (limit - start) // 2
    for separator, earliest in (("\n\n", middle), ("\n", start), (" ", middle)):
        at = text.rfind(separator, earliest, limit)
        if at >= 0:
            return at + len(separator)
    return limit


def _pattern(terms: Sequence[str]) -> re.Pattern[str] | None:
    longest_first = sorted(terms, key=len, reverse=True)
    words = [term for term in longest_first if not _IDEOGRAPHS.fullmatch(term)]
    pairs = [term for term in longest_first if _IDEOGRAPHS.fullmatch(term)]
    parts = []
    if words:
        parts.append(rf"(?<![^\W_])(?:{'|'.join(map(re.escape, words))})")
    if pairs:
        parts.append("|".join(map(re.escape, pairs)))
    return re.compile("|".join(parts)) if parts else None


def _count(
    piece: str, pattern: re.Pattern[str] | None, should_stop: Callable[[], bool]
) -> Counter[str]:
    if pattern is None or should_stop():
        return Counter()
    return Counter(pattern.findall(piece.casefold()))


def _score(count: Counter[str], rarity: dict[str, float], relative_length: float) -> float:
    norm = _K1 * (1 - _B + _B * relative_length)
    return sum(rarity[term] * seen * (_K1 + 1) / (seen + norm) for term, seen in count.items())
