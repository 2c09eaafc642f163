"""Passages: cutting a long text into numbered pieces, and which of them fit a question; pure.

Scoring is BM25 (Robertson and Zaragoza, 2009: k1 = 1.2, b = 0.75) over the pieces of one text,
with the question's words matched within words, so that ``index`` finds ``indexing`` and
``rebuildIndex``; short ones only at the beginning of a word. Everything works on slices of about
a kilobyte: no single C call holds the interpreter long enough for the event loop, which runs in
another thread, to notice.
"""

from __future__ import annotations

import heapq
import math
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import sub

PIECE_CHARS = 1600
_K1 = 1.2
_B = 0.75
_MAX_TERMS = 32
_MIN_INNER_CHARS = 4
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


def line_pieces(text: str, ranges: Sequence[tuple[int, int]]) -> list[Piece]:
    """Ranges of lines (first and last, from 1; ascending and apart) as pieces of ``text``.

    What is behind the last line of the text is left out.
    """
    pieces: list[Piece] = []
    line, at = 1, 0
    for first, last in ranges:
        line, at = _line_start(text, line, at, first)
        start, start_line = at, line
        line, at = _line_start(text, line, at, last + 1)
        if start < at:
            end_line = line - 1 if text[at - 1] == "\n" else line
            pieces.append(Piece(start, at, start_line, end_line))
    return pieces


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
    max_chars: int,
    limit: int,
    should_stop: Callable[[], bool] = never,
) -> list[tuple[float, Piece]]:
    """Score the pieces of a text against a question's terms; the ``limit`` best, best first.

    Among equals the earlier one comes first. All that is kept of a piece while counting is a few
    numbers in arrays: a hundred thousand objects would make the garbage collector stop the event
    loop for longer than any of this does.
    """
    matchers = _matchers(terms)
    starts, ends, first_lines, last_lines = (array("q") for _ in range(4))
    counts = {term: array("q") for term in terms}
    for piece in split_pieces(text, max_chars):
        if should_stop():
            break
        starts.append(piece.start)
        ends.append(piece.end)
        first_lines.append(piece.line_start)
        last_lines.append(piece.line_end)
        folded = text[piece.start : piece.end].casefold()
        for term, pattern in matchers.items():
            counts[term].append(_count(folded, term, pattern))
    sizes = array("q", map(sub, ends, starts))
    scores = _scores(list(counts.values()), sizes)
    best = heapq.nsmallest(limit, range(len(starts)), key=lambda at: (-scores[at], at))
    return [
        (scores[at], Piece(starts[at], ends[at], first_lines[at], last_lines[at])) for at in best
    ]


def outline(text: str, max_entries: int, should_stop: Callable[[], bool] = never) -> list[str]:
    """Headings and definitions of a text, each as ``12: def main() -> None:``.

    More than ``max_entries`` are thinned evenly, so that the whole length stays represented.
    """
    entries: list[str] = []
    for piece in split_pieces(text):
        if should_stop():
            break
        inside = piece.start > 0 and text[piece.start - 1] != "\n"
        for offset, line in enumerate(text[piece.start : piece.end].split("\n")):
            if _HEADING.match(line) and not (inside and not offset):
                entries.append(f"{piece.line_start + offset}: {line.strip()[:_MAX_HEADING_CHARS]}")
    if len(entries) <= max_entries:
        return entries
    step = len(entries) / max(1, max_entries)
    return [entries[int(at * step)] for at in range(max_entries)]


def _line_start(text: str, line: int, at: int, wanted: int) -> tuple[int, int]:
    """Where line ``wanted`` begins, from the known beginning of an earlier one; or the end."""
    while line < wanted:
        end = text.find("\n", at)
        if end < 0:
            return line, len(text)
        line, at = line + 1, end + 1
    return line, at


def _cut(text: str, start: int, limit: int) -> int:
    if limit == len(text):
        return limit
    middle = start + (limit - start) // 2
    for separator, earliest in (("\n\n", middle), ("\n", start), (" ", middle)):
        at = text.rfind(separator, earliest, limit)
        if at >= 0:
            return at + len(separator)
    # A line's end stays with the end of the line.
    return limit - 1 if text[limit] == "\n" and limit - 1 > start else limit


def _matchers(terms: Sequence[str]) -> dict[str, re.Pattern[str] | None]:
    """Short words only count at the beginning of a word; the others anywhere, which is faster."""
    return {
        term: re.compile(rf"(?<![^\W_]){re.escape(term)}")
        if len(term) < _MIN_INNER_CHARS and not _IDEOGRAPHS.fullmatch(term)
        else None
        for term in terms
    }


def _count(folded: str, term: str, pattern: re.Pattern[str] | None) -> int:
    if pattern is None:
        return folded.count(term)
    return len(pattern.findall(folded)) if term in folded else 0


def _scores(counts: Sequence[array[int]], sizes: array[int]) -> array[float]:
    scores = array("d", bytes(8 * len(sizes)))
    average = sum(sizes) / max(1, len(sizes))
    for seen_in in counts:
        having = len(seen_in) - seen_in.count(0)
        rarity = math.log(1 + (len(seen_in) - having + 0.5) / (having + 0.5))
        for at, seen in enumerate(seen_in):
            if seen:
                norm = _K1 * (1 - _B + _B * sizes[at] / average)
                scores[at] += rarity * seen * (_K1 + 1) / (seen + norm)
    return scores
