"""Which candidate was meant: scores paths against what was typed, and says why; pure.

Literal matches rank by where they lie (whole name, start of the name, start of a word, inside a
word, directory), then typos, then letters scattered in order. Coverage, length and use only
order matches of the same sort.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

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
SCATTERED = 0.2
MAX_TIGHTNESS = 1.6
ABSENT = 0.0

# How much a full step of each tie-breaker moves a score; together less than one sort of match.
COVERAGE_WEIGHT = 0.08
LENGTH_WEIGHT = 0.0004
USE_WEIGHT = 0.02
MANY_USES = 4.0
# A name that many files share (__init__.py, index.ts) is seldom meant by its name alone.
SHARED_NAME_WEIGHT = 0.15
MAX_SHARED_LOG2 = 5.0
# A folder can be meant, but what is asked for is mostly a file.
FOLDER_WEIGHT = 0.05
MAX_FOUND_STARTS = 8
# frizbee's points for one matched character, the unit its scores are compared by.
CHAR_POINTS = 16

Ranges = tuple[tuple[int, int], ...]


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


def score_scattered(tokens: Sequence[str], points: int) -> float:
    """Score a path whose letters hold the tokens in order, by frizbee's points."""
    typed = sum(map(len, tokens))
    return SCATTERED * min(MAX_TIGHTNESS, points / max(1, typed * CHAR_POINTS))


def shared_name_penalty(namesakes: int) -> float:
    """What a name shared by so many paths loses."""
    if namesakes <= 2:  # noqa: PLR2004 - a file and its copy or its test are still distinct
        return 0.0
    return SHARED_NAME_WEIGHT * (1.0 + min(1.0, math.log2(namesakes) / MAX_SHARED_LOG2))


def favour(namesakes: int, *, folder: bool, uses: float) -> float:
    """What speaks for and against a path besides where it matches.

    Args:
        namesakes: How many paths have its name.
        folder: Whether it is one.
        uses: The decayed count of its uses.
    """
    against = shared_name_penalty(namesakes) + (FOLDER_WEIGHT if folder else 0.0)
    return USE_WEIGHT * min(1.0, uses / MANY_USES) - against


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
