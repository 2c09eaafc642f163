"""As much of SVG as the graphs need, and scales that turn values into places; pure.

Colours are named by CSS classes. The drawing brings its own background, light or dark as the
reader's system is, so that it is legible on any page that shows it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import Literal

_STYLE = """
svg { font: 12px system-ui, sans-serif; --paper: #fff; --ink: #1f2328; --muted: #636c76;
  --grid: #dfe3e8; --ours: #0969da; --goal: #cf222e; --other: #8c959f; --third: #bf8700 }
@media (prefers-color-scheme: dark) { svg { --paper: #0d1117; --ink: #e6edf3; --muted: #9198a1;
  --grid: #2b3138; --ours: #58a6ff; --goal: #ff7b72; --other: #7d8590; --third: #d29922 } }
text { fill: var(--ink) } .title { font-weight: 600 } .heading { font-size: 16px; font-weight: 600 }
.muted { fill: var(--muted); font-size: 11px } .label { fill: var(--ours); font-size: 11px }
.paper { fill: var(--paper) } .fill-ours { fill: var(--ours) } .fill-other { fill: var(--other) }
.fill-third { fill: var(--third) } polyline { fill: none; stroke-width: 2; stroke-linejoin: round }
.grid { stroke: var(--grid); stroke-width: 1 } .ours { stroke: var(--ours) }
.other { stroke: var(--other) } .goal { stroke: var(--goal); stroke-width: 1 }
.dashed { stroke-dasharray: 6 4 } .dotted { stroke-dasharray: 1 4; stroke-linecap: round }
"""
Anchor = Literal["start", "middle", "end"]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scale:
    """From values between ``low`` and ``high`` to places between ``start`` and ``end``."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Where a value lies; one that is too small or large lies at the edge."""
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return self.start + (at - low) / (high - low) * (self.end - self.start)


def decades(low: float, high: float) -> list[float]:
    """The powers of ten from the one at or below ``low`` to the one at or above ``high``."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [10.0**power for power in range(first, max(last, first + 1) + 1)]


@dataclass(slots=True)
class Drawing:
    """An SVG document of a size in pixels; what is drawn later lies above."""

    width: float
    height: float
    title: str
    _parts: list[str] = field(default_factory=list)

    def text(self, at: Point, text: str, look: str = "", anchor: Anchor = "start") -> None:
        """One line of text, its baseline at ``at``."""
        self._parts.append(
            f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" class="{look}" text-anchor="{anchor}">'
            f"{escape(text, quote=False)}</text>"
        )

    def line(self, points: Sequence[Point], look: str) -> None:
        """Straight lines from point to point."""
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(f'<polyline points="{places}" class="{look}"/>')

    def dot(self, at: Point, look: str) -> None:
        """A point of data."""
        self._parts.append(f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="2.5" class="{look}"/>')

    def bar(self, at: Point, width: float, height: float, look: str) -> None:
        """A filled rectangle; ``at`` is its upper left corner."""
        self._parts.append(
            f'<rect x="{at[0]:.1f}" y="{at[1]:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'class="{look}"/>'
        )

    def document(self) -> str:
        """The whole file."""
        return "\n".join([*self._lines(), ""])

    def _lines(self) -> Iterator[str]:
        size = f'width="{self.width:g}" height="{self.height:g}"'
        box = f'viewBox="0 0 {self.width:g} {self.height:g}"'
        yield f'<svg xmlns="http://www.w3.org/2000/svg" {size} {box} role="img">'
        yield f"<title>{escape(self.title)}</title>"
        yield f"<style>{_STYLE}</style>"
        yield '<rect width="100%" height="100%" rx="6" class="paper"/>'
        yield from self._parts
        yield "</svg>"


def spread(places: Sequence[float], gap: float) -> list[float]:
    """The places moved apart, as little as it takes, until they are ``gap`` from each other."""
    order = sorted(range(len(places)), key=places.__getitem__)
    moved = list(places)
    for before, after in pairwise(order):
        lacking = gap - (moved[after] - moved[before])
        if lacking > 0:
            moved[after] += lacking
    shift = sum(moved[index] - places[index] for index in order) / max(1, len(order))
    return [place - shift for place in moved]
