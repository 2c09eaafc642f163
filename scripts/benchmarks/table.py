"""Rows of results: a value of ours, a baseline's, a goal; and how they are printed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

_COLUMNS = ("id", "what", "ours", "baseline", "ratio", "goal", "")
_LEFT = frozenset({"id", "what", "goal", ""})
_SMALL = 10

Judged = Literal["ratio", "difference", "value"]


@dataclass(frozen=True, slots=True)
class Goal:
    """What a row should reach.

    Attributes:
        of: ``ratio`` of ours to the baseline, their ``difference``, or our ``value`` alone.
        limit: In the row's unit, except for a ratio.
        at_most: Whether the limit must not be exceeded; else it must be reached.
    """

    of: Judged
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
        goal: What was aimed at; ``None`` where a figure is only told.
        note: Anything that helps to judge it.
        interval: Between which the ratio lies with 95 % confidence, where that was estimated.
        facts: What a program needs to draw the row, such as ``{"files": 1000}``.
    """

    id: str
    what: str
    ours: float
    baseline: float
    unit: str
    goal: Goal | None
    note: str = ""
    interval: tuple[float, float] | None = None
    facts: Mapping[str, str | float] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """Ours over the baseline's; infinite over nothing."""
        return self.ours / self.baseline if self.baseline else float("inf")

    @property
    def met(self) -> bool:
        """Whether the goal is reached; so it is where there is none."""
        if self.goal is None:
            return True
        judged = {
            "ratio": self.ratio,
            "difference": self.ours - self.baseline,
            "value": self.ours,
        }[self.goal.of]
        return judged <= self.goal.limit if self.goal.at_most else judged >= self.goal.limit

    @property
    def goal_text(self) -> str:
        """The goal as people write it: ``<= 1.5x``, ``<= +3 ms``, ``<= 0.7 s``; or nothing."""
        if self.goal is None:
            return ""
        sign = "<=" if self.goal.at_most else ">="
        limit = f"{self.goal.limit:g}"
        if self.goal.of == "ratio":
            return f"{sign} {limit}x"
        plus = "+" if self.goal.of == "difference" else ""
        return f"{sign} {plus}{limit} {self.unit}".rstrip()

    @property
    def ratio_text(self) -> str:
        """The ratio, and its interval where there is one: ``1.42x [1.35, 1.49]``."""
        if self.interval is None:
            return f"{self.ratio:.2f}x"
        return f"{self.ratio:.2f}x [{self.interval[0]:.2f}, {self.interval[1]:.2f}]"

    @property
    def verdict(self) -> str:
        """``met``, ``MISSED``, or nothing where there is no goal."""
        if self.goal is None:
            return ""
        return "met" if self.met else "MISSED"


def render(rows: Sequence[Row]) -> str:
    """The rows as an aligned table."""
    lines = [_cells(row) for row in rows]
    widths = [
        max(len(line[column]) for line in [_COLUMNS, *lines]) for column in range(len(_COLUMNS))
    ]
    return "\n".join(_align(line, widths) for line in [_COLUMNS, *lines])


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.id,
        row.what,
        f"{_number(row.ours)} {row.unit}".rstrip(),
        f"{_number(row.baseline)} {row.unit}".rstrip(),
        row.ratio_text,
        row.goal_text,
        f"{row.verdict}  ({row.note})".strip() if row.note else row.verdict,
    )


def _align(line: Iterable[str], widths: Sequence[int]) -> str:
    cells = zip(_COLUMNS, line, widths, strict=True)
    aligned = [
        text.ljust(width) if column in _LEFT else text.rjust(width) for column, text, width in cells
    ]
    return "  ".join(aligned).rstrip()


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < _SMALL else f"{value:,.1f}"


def summarise(rows: Sequence[Row]) -> str:
    """How many goals were missed, and which."""
    judged = [row for row in rows if row.goal is not None]
    missed = [row for row in judged if not row.met]
    if not missed:
        return f"all {len(judged)} goals are met"
    lines = [f"  {row.id}  {row.what}: {_reached(row)}, goal {row.goal_text}" for row in missed]
    return "\n".join([f"{len(missed)} of {len(judged)} goals are missed:", *lines])


def _reached(row: Row) -> str:
    match row.goal:
        case Goal(of="ratio"):
            return row.ratio_text
        case Goal(of="difference"):
            return f"{_number(row.ours - row.baseline)} {row.unit} more"
        case _:
            return f"{_number(row.ours)} {row.unit}".rstrip()


def to_json(rows: Sequence[Row], **facts: Any) -> str:
    """The rows and what is known about the run, for other programs; an infinite number is null."""
    listed = [
        {
            "id": row.id,
            "what": row.what,
            "ours": row.ours,
            "baseline": row.baseline,
            "unit": row.unit,
            "ratio": _finite(row.ratio),
            "interval": row.interval and [_finite(end) for end in row.interval],
            "goal": row.goal_text,
            "met": row.met,
            "note": row.note,
            "facts": row.facts,
        }
        for row in rows
    ]
    return json.dumps({**facts, "rows": listed}, indent=2, allow_nan=False) + "\n"


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
