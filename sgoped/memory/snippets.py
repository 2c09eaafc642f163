"""The lines of a passage that show best what was searched for, with the ranges to mark; pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sgoped.memory.words import fold_mapped

SNIPPET_LINES = 5
MAX_SNIPPET_CHARS = 600
MAX_LINE_CHARS = 240

_WORD = re.compile(r"[^\W_]+")


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
    matches: tuple[tuple[int, int], ...]


def make_snippet(
    lines: Sequence[str], first_line: int, terms: Collection[str], max_lines: int = SNIPPET_LINES
) -> Snippet:
    """Choose at most ``max_lines`` of ``lines``, the first of which is line ``first_line``.

    The window with the most different terms wins, then the one with most matches, then the
    earliest.
    """
    found = [_find_terms(line, terms) for line in lines]
    start = _best_window(found, max_lines)
    chosen = [_cut(line, ranges) for line, ranges in zip(lines, found, strict=True)]
    texts: list[str] = []
    matches: list[tuple[int, int]] = []
    offset = 0
    for text, ranges in chosen[start : start + max_lines]:
        if texts and offset + len(text) > MAX_SNIPPET_CHARS:
            break
        matches += [(offset + a, offset + b) for a, b in _merged(ranges)]
        texts.append(text)
        offset += len(text) + 1
    last = first_line + start + max(0, len(texts) - 1)
    return Snippet(first_line + start, last, "\n".join(texts), tuple(matches))


def _find_terms(line: str, terms: Collection[str]) -> list[tuple[int, int, str]]:
    folded, origin = fold_mapped(line)
    found = []
    for match in _WORD.finditer(folded):
        if match[0] in terms:
            found.append((match.start(), match.end(), match[0]))
        elif not folded.isascii():
            found += _find_inside(match, terms)
    if origin is None:
        return found
    return [(origin[start], origin[end - 1] + 1, term) for start, end, term in found]


def _find_inside(match: re.Match[str], terms: Collection[str]) -> list[tuple[int, int, str]]:
    """CJK terms are bigrams within a run of letters."""
    run = match[0]
    return [
        (match.start() + at, match.start() + at + len(term), term)
        for term in terms
        if not term.isascii() and (at := run.find(term)) >= 0
    ]


def _merged(ranges: Sequence[tuple[int, int, str]]) -> list[tuple[int, int]]:
    """Ascending ranges without overlap: bigrams of one run share a character."""
    merged: list[tuple[int, int]] = []
    for start, end, _ in sorted(ranges):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _best_window(found: Sequence[Sequence[tuple[int, int, str]]], max_lines: int) -> int:
    best, best_start = (-1, -1), 0
    for start in range(max(1, len(found) - max_lines + 1)):
        window = [term for line in found[start : start + max_lines] for _, _, term in line]
        # A window that opens on a match reads better than one that ends on it.
        score = (len(set(window)), 2 * len(window) + bool(start < len(found) and found[start]))
        if score > best:
            best, best_start = score, start
    return best_start


def _cut(
    line: str, ranges: Sequence[tuple[int, int, str]]
) -> tuple[str, list[tuple[int, int, str]]]:
    """Keep at most ``MAX_LINE_CHARS`` of a line, around its first match."""
    line = line.rstrip("\r\n")
    if len(line) <= MAX_LINE_CHARS:
        return line, [item for item in ranges if item[1] <= len(line)]
    start = max(0, ranges[0][0] - MAX_LINE_CHARS // 4) if ranges else 0
    end = start + MAX_LINE_CHARS
    kept = [(a - start, b - start, term) for a, b, term in ranges if a >= start and b <= end]
    return line[start:end], kept
