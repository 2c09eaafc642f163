"""Rows of results: a value of ours, a baseline's, a goal; and how they are printed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

_COLUMNS = ("id", "what", "ours", "baseline", "ratio", "goal", "")
_LEFT = frozenset({"id", "what", "goal", ""})
_SMALL = 10


@dataclass(frozen=True, slots=True)
class Goal:
    """What a row should reach.

    Attributes:
        of: ``ratio`` of ours to the baseline, their ``difference``, or our ``value`` alone.
        limit: In the row's unit, except for a ratio.
        at_most: Whether the limit must not be exceeded; else it must be reached.
    """

    of: Literal["ratio", "difference", "value"]
    limit: float
    at_most: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        id: The figure it belongs to, such as ``P1``.
        what: A few words.
        ours: What sgoped took.
        baseline: What the baseline took in the same run.
        unit: Of both, such as ``ms``.
        goal: What was aimed at.
        note: Anything that helps to judge it.
    """

    id: str
    what: str
    ours: float
    baseline: float
    unit: str
    goal: Goal
    note: str = ""

    @property
    def ratio(self) -> float:
        """Ours over the baseline's; infinite over nothing."""
        return self.ours / self.baseline if self.baseline else float("inf")

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        judged = {
            "ratio": self.ratio,
            "difference": self.ours - self.baseline,
            "value": self.ours,
        }[self.goal.of]
        return judged <= self.goal.limit if self.goal.at_most else judged >= self.goal.limit

    @property
    def goal_text(self) -> str:
        """The goal as people write it: ``<= 1.5x``, ``<= +3 ms``, ``<= 0.7 s``."""
        sign = "<=" if self.goal.at_most else ">="
        limit = f"{self.goal.limit:g}"
        if self.goal.of == "ratio":
            return f"{sign} {limit}x"
        plus = "+" if self.goal.of == "difference" else ""
        return f"{sign} {plus}{limit} {self.unit}"


def render(rows: Sequence[Row]) -> str:
    """The rows as an aligned table."""
    lines = [_cells(row) for row in rows]
    widths = [
        max(len(line[column]) for line in [_COLUMNS, *lines]) for column in range(len(_COLUMNS))
    ]
    return "\n".join(_align(line, widths) for line in [_COLUMNS, *lines])


def _cells(row: Row) -> tuple[str, ...]:
    verdict = "met" if row.met else "MISSED"
    return (
        row.id,
        row.what,
        f"{_number(row.ours)} {row.unit}",
        f"{_number(row.baseline)} {row.unit}",
        f"{row.ratio:.2f}x",
        row.goal_text,
        f"{verdict}  ({row.note})" if row.note else verdict,
    )


def _align(line: Iterable[str], widths: Sequence[int]) -> str:
    cells = zip(_COLUMNS, line, widths, strict=True)
    aligned = [
        text.ljust(width) if column in _LEFT else text.rjust(width) for column, text, width in cells
    ]
    return "  ".join(aligned).rstrip()


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < _SMALL else f"{value:,.1f}"


def to_json(rows: Sequence[Row], **facts: Any) -> str:
    """The rows and what is known about the run, for other programs."""
    listed = [
        {
            "id": row.id,
            "what": row.what,
            "ours": row.ours,
            "baseline": row.baseline,
            "unit": row.unit,
            "ratio": row.ratio,
            "goal": row.goal_text,
            "met": row.met,
            "note": row.note,
        }
        for row in rows
    ]
    return json.dumps({**facts, "rows": listed}, indent=2) + "\n"
