"""Sources: texts that go along with a message, and the account of what became of each; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Origin = Literal["memory", "upload"]
Why = Literal["referenced", "attached", "retrieved", "history"]
Lines = tuple[int, int]
CutLine = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class ContextSource:
    """A text that a message brings along.

    Attributes:
        name: What a person calls it: a label or the upload's name.
        content: All of its text.
        origin: A memory file or an upload.
        path: Relative to the memory folder; empty for an upload.
        why: ``referenced`` in the message, ``attached`` to it, ``retrieved`` from memory without
            a reference, or of the ``history``: referred to by an earlier message.
        only: The ranges of lines that are wanted, ascending and apart; empty: as much as fits.
    """

    name: str
    content: str
    origin: Origin
    path: str = ""
    why: Why = "attached"
    only: tuple[Lines, ...] = ()


@dataclass(frozen=True, slots=True)
class ContextItem:
    """What became of one source.

    What the model is sent of it is exactly ``lines``, ``cut_lines`` and ``outline_lines``.

    Attributes:
        name: As in ``ContextSource``.
        path: As in ``ContextSource``.
        origin: As in ``ContextSource``.
        lines: The ranges of lines that are sent whole, first and last included, from 1.
        total_lines: How many lines the source has.
        tokens: About how many tokens of the window it takes.
        why: As in ``ContextSource``.
        omitted: What the model does not see, in words; empty when it sees everything.
        chosen: How the lines were chosen, or why there are none.
        cut_lines: Lines that are too long to be sent whole: the number of the line, and which
            characters of it are sent, first and last included, from 1.
        outline_lines: Headings and definitions that are sent in the outline, shortened.
    """

    name: str
    path: str
    origin: Origin
    lines: tuple[Lines, ...]
    total_lines: int
    tokens: int
    why: Why
    omitted: str
    chosen: str
    cut_lines: tuple[CutLine, ...] = ()
    outline_lines: tuple[int, ...] = ()


def count_lines(text: str) -> int:
    """How many lines a text has; a final newline ends the last one."""
    return text.count("\n") + (bool(text) and not text.endswith("\n"))


def range_words(lines: Lines) -> str:
    """``line 3`` or ``lines 3-5``."""
    first, last = lines
    return f"line {first}" if first == last else f"lines {first}-{last}"
