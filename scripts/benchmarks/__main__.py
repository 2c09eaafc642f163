"""Measures sgoped: figures as ratios to baselines that are sampled in turn with it.

  scripts/bench                       the usual figures, over 100,000 real paths; some minutes
  scripts/bench --quick               few samples over a small folder; under a minute
  scripts/bench --only P1,P4          some of them; `all` for those too that are seldom asked for
  scripts/bench ranking               Q1: suggestions against fzf (which must be installed)
  scripts/bench scaling               S1: among 1,000 to a million files; up to an hour
  scripts/bench retrieval --cisi DIR  Q2: content search, on the CISI test collection in DIR
  scripts/bench --json FILE           the rows for other programs as well, such as scripts/plot
  scripts/bench --check               says which goals are missed; exit code 1 if any is
  scripts/bench --clean               removes the folders that earlier runs left

Paths are sampled from directories of the system (or --root) and made into a folder below the
temporary directory, which is kept for the next run; everything else is removed at the end.
A folder of a million files takes 4 GiB.
All traffic stays on loopback. Close other programs first: only ratios survive a busy machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from scripts.benchmarks.bench import QUICK_FILES, SIZES, Bench, Options
from scripts.benchmarks.figures import FIGURES, Figure
from scripts.benchmarks.table import Row, render, summarise, to_json
from scripts.benchmarks.tree import HALVES, cache_directory

FULL_FILES = 100_000
QUICK_SIZES = (100, 1_000)
NAMES = {"ranking": "Q1", "retrieval": "Q2", "scaling": "S1"}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    listed = "\n".join(
        f"  {figure.id:<4} {figure.title}{'' if figure.usual else ' (only when asked for)'}"
        for figure in FIGURES
    )
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=__doc__,
        epilog=f"figures:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", nargs="*", metavar="FIGURE", help="such as P1, or ranking")
    parser.add_argument("--only", default="", metavar="IDS", help="the same, separated by commas")
    parser.add_argument("--files", type=_count, metavar="N", help="size of the folder")
    parser.add_argument("--quick", action="store_true", help="few samples over a small folder")
    parser.add_argument("--seed", type=int, default=1, help="of sampled paths and queries")
    parser.add_argument(
        "--root",
        type=_folder,
        action="append",
        default=[],
        metavar="DIR",
        help="sample paths here instead; may be repeated",
    )
    parser.add_argument(
        "--half", choices=HALVES, help="sample one half of the directories, to tune on or not"
    )
    parser.add_argument("--tree", default="", metavar="NAME", help="what the results call the tree")
    parser.add_argument(
        "--sizes", type=_counts, metavar="N,N", help="sizes of the folders for scaling"
    )
    parser.add_argument("--cisi", type=_folder, metavar="DIR", help="where CISI.ALL is, for Q2")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    parser.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    parser.add_argument("--clean", action="store_true", help="remove kept folders, measure nothing")
    options = parser.parse_args(arguments)
    try:
        options.figures = choose([*options.what, *options.only.split(",")])
    except ValueError as error:
        parser.error(str(error))
    return options


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return count


def _counts(text: str) -> tuple[int, ...]:
    return tuple(_count(each) for each in text.split(","))


def _folder(text: str) -> Path:
    path = Path(text).expanduser().resolve()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is not a directory")
    return path


def choose(names: Sequence[str]) -> list[Figure]:
    """The named figures in their order; the usual ones when none is named, or ``all``.

    Raises:
        ValueError: There is no such figure.
    """
    wanted = {NAMES.get(name.strip().lower(), name.strip().upper()) for name in names} - {""}
    if wanted == {"ALL"}:
        return list(FIGURES)
    unknown = wanted - {figure.id for figure in FIGURES}
    if unknown:
        known = ", ".join(figure.id for figure in FIGURES)
        raise ValueError(f"no figure {', '.join(sorted(unknown))}; there are {known}")
    return [figure for figure in FIGURES if figure.id in wanted or (not wanted and figure.usual)]


def measure(bench: Bench, figures: Sequence[Figure], failures: list[str]) -> Iterator[Row]:
    """The rows of all figures; one that fails is told in ``failures`` and does not end the run."""
    for figure in figures:
        try:
            yield from figure.measure(bench)
        except Exception as error:  # noqa: BLE001 - the edge of a figure, told below
            failures.append(f"{figure.id} failed: {type(error).__name__}: {error}")
            bench.say(failures[-1])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 0, or 1 when a figure failed, or one missed its goal and ``--check`` was given."""
    given = parse(arguments)
    if given.clean:
        shutil.rmtree(cache_directory())
        return 0
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    options = _options(given)
    started_at = time.monotonic()
    failures: list[str] = []
    with closing(Bench(options)) as bench:
        rows = list(measure(bench, given.figures, failures))
        made = bench.file_count
    seconds = round(time.monotonic() - started_at)
    if rows:
        print(render(rows))
    tree = _tree(given)
    files = f"{made:,} files" if made else "files"
    print(f"\n{files} of {tree}, seed {given.seed}, {describe_machine()}, {seconds} s")
    if given.check:
        print(summarise(rows))
    for failure in failures:
        print(failure, file=sys.stderr)
    if given.json:
        facts = {"files": made, "tree": tree, "seed": given.seed, "machine": describe_machine()}
        given.json.write_text(to_json(rows, **facts, failures=failures))
    missed = any(not row.met for row in rows)
    return 1 if failures or (given.check and missed) else 0


def _tree(given: argparse.Namespace) -> str:
    """Names rather than places, since results are shown to others."""
    tree: str = given.tree or ", ".join(root.name for root in given.root)
    half = f" ({given.half} half)" if given.half else ""
    return (tree or "directories of the system") + half


def _options(given: argparse.Namespace) -> Options:
    return Options(
        files=given.files or (QUICK_FILES if given.quick else FULL_FILES),
        quick=given.quick,
        seed=given.seed,
        roots=tuple(given.root),
        half=given.half,
        sizes=given.sizes or (QUICK_SIZES if given.quick else SIZES),
        cisi=given.cisi,
    )


def describe_machine() -> str:
    """What the absolute times depend on."""
    load = os.getloadavg()[0]
    python = platform.python_version()
    return f"{os.cpu_count()} cores, load {load:.1f}, Python {python}, {platform.system()}"


if __name__ == "__main__":
    sys.exit(main())
