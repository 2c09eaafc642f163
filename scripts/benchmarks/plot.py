"""Draws the graphs of the README from saved results: how suggesting scales, and how it ranks.

  scripts/bench scaling --json scripts/benchmarks/results/scaling.json
  scripts/bench ranking --json scripts/benchmarks/results/ranking.json
  scripts/plot

Results of ranking over other trees lie beside them as ``ranking-NAME.json``. A graph is written
beside the results that it shows, as SVG; one whose results are missing is left as it is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.benchmarks.ranking_graph import draw_ranking
from scripts.benchmarks.reading import read
from scripts.benchmarks.scaling_graph import draw_scaling

RESULTS = Path(__file__).parent / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw what there are results of; 1 when there are none."""
    parser = argparse.ArgumentParser(
        prog="scripts/plot",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    folder: Path = parser.parse_args(arguments).results
    drawn = {}
    if (folder / "scaling.json").exists():
        drawn["scaling.svg"] = draw_scaling(read(folder / "scaling.json"))
    rankings = sorted([*folder.glob("ranking.json"), *folder.glob("ranking-*.json")])
    if rankings:
        drawn["ranking.svg"] = draw_ranking([read(path) for path in rankings])
    for name, text in drawn.items():
        (folder / name).write_text(text, "utf-8")
        print(folder / name)
    if not drawn:
        print(f"{folder} has no results; see scripts/plot --help", file=sys.stderr)
    return 0 if drawn else 1


if __name__ == "__main__":
    sys.exit(main())
