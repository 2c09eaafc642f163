"""Which candidate was meant: scores paths against what was typed, and says why; pure.

Literal matches rank by where they lie (whole name, start of the name, start of a word, inside a
word, directory), then typos, then letters scattered in order. Coverage, length and use only
order matches of the same sort. The subsequence search is frizbee's Smith-Waterman matcher, as
in fzf's scoring of boundaries and gaps.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from frizbee import Haystacks, Matcher

from sgoped.memory.document import shown
from sgoped.memory.words import fold, fold_mapped, joined

NAME_EXACT = 1.2
NAME_START = 1.0
WORD_START = 0.9
WORD_MIDDLE = 0.7
DIRECTORY_WORD = 0.5
DIRECTORY_MIDDLE = 0.42
TYPO = 0.36
SCATTERED = 0.2
ABSENT = 0.0

# How much a full step of each tie-breaker moves a score; together less than one sort of match.
COVERAGE_WEIGHT = 0.08
LENGTH_WEIGHT = 0.0004
USE_WEIGHT = 0.02
MAX_FOUND_STARTS = 8
# frizbee's points for one matched character, the unit its scores are compared by.
CHAR_POINTS = 16
DEAD_SHARE = 0.25

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate with its score; ``why`` is shown to people."""

    pid: int
    path: str
    score: float
    why: str


def score_literal(tokens: Sequence[str], path: str) -> tuple[float, str]:
    """Score a path by where its name and directories hold every token; 0 when one is missing.

    Returns:
        The score, and the weakest sort of match among the tokens in words.
    """
    folded = fold(path)
    cased = path if len(folded) == len(path) else folded
    start = folded.rfind("/") + 1
    total, weakest, why, typed = 0.0, 9.0, "", 0
    for token in tokens:
        sort, reason = _score_token(token, folded, cased, start)
        if sort == ABSENT:
            return ABSENT, ""
        if sort < weakest:
            weakest, why = sort, reason
        total += sort
        typed += len(token)
    stem = folded.rfind(".", start + 1)
    length = (stem if stem > 0 else len(folded)) - start
    coverage = min(1.0, typed / max(1, length))
    score = total / len(tokens) + COVERAGE_WEIGHT * coverage - LENGTH_WEIGHT * len(folded)
    return max(score, 0.001), why


def _score_token(token: str, folded: str, cased: str, start: int) -> tuple[float, str]:
    at = folded.find(token, start)
    if at == start:
        end = start + len(token)
        whole = end == len(folded) or folded[end] == "."
        return (NAME_EXACT, "name") if whole else (NAME_START, "name starts so")
    if at > start:
        if _word_start(token, folded, cased, start, at) >= 0:
            return WORD_START, "a word of the name starts so"
        return WORD_MIDDLE, "inside the name"
    at = joined(folded[start:]).find(token)
    if at >= 0:
        return (NAME_START, "name starts so") if at == 0 else (WORD_MIDDLE, "inside the name")
    return _score_in_directory(token, folded, cased)


def _score_in_directory(token: str, folded: str, cased: str) -> tuple[float, str]:
    at = folded.find(token)
    if at >= 0:
        if _word_start(token, folded, cased, 0, at) >= 0:
            return DIRECTORY_WORD, "a folder starts so"
        return DIRECTORY_MIDDLE, "inside a folder's name"
    if token in joined(folded):
        return DIRECTORY_WORD, "folder and name"
    return ABSENT, ""


def _word_start(token: str, folded: str, cased: str, start: int, at: int) -> int:
    """The first occurrence from ``at`` on that begins a word, or -1."""
    for _ in range(MAX_FOUND_STARTS):
        if at < 0:
            return -1
        if at == start or begins_word(cased, at):
            return at
        at = folded.find(token, at + 1)
    return -1


def begins_word(text: str, at: int) -> bool:
    """Whether a word of ``text`` begins at ``at``: after a separator, a case or digit change."""
    before, here = text[at - 1], text[at]
    if not before.isalnum():
        return True
    if here.isupper():
        return not before.isupper()
    return here.isdigit() != before.isdigit()


def score_typo(tokens: Sequence[str], path: str) -> float:
    """Score a path that the typo automaton found."""
    typed = sum(map(len, tokens))
    length = len(path) - path.rfind("/") - 1
    return TYPO + COVERAGE_WEIGHT * min(1.0, typed / max(1, length)) - LENGTH_WEIGHT * len(path)


def score_scattered(tokens: Sequence[str], points: int, path: str) -> float:
    """Score a path whose letters hold the tokens in order, by frizbee's points."""
    typed = sum(map(len, tokens))
    tightness = min(1.3, points / max(1, typed * CHAR_POINTS))
    return SCATTERED * tightness - LENGTH_WEIGHT * len(path) / 4


class PathHaystack:
    """Every path, folded, in frizbee's memory, for subsequence search without the GIL.

    Removed paths stay until a quarter is dead; a lock keeps changes and searches apart, so a
    search may wait for a change and belongs in a thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._haystacks = Haystacks()
        self._pids: list[int] = []
        self._paths: dict[int, str] = {}

    def update(self, added: Iterable[tuple[int, str]], removed: Iterable[int]) -> None:
        """Forget ``removed`` pids, then take in ``added`` pids with their paths."""
        with self._lock:
            for pid in removed:
                self._paths.pop(pid, None)
            fresh = [(pid, fold(shown(path))) for pid, path in added]
            self._paths.update(fresh)
            if len(self._pids) + len(fresh) > len(self._paths) * (1 + DEAD_SHARE) + 1000:
                self._pids = list(self._paths)
                self._haystacks = Haystacks(list(self._paths.values()))
            else:
                self._pids += [pid for pid, _ in fresh]
                self._haystacks.extend([path for _, path in fresh])

    def search(self, tokens: Sequence[str], limit: int) -> list[tuple[int, int]]:
        """The best ``(pid, points)`` whose letters hold the joined tokens in order."""
        matcher = Matcher("".join(tokens), max_typos=0, max_items=2 * limit, casing="ignore")
        with self._lock:
            matches = matcher.match_list(self._haystacks)
            found = [(self._pids[match.index], match.score) for match in matches]
            return [(pid, points) for pid, points in found if pid in self._paths][:limit]


def highlight(tokens: Sequence[str], text: str) -> Ranges:
    """Character ranges of ``text`` to show as matched, merged and ascending.

    A token that does not occur whole is matched letter by letter, as far as its letters go.
    """
    folded, origin = fold_mapped(text)
    marked: set[int] = set()
    start = folded.rfind("/") + 1
    for token in tokens:
        at = folded.find(token, start)
        if at < 0:
            at = folded.find(token)
        if at >= 0:
            marked.update(range(at, at + len(token)))
        else:
            marked.update(_scattered(token, folded))
    if origin is not None:
        marked = {origin[index] for index in marked}
    return _ranges(sorted(marked))


def _scattered(token: str, folded: str) -> list[int]:
    """Positions of the token's letters in order, latest possible; whatever prefix occurs."""
    positions: list[int] = []
    end = len(folded)
    for char in reversed(token):
        at = folded.rfind(char, 0, end)
        if at >= 0:
            positions.append(at)
            end = at
    return positions


def _ranges(indices: Sequence[int]) -> Ranges:
    ranges: list[tuple[int, int]] = []
    for index in indices:
        if ranges and ranges[-1][1] == index:
            ranges[-1] = (ranges[-1][0], index + 1)
        else:
            ranges.append((index, index + 1))
    return tuple(ranges)
