"""Q1: whether the wanted file is near the top: suggestions against simple tools on the same paths.

Every figure is a mean reciprocal rank among the first ten; every interval comes from resampling
the queries, which are the same for all. Only literal queries can be found by substring search: its
rows take, for each class, the best of three orders that a simple tool may have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scripts.benchmarks.bench import Bench
from scripts.benchmarks.finding import DEPTH, Fzf, Substring
from scripts.benchmarks.processes import Served, clean_environment
from scripts.benchmarks.queries import CLASSES, LITERAL_CLASSES, Query, generate, reciprocal_rank
from scripts.benchmarks.samples import Pair, ratio_interval
from scripts.benchmarks.table import Goal, Row
from scripts.benchmarks.tree import cache_directory

OVERALL = Goal("ratio", 1.35, at_most=False)
EACH = Goal("ratio", 1.0, at_most=False)
Ranks = dict[str, list[float]]


def measure_ranking(bench: Bench) -> Iterator[Row]:
    """Q1: over all queries and by class, against fzf and against substring search.

    Raises:
        RuntimeError: fzf is not installed.
    """
    seed = bench.options.seed + 2
    environment = clean_environment(bench.new_home())
    fzf = Fzf(bench.tree.paths, cache_directory(), environment)
    queries = generate(bench.tree.paths, bench.samples(400, 10), seed)
    with bench.daemon() as served:
        bench.say(f"Q1: {len(queries)} queries to sgoped and to fzf {fzf.version}")
        ours = _by_class(queries, _suggested(served, queries))
    found = fzf.find([query.typed for query in queries])
    yield from compare(ours, _by_class(queries, [found[query.typed] for query in queries]), seed)
    literal = [query for query in queries if query.kind in LITERAL_CLASSES]
    yield from _compare_with_substring(ours, bench.tree.paths, literal, seed)


def _suggested(served: Served, queries: Sequence[Query]) -> list[list[str]]:
    """What is suggested for each query, in order; what is not a file has no path."""
    answers = (
        served.request("GET", served.query("/api/files", q=query.typed, limit=DEPTH))
        for query in queries
    )
    return [[each["metadata"].get("path", "") for each in answer] for answer in answers]


def _by_class(queries: Sequence[Query], found: Sequence[Sequence[str]]) -> Ranks:
    ranks: Ranks = {}
    for query, paths in zip(queries, found, strict=True):
        ranks.setdefault(query.kind, []).append(reciprocal_rank(paths, query.target, DEPTH))
    return ranks


def compare(ours: Ranks, theirs: Ranks, seed: int) -> Iterator[Row]:
    """The rows against fzf, overall and by class."""
    kinds = [kind for kind in CLASSES if ours.get(kind)]
    pairs = {kind: list(zip(ours[kind], theirs[kind], strict=True)) for kind in kinds}
    yield _row("all classes", "fzf", list(pairs.values()), OVERALL, seed=seed)
    for kind in kinds:
        yield _row(kind, "fzf", [pairs[kind]], EACH, seed=seed)


def _compare_with_substring(
    ours: Ranks, paths: Sequence[str], queries: Sequence[Query], seed: int
) -> Iterator[Row]:
    substring = Substring(paths)
    found = [substring.find(query.typed) for query in queries]
    orders = {
        order: _by_class(queries, [each[order] for each in found])
        for order in (found[0] if found else ())
    }
    for kind in LITERAL_CLASSES:
        if ours.get(kind):
            best = max(orders, key=lambda order: sum(orders[order][kind]))
            pairs = list(zip(ours[kind], orders[best][kind], strict=True))
            yield _row(kind, "substring", [pairs], EACH, seed=seed, remark=f", {best}")


def _row(
    kind: str,
    tool: str,
    strata: Sequence[Sequence[Pair]],
    goal: Goal,
    *,
    seed: int,
    remark: str = "",
) -> Row:
    pairs = [pair for stratum in strata for pair in stratum]
    ours, theirs = (sum(side) / len(side) for side in zip(*pairs, strict=True))
    return Row(
        "Q1",
        f"MRR@10 over {tool}, {kind}",
        ours,
        theirs,
        "",
        goal,
        f"{len(pairs)} queries{remark}",
        interval=ratio_interval(strata, seed),
        facts={"kind": kind, "tool": tool},
    )
