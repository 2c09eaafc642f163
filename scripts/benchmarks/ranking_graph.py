"""The graph of how suggestions rank: bars of ours and of simple tools, for each class of queries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scripts.benchmarks.reading import HEAD, TITLES, Results
from scripts.benchmarks.svg import Drawing, Scale

TOOLS = {"ours": "fill-ours", "fzf": "fill-other", "substring": "fill-third"}
BAR, GROUP = 11, 52
NAMES_WIDTH, RATIO_WIDTH = 150, 160


def draw_ranking(trees: Sequence[Results]) -> str:
    """Bars for each class of queries, the trees side by side.

    Raises:
        ValueError: Some results have no figures of ranking.
    """
    by_tree = [_tools_by_kind(tree) for tree in trees]
    if not all(by_tree) or not by_tree:
        raise ValueError("there are no figures of ranking")
    best = max(value for tree in by_tree for tools in tree.values() for value in tools.values())
    plot_width = max(200.0, 500.0 - 150 * len(trees))
    width = plot_width + RATIO_WIDTH
    title = "How near the top the wanted file is: mean reciprocal rank among ten suggestions"
    height = HEAD + 34 + GROUP * max(map(len, by_tree)) + 8
    drawing = Drawing(max(760, NAMES_WIDTH + width * len(trees) + 8), height, title)
    drawing.text((16, 26), title, "heading")
    _ranking_legend(drawing)
    for row, kind in enumerate(by_tree[0]):
        place = HEAD + 34 + GROUP * row + 23
        drawing.text((NAMES_WIDTH - 10, place), TITLES[kind], "title", "end")
    for number, (tree, tools) in enumerate(zip(trees, by_tree, strict=True)):
        left = NAMES_WIDTH + width * number
        drawing.text((left, HEAD + 20), f"{tree['tree']}, {tree['files']:,} paths", "title")
        _bars(drawing, tools, _ratios(tree), Scale(0, best, left, left + plot_width))
    return drawing.document()


def _ranking_legend(drawing: Drawing) -> None:
    x = 16.0
    for look, text in zip(
        TOOLS.values(), ("sgoped", "fzf --scheme=path", "substring, best order"), strict=True
    ):
        drawing.bar((x, 40), 14, BAR, look)
        drawing.text((x + 20, 48), text, "muted")
        x += 20 + 6.4 * len(text) + 18
    drawing.text((x, 48), "beside their bars: the ratio of ours to them [95 % interval]", "muted")


def _bars(
    drawing: Drawing,
    tools: dict[str, dict[str, float]],
    ratios: dict[tuple[str, str], str],
    x: Scale,
) -> None:
    for row, (kind, values) in enumerate(tools.items()):
        shown = [tool for tool in TOOLS if tool in values]
        top = HEAD + 34 + GROUP * row + (len(TOOLS) - len(shown)) * (BAR + 2) / 2
        for number, tool in enumerate(shown):
            place = top + number * (BAR + 2)
            length = max(1.0, x.place(values[tool]) - x.start)
            drawing.bar((x.start, place), length, BAR, TOOLS[tool])
            text = f"{values[tool]:.3f}  {ratios.get((kind, tool), '')}"
            look = "muted" if (kind, tool) in ratios else "label"
            drawing.text((x.start + length + 6, place + BAR - 1), text.rstrip(), look)


def _tools_by_kind(results: Results) -> dict[str, dict[str, float]]:
    by_kind: dict[str, dict[str, float]] = {}
    for row in _ranking_rows(results):
        tools = by_kind.setdefault(row["facts"]["kind"], {"ours": row["ours"]})
        tools[row["facts"]["tool"]] = row["baseline"]
    return by_kind


def _ratios(results: Results) -> dict[tuple[str, str], str]:
    ratios = {}
    for row in _ranking_rows(results):
        low, high = (_times(end) for end in row["interval"])
        ratio = f"{_times(row['ratio'])}x [{low}, {high}]"
        ratios[row["facts"]["kind"], row["facts"]["tool"]] = ratio
    return ratios


def _times(ratio: float | None) -> str:
    if ratio is None:
        return "∞"
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def _ranking_rows(results: Results) -> Iterator[Results]:
    return (row for row in results["rows"] if "tool" in row["facts"])
