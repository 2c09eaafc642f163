"""The graph of how suggesting scales: a panel for each class of queries, and one for memory."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.benchmarks.reading import HEAD, TITLES, Results
from scripts.benchmarks.svg import Drawing, Scale, decades, spread

COLUMNS, PANEL_WIDTH, PANEL_HEIGHT = 3, 290, 190
LEFT, RIGHT, TOP, BOTTOM = 44, 62, 26, 24  # around a panel
LABEL_GAP = 13
Series = list[tuple[float, float]]


def draw_scaling(results: Results) -> str:
    """A panel for each class of queries, and one for memory; both axes logarithmic.

    Raises:
        ValueError: The results have no figures of scaling.
    """
    rows = [row for row in results["rows"] if "files" in row["facts"]]
    timed = [row for row in rows if row["facts"].get("way") == "WebSocket"]
    memory = [row for row in rows if "kind" not in row["facts"]]
    if not timed or not memory:
        raise ValueError("there are no figures of scaling")
    kinds = list(dict.fromkeys(row["facts"]["kind"] for row in timed))
    lines = -(-(len(kinds) + 1) // COLUMNS)
    title = "Time of a suggestion over the WebSocket, by the number of files"
    drawing = Drawing(COLUMNS * PANEL_WIDTH + 16, HEAD + lines * PANEL_HEIGHT + 8, title)
    drawing.text((16, 26), title, "heading")
    _scaling_legend(drawing)
    y_range = decades(min(row["baseline"] for row in timed), max(row["ours"] for row in timed))
    files = sorted({row["facts"]["files"] for row in rows})
    for number, kind in enumerate(kinds):
        panel = _Panel(drawing, number, files, y_range)
        panel.frame(f"{TITLES[kind]}, ms")
        panel.times([row for row in timed if row["facts"]["kind"] == kind])
    mib = decades(min(row["baseline"] for row in memory), max(row["ours"] for row in memory))
    panel = _Panel(drawing, len(kinds), files, mib)
    panel.frame("resident memory, MiB")
    panel.memory(memory)
    return drawing.document()


def _scaling_legend(drawing: Drawing) -> None:
    entries = (
        ("ours", "p50"),
        ("ours dashed", "p99"),
        ("other", "a request that does nothing, p50"),
        ("goal dotted", "goals: literal queries 1 ms p50, all 15 ms p99"),
    )
    x = 16.0
    for look, text in entries:
        drawing.line([(x, 44), (x + 28, 44)], look)
        drawing.text((x + 34, 48), text, "muted")
        x += 34 + 6.2 * len(text) + 18


class _Panel:
    """One small graph of something over the number of files."""

    def __init__(
        self, drawing: Drawing, number: int, files: Sequence[float], values: Sequence[float]
    ) -> None:
        self._drawing = drawing
        left = number % COLUMNS * PANEL_WIDTH
        top = HEAD + number // COLUMNS * PANEL_HEIGHT
        ends = (left + LEFT, left + PANEL_WIDTH - RIGHT)
        self._files, self._values = files, values
        self._x = Scale(files[0], max(files[-1], files[0] * 10), *ends, logarithmic=True)
        bottom = top + PANEL_HEIGHT - BOTTOM
        self._y = Scale(values[0], values[-1], bottom, top + TOP, logarithmic=True)

    def frame(self, title: str) -> None:
        """Title, grid and the numbers along it."""
        x, y = self._x, self._y
        self._drawing.text((x.start, y.end - 10), title, "title")
        for value in self._values:
            place = y.place(value)
            self._drawing.line([(x.start, place), (x.end, place)], "grid")
            self._drawing.text((x.start - 6, place + 4), f"{value:,g}", "muted", "end")
        for value in self._files:
            place = x.place(value)
            self._drawing.line([(place, y.start), (place, y.start + 4)], "grid")
            self._drawing.text((place, y.start + 17), short(value), "muted", "middle")

    def times(self, rows: Sequence[Results]) -> None:
        """Median and 99th percentile, the echo, and the goals."""
        for goal in sorted({row["goal"] for row in rows if row["goal"]}):
            place = self._y.place(float(goal.split()[1]))
            self._drawing.line([(self._x.start, place), (self._x.end, place)], "goal dotted")
        shares = {row["facts"]["share"] for row in rows}
        by_share = {
            share: [row for row in rows if row["facts"]["share"] == share] for share in shares
        }
        self._series([_point(row, "baseline") for row in by_share[0.5]], "other", dots=False)
        lines = [[_point(row, "ours") for row in by_share[share]] for share in (0.5, 0.99)]
        for series, look in zip(lines, ("ours", "ours dashed"), strict=True):
            self._series(series, look)
        self._ends(lines, ("p50", "p99"))

    def memory(self, rows: Sequence[Results]) -> None:
        """All of the process, and of one that serves an empty folder."""
        empty = [_point(row, "baseline") for row in rows]
        ours = [_point(row, "ours") for row in rows]
        self._series(empty, "other", dots=False)
        self._series(ours, "ours")
        self._ends([ours], ("",))

    def _series(self, series: Series, look: str, *, dots: bool = True) -> None:
        points = [(self._x.place(files), self._y.place(value)) for files, value in series]
        self._drawing.line(points, look)
        for point in points if dots else ():
            self._drawing.dot(point, "fill-ours")

    def _ends(self, lines: Sequence[Series], names: Sequence[str]) -> None:
        last = [series[-1] for series in lines]
        places = spread([self._y.place(value) for _, value in last], LABEL_GAP)
        for (files, value), place, name in zip(last, places, names, strict=True):
            number = f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
            text = f"{name} {number}".strip()
            self._drawing.text((self._x.place(files) + 7, place + 4), text, "label")


def _point(row: Results, side: str) -> tuple[float, float]:
    return row["facts"]["files"], row[side]


def short(count: float) -> str:
    """A count of files as the axis tells it: ``10k``, ``1M``."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:g}{letter}"
    return f"{count:g}"
