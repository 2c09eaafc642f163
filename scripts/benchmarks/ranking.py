"""Q1: whether the wanted file is near the top: suggestions against fzf on the same paths."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence

from scripts.benchmarks.bench import Bench
from scripts.benchmarks.processes import Served, clean_environment
from scripts.benchmarks.queries import CLASSES, Query, generate, reciprocal_rank
from scripts.benchmarks.table import Goal, Row

DEPTH = 10
OVERALL = Goal("ratio", 1.35, at_most=False)
EACH = Goal("ratio", 1.0, at_most=False)


def measure_ranking(bench: Bench) -> Iterator[Row]:
    """Q1: mean reciprocal rank among the first ten, over all queries and by class.

    Raises:
        RuntimeError: fzf is not installed.
    """
    fzf = shutil.which("fzf")
    if fzf is None:
        raise RuntimeError("fzf is not installed (Debian, Ubuntu: apt install fzf)")
    per_class = bench.samples(100, 10)
    queries = generate(bench.tree.paths, per_class, bench.options.seed + 2)
    with bench.daemon() as served:
        bench.say(f"Q1: {len(queries)} queries to sgoped and to fzf")
        ours = _ranks_of_daemon(served, queries)
    baseline = _ranks_of_fzf(bench, fzf, queries)
    yield Row(
        "Q1",
        "MRR@10 over fzf, all classes",
        _mean(ours),
        _mean(baseline),
        "",
        OVERALL,
        f"{len(queries)} queries",
    )
    for kind in CLASSES:
        mine = [rank for rank, query in zip(ours, queries, strict=True) if query.kind == kind]
        theirs = [rank for rank, query in zip(baseline, queries, strict=True) if query.kind == kind]
        yield Row("Q1", f"MRR@10, {kind}", _mean(mine), _mean(theirs), "", EACH)


def _mean(ranks: Sequence[float]) -> float:
    return sum(ranks) / len(ranks) if ranks else 0.0


def _ranks_of_daemon(served: Served, queries: Sequence[Query]) -> list[float]:
    return [
        reciprocal_rank([found["metadata"]["path"] for found in answer], query.target)
        for query in queries
        for answer in [
            served.request("GET", served.query("/api/files", q=query.typed, limit=DEPTH))
        ]
    ]


def _ranks_of_fzf(bench: Bench, fzf: str, queries: Sequence[Query]) -> list[float]:
    home = bench.new_home()
    listing = "".join(f"{path}\n" for path in bench.tree.paths).encode()
    environment = clean_environment(home) | {"FZF_DEFAULT_OPTS": "", "FZF_DEFAULT_OPTS_FILE": ""}
    ranks = []
    for query in queries:
        told = subprocess.run(
            [fzf, "--scheme=path", f"--filter={query.typed}"],
            input=listing,
            stdout=subprocess.PIPE,
            env=environment,
            check=False,  # 1: nothing matches
        )
        found = told.stdout.decode().split("\n", DEPTH)[:DEPTH]
        ranks.append(reciprocal_rank([path for path in found if path], query.target))
    return ranks
