"""The lines of a passage that show best what was searched for, with the ranges to mark; pure."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

from sgoped.memory.words import fold_mapped, spread_cjk

SNIPPET_LINES = 5
MAX_SNIPPET_CHARS = 600
MAX_LINE_CHARS = 240
# Of a longer line only the surroundings of what may be matches are looked at.
MAX_SEARCHED_CHARS = 4000
MAX_QUICK_CHARS = 16_000
MAX_PLACES = 8
PLACE_CHARS = 1000

# A word as the index cuts it; the vowel signs of Indic and Thai script belong to theirs.
_WORD = re.compile("(?:[^\\W_]|[\u0900-\u0963\u0971-\u0e3a\u0e40-\u0e4e])+")
_ASCII_WORD = re.compile("[a-z0-9]+")

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Snippet:
    """Consecutive lines of a text.

    Attributes:
        line_start: First line, counted from 1.
        line_end: Last line, inclusive.
        text: The lines, joined by newlines; long lines are cut around their first match.
        matches: Character ranges of ``text`` that hold a searched word.
    """

    line_start: int
    line_end: int
    text: str
    matches: tuple[Range, ...]


@dataclass(slots=True)
class _Line:
    """What was found in one line: ranges to mark, and what they stand for."""

    ranges: list[Range] = field(default_factory=list)
    concepts: list[str] = field(default_factory=list)


class _Token(NamedTuple):
    """A word where it stands; a tuple, since there are hundreds in a passage."""

    line: int
    start: int
    end: int
    word: str


def make_snippet(
    lines: Sequence[str],
    first_line: int,
    forms: Mapping[str, str],
    phrases: Sequence[Sequence[str]] = (),
    max_lines: int = SNIPPET_LINES,
) -> Snippet:
    """Choose at most ``max_lines`` of ``lines``, the first of which is line ``first_line``.

    The window with the most phrases wins, then the one with the most different concepts, then
    the one with most matches, then the earliest.

    Args:
        lines: The lines of a passage, at least one.
        first_line: The number of the first.
        forms: Word to mark -> the concept it stands for.
        phrases: Word sequences to mark where they stand in order, also across line ends.
        max_lines: How many lines to choose at most.
    """
    tokens = _find_words(lines, forms) if forms and not phrases else None
    if tokens is None:
        tokens = _all_words(lines, {*forms, *(word for phrase in phrases for word in phrase)})
    found = [_Line() for _ in lines]
    for token in tokens:
        if token.word in forms:
            found[token.line].ranges.append((token.start, token.end))
            found[token.line].concepts.append(forms[token.word])
    spans = [span for phrase in phrases for span in _mark_phrase(phrase, tokens, lines, found)]
    start = _best_window(found, spans, max_lines)
    return _shown(lines[start : start + max_lines], found[start:], first_line + start)


def _shown(lines: Sequence[str], found: Sequence[_Line], first_line: int) -> Snippet:
    cut = [_cut(line, _merged(it.ranges)) for line, it in zip(lines, found, strict=False)]
    while len(cut) > 1 and not cut[0][1] and sum(len(text) for text, _ in cut) > MAX_SNIPPET_CHARS:
        del cut[0]
        first_line += 1
    texts: list[str] = []
    matches: list[Range] = []
    offset = 0
    for text, ranges in cut:
        if texts and offset + len(text) > MAX_SNIPPET_CHARS:
            break
        matches += [(offset + start, offset + end) for start, end in ranges]
        texts.append(text)
        offset += len(text) + 1
    last = first_line + max(0, len(texts) - 1)
    return Snippet(first_line, last, "\n".join(texts), tuple(matches))


def _find_words(lines: Sequence[str], forms: Collection[str]) -> list[_Token] | None:
    """The wanted words alone, several times faster; ``None`` for long or non-ASCII texts."""
    text = "\n".join(lines)
    if len(text) > MAX_QUICK_CHARS or not text.isascii():
        return None
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    tokens: list[_Token] = []
    for match in _ASCII_WORD.finditer(text.lower()):
        if match[0] in forms:
            number = bisect_right(starts, match.start()) - 1
            offset = starts[number]
            tokens.append(_Token(number, match.start() - offset, match.end() - offset, match[0]))
    return tokens


def _all_words(lines: Sequence[str], wanted: Collection[str]) -> list[_Token]:
    tokens: list[_Token] = []
    for number, line in enumerate(lines):
        here = _tokens(number, line, tuple(wanted))
        if not here and _WORD.search(line):
            # What stands before and behind does not stand side by side.
            here = [_Token(number, 0, 0, "")]
        tokens += here
    return tokens


def _tokens(number: int, line: str, wanted: Sequence[str]) -> list[_Token]:
    """The words of a line as the index cuts them; none when no wanted word can be among them."""
    if len(line) > MAX_SEARCHED_CHARS:
        pieces = [(start, line[start:end]) for start, end in _places(line, wanted)]
    else:
        pieces = [(0, line)]
    tokens: list[_Token] = []
    for offset, piece in pieces:
        folded, origin = fold_mapped(piece)
        if any(map(folded.__contains__, wanted)):
            for start, end, word in _cut_words(folded):
                first = start if origin is None else origin[start]
                last = end if origin is None else origin[end - 1] + 1
                tokens.append(_Token(number, offset + first, offset + last, word))
    return tokens


def _places(line: str, wanted: Sequence[str]) -> list[Range]:
    """Ranges of a long line around the first places that may hold a wanted word."""
    lowered = line.lower()
    places: list[Range] = []
    if len(lowered) != len(line):
        return [(0, MAX_SEARCHED_CHARS)]
    position = 0
    while len(places) < MAX_PLACES:
        starts = [at for word in wanted if (at := lowered.find(word, position)) >= 0]
        if not starts:
            break
        # From a word's beginning on, or else it would be taken for another word.
        start = lowered.rfind(" ", max(position, min(starts) - MAX_LINE_CHARS), min(starts)) + 1
        start = start or max(position, min(starts) - MAX_LINE_CHARS)
        position = start + PLACE_CHARS
        places.append((start, position))
    return places or [(0, MAX_SEARCHED_CHARS)]


def _cut_words(folded: str) -> list[tuple[int, int, str]]:
    if folded.isascii():
        return [(match.start(), match.end(), match[0]) for match in _WORD.finditer(folded)]
    words: list[tuple[int, int, str]] = []
    for match in _WORD.finditer(folded):
        position = match.start()
        for word in spread_cjk(match[0]).split():
            # Pairs of one run share a character, and stand one character after the other.
            start = folded.find(word, position)
            words.append((start, start + len(word), word))
            position = start + 1
    return words


def _mark_phrase(
    phrase: Sequence[str], tokens: Sequence[_Token], lines: Sequence[str], found: Sequence[_Line]
) -> list[Range]:
    """Mark a phrase where it stands; returns the first and last line of each place."""
    words = [token.word for token in tokens]
    size = len(phrase)
    spans: list[Range] = []
    wanted = list(phrase)
    for at in range(len(words) - size + 1):
        if words[at] == wanted[0] and words[at : at + size] == wanted:
            first, last = tokens[at], tokens[at + size - 1]
            spans.append((first.line, last.line))
            for number in range(first.line, last.line + 1):
                start = first.start if number == first.line else _indent(lines[number])
                end = last.end if number == last.line else len(lines[number].rstrip())
                if start < end:
                    found[number].ranges.append((start, end))
                    found[number].concepts.append(" ".join(phrase))
    return spans


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _merged(ranges: Sequence[Range]) -> list[Range]:
    """Ascending ranges without overlap: pairs of one CJK run share a character."""
    merged: list[Range] = []
    for start, end in sorted(ranges):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _best_window(found: Sequence[_Line], spans: Sequence[Range], max_lines: int) -> int:
    # A window loses nothing when it moves on to its first match, but for the last one.
    last_start = max(0, len(found) - max_lines)
    best, best_start = (-1, -1, -1), 0
    for start in sorted({min(n, last_start) for n, line in enumerate(found) if line.concepts}):
        end = start + max_lines
        concepts = [concept for line in found[start:end] for concept in line.concepts]
        whole = sum(start <= first and last < end for first, last in spans)
        score = (whole, len(set(concepts)), len(concepts))
        if score > best:
            best, best_start = score, start
    return best_start


def _cut(line: str, ranges: Sequence[Range]) -> tuple[str, list[Range]]:
    """Keep at most ``MAX_LINE_CHARS`` of a line, around its first match."""
    line = line.rstrip("\r\n")
    if len(line) <= MAX_LINE_CHARS:
        return line, [(start, end) for start, end in ranges if end <= len(line)]
    start = max(0, ranges[0][0] - MAX_LINE_CHARS // 4) if ranges else 0
    stop = start + MAX_LINE_CHARS
    kept = [(max(a, start) - start, min(b, stop) - start) for a, b in ranges if a < stop]
    return line[start:stop], kept
