"""Numbering: lines shown behind their numbers, so that a model can say which one it means; pure.

A number on each line costs a window some tokens. In return a model copies the number that it
sees, where it would have to count lines otherwise, which it cannot do.
"""

from __future__ import annotations

from sgoped.prompts.fences import estimate_tokens, fence_for, fenced

BAR = "| "


def numbered(text: str, first_line: int) -> str:
    """Each line of ``text`` as ``12| its text``, the first one with the number ``first_line``."""
    lines = text.removesuffix("\n").split("\n")
    return "\n".join(f"{number}{BAR}{line}" for number, line in enumerate(lines, start=first_line))


def numbered_block(text: str, first_line: int) -> str:
    """``text`` with numbers, between fences that nothing in it can close; not of no text."""
    return fenced(numbered(text, first_line)) if text else fenced("")


def block_tokens(text: str, first_line: int, last_line: int) -> int:
    """At least what ``estimate_tokens`` says of the numbered block, without making it."""
    gutter = _gutter_chars(first_line, last_line) // 3 + 1
    fences = (2 * len(fence_for(text)) + 2) // 3 + 1
    return estimate_tokens(text) + gutter + fences


def _gutter_chars(first: int, last: int) -> int:
    """How many characters the numbers and bars of these lines are."""
    chars = 0
    while first <= last:
        digits = len(str(first))
        end = min(last, 10**digits - 1)
        chars += (end - first + 1) * (digits + len(BAR))
        first = end + 1
    return chars
