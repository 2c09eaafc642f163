"""Which candidate was meant: scores paths against what was typed, and says why; pure.

Literal matches rank by where they lie (whole name, start of the name, start of a word, inside a
word, directory), then typos, then letters scattered in order. Coverage, length and use only
order matches of the same sort. The subsequence search is frizbee's Smith-Waterman matcher, as
in fzf's scoring of boundaries and gaps.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from frizbee import Haystacks, Matcher, Scoring

from sgoped.memory.document import shown
from sgoped.memory.words import fold, fold_mapped, joined

# Sorts of match, as people are told.
NAME_WHOLE = "name"
NAME_START = "name starts so"
NAME_WORD = "a word of the name starts so"
NAME_MIDDLE = "inside the name"
FOLDER_START = "a folder starts so"
FOLDER_MIDDLE = "inside a folder's name"
FOLDER_AND_NAME = "folder and name"
SIMILAR_NAME = "similar name"
LETTERS = "letters in this order"

EXACT_POINTS = 1.2
START_POINTS = 1.0
WORD_POINTS = 0.9
MIDDLE_POINTS = 0.7
FOLDER_POINTS = 0.5
FOLDER_MIDDLE_POINTS = 0.42
TYPO_WORD = 0.38
TYPO_PREFIX = 0.16
SCATTERED = 0.2
MAX_TIGHTNESS = 1.6
ABSENT = 0.0

# How much a full step of each tie-breaker moves a score; together less than one sort of match.
COVERAGE_WEIGHT = 0.08
LENGTH_WEIGHT = 0.0004
USE_WEIGHT = 0.02
# A name that many files share (__init__.py, index.ts) is seldom meant by its name alone.
SHARED_NAME_WEIGHT = 0.15
MAX_SHARED_LOG2 = 5.0
# A folder can be meant, but what is asked for is mostly a file.
FOLDER_WEIGHT = 0.05
MAX_FOUND_STARTS = 8
# frizbee's points for one matched character, the unit its scores are compared by.
CHAR_POINTS = 16
# Initials of words are what people type when they leave letters out.
BOUNDARY_POINTS = 8
DEAD_SHARE = 0.25
TAIL_PARTS = 2
SEARCH_THREADS = 2

Ranges = tuple[tuple[int, int], ...]


class Scored(NamedTuple):
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
    folded = path.lower() if path.isascii() else fold(path)
    start = folded.rfind("/") + 1
    if len(tokens) == 1:
        token = tokens[0]
        score, why = _score_token(token, folded, path, start)
        typed = len(token)
    else:
        scores = [_score_token(token, folded, path, start) for token in tokens]
        why = min(scores)[1]
        score = sum(score for score, _ in scores) / len(scores)
        typed = sum(map(len, tokens))
    if not why:
        return ABSENT, ""
    stem = folded.rfind(".", start + 1)
    length = (stem if stem > 0 else len(folded)) - start
    coverage = typed / length if typed < length else 1.0
    return score + COVERAGE_WEIGHT * coverage - LENGTH_WEIGHT * len(folded), why


def _score_token(token: str, folded: str, path: str, start: int) -> tuple[float, str]:
    at = folded.find(token, start)
    if at == start:
        end = start + len(token)
        whole = end == len(folded) or folded[end] == "."
        return (EXACT_POINTS, NAME_WHOLE) if whole else (START_POINTS, NAME_START)
    if at > start:
        if _holds_word_start(token, folded, path, at):
            return WORD_POINTS, NAME_WORD
        return MIDDLE_POINTS, NAME_MIDDLE
    at = joined(folded[start:]).find(token)
    if at >= 0:
        return (START_POINTS, NAME_START) if at == 0 else (MIDDLE_POINTS, NAME_MIDDLE)
    return _score_in_directory(token, folded, path)


def _score_in_directory(token: str, folded: str, path: str) -> tuple[float, str]:
    at = folded.find(token)
    if at >= 0:
        if at == 0 or _holds_word_start(token, folded, path, at):
            return FOLDER_POINTS, FOLDER_START
        return FOLDER_MIDDLE_POINTS, FOLDER_MIDDLE
    if token in joined(folded):
        return FOLDER_POINTS, FOLDER_AND_NAME
    return ABSENT, ""


def _holds_word_start(token: str, folded: str, path: str, at: int) -> bool:
    """Whether an occurrence of the token from ``at`` on begins a word."""
    # Folding can change the length; then cases are no longer where they were.
    cased = path if len(path) == len(folded) else folded
    for _ in range(MAX_FOUND_STARTS):
        if begins_word(cased, at):
            return True
        at = folded.find(token, at + 1)
        if at < 0:
            break
    return False


def begins_word(text: str, at: int) -> bool:
    """Whether a word of ``text`` begins at ``at``: after a separator, a case or digit change."""
    before = text[at - 1]
    if not before.isalnum():
        return True
    here = text[at]
    if here.isupper():
        return not before.isupper()
    return here.isdigit() != before.isdigit()


def score_typo(tokens: Sequence[str], words: Sequence[str]) -> float:
    """Score a name by its words, for tokens with one edit or transposition each.

    A token that is nearly a whole word counts more than one that is nearly its beginning. Zero
    when a token is near to none of the words.
    """
    total = 0.0
    for token in tokens:
        best = max((_nearness(token, word) for word in words), default=0.0)
        if best == 0.0:
            return 0.0
        total += best
    return total / len(tokens)


def _nearness(token: str, word: str) -> float:
    if within_one_edit(token, word):
        return TYPO_WORD
    length = len(token)
    if any(within_one_edit(token, word[:end]) for end in (length - 1, length, length + 1)):
        return TYPO_PREFIX + (TYPO_WORD - TYPO_PREFIX) * min(1.0, length / len(word)) * 0.9
    return 0.0


def within_one_edit(one: str, other: str) -> bool:
    """Whether at most one insertion, deletion, substitution or adjacent swap parts the two."""
    short, long = sorted((one, other), key=len)
    if len(long) - len(short) > 1:
        return False
    at = 0
    while at < len(short) and short[at] == long[at]:
        at += 1
    if len(short) < len(long):
        return short[at:] == long[at + 1 :]
    swapped = long[at : at + 2] == short[at : at + 2][::-1] and short[at + 2 :] == long[at + 2 :]
    return swapped or short[at + 1 :] == long[at + 1 :]


def score_scattered(tokens: Sequence[str], points: int) -> float:
    """Score a path whose letters hold the tokens in order, by frizbee's points."""
    typed = sum(map(len, tokens))
    return SCATTERED * min(MAX_TIGHTNESS, points / max(1, typed * CHAR_POINTS))


def shared_name_penalty(namesakes: int) -> float:
    """What a name shared by so many paths loses."""
    if namesakes <= 2:  # noqa: PLR2004 - a file and its copy or its test are still distinct
        return 0.0
    return SHARED_NAME_WEIGHT * (1.0 + min(1.0, math.log2(namesakes) / MAX_SHARED_LOG2))


class PathHaystack:
    """Every path, folded, in frizbee's memory, for subsequence search without the GIL.

    The last folder and the name are searched apart: letters scattered over a whole path match
    almost everything. Removed paths stay until a quarter is dead; a lock keeps changes and
    searches apart, so a search may wait for a change and belongs in a thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._whole = Haystacks()
        self._tails = Haystacks()
        self._pids: list[int] = []
        self._paths: dict[int, str] = {}

    def update(self, added: Iterable[tuple[int, str]], removed: Iterable[int]) -> None:
        """Forget ``removed`` pids, then take in ``added`` pids with their paths."""
        with self._lock:
            for pid in removed:
                self._paths.pop(pid, None)
            fresh = {pid: fold(shown(path)) for pid, path in added}
            self._paths.update(fresh)
            if len(self._pids) + len(fresh) > len(self._paths) * (1 + DEAD_SHARE) + 1000:
                fresh, self._pids = self._paths, []
                self._whole, self._tails = Haystacks(), Haystacks()
            self._pids += fresh
            self._whole.extend(list(fresh.values()))
            self._tails.extend([_tail(path) for path in fresh.values()])

    def search_tails(self, tokens: Sequence[str], limit: int) -> list[tuple[int, int]]:
        """The best ``(pid, points)`` whose last folder and name hold the tokens' letters."""
        return self._search(tokens, limit, whole=False)

    def search_paths(self, tokens: Sequence[str], limit: int) -> list[tuple[int, int]]:
        """The best ``(pid, points)`` whose whole path holds the tokens' letters; three times dearer."""
        return self._search(tokens, limit, whole=True)

    def _search(self, tokens: Sequence[str], limit: int, *, whole: bool) -> list[tuple[int, int]]:
        matcher = Matcher(
            "".join(tokens),
            max_typos=0,
            max_items=2 * limit,
            casing="ignore",
            scoring=Scoring(delimiter_bonus=BOUNDARY_POINTS),
        )
        with self._lock:
            haystacks = self._whole if whole else self._tails
            matches = matcher.match_list_parallel(haystacks, SEARCH_THREADS)
            found = [(self._pids[match.index], match.score) for match in matches]
            return [(pid, points) for pid, points in found if pid in self._paths][:limit]


def _tail(path: str) -> str:
    return "/".join(path.rsplit("/", TAIL_PARTS)[-TAIL_PARTS:])


def highlight(tokens: Sequence[str], text: str) -> Ranges:
    """Character ranges of ``text`` to show as matched, merged and ascending.

    A token that does not occur whole is matched letter by letter, as far as its letters go.
    """
    folded, origin = fold_mapped(text)
    if len(tokens) == 1 and origin is None:
        at = folded.find(tokens[0], folded.rfind("/") + 1)
        if at >= 0:
            return ((at, at + len(tokens[0])),)
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
