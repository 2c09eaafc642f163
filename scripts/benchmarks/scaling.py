"""S1: what a suggestion costs, by class of query, as the folder grows from 1,000 to a million files.

A machine seldom has a million real paths: those it has come first, variations of them (see
``varying``) after. A file holds the words of its path on one line. Queries of one and two letters
are classes of their own; no letters are asked twice of one server, nor are any that were asked to
warm up, so that no answer can be one that was kept. Queries of all classes come in turn, each after
a request that does nothing.

Beside the time goes how much processor time the server spent on a request, all of its threads
together: on a machine that does other things as well, that is what a change of ours can be judged by.

Goals are for what a person waits for. Over the WebSocket that is the whole round trip; over HTTP
it is what exceeds a GET that does nothing, for that alone may take a millisecond.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import aiohttp

from scripts.benchmarks.bench import Bench, read_all
from scripts.benchmarks.processes import Served, bench_server, daemon
from scripts.benchmarks.queries import CLASSES, LITERAL_CLASSES, beginnings, generate
from scripts.benchmarks.resident import memory_mib
from scripts.benchmarks.samples import median, percentile
from scripts.benchmarks.suggesting import MS, WAYS, Ask, in_turn, of_kind, without_repeats
from scripts.benchmarks.table import Goal, Judged, Row
from scripts.benchmarks.tree import Tree

INDEX_SECONDS = 7200.0
SETTLING_SECONDS = 2.0  # what follows a start, such as merging segments, is not measured
LETTER_CLASSES: Mapping[str, int] = {"one_letter": 1, "two_letters": 2}
QUICK_CLASSES = (*LETTER_CLASSES, *LITERAL_CLASSES)
P50_MS, P99_MS = 1.0, 15.0


@dataclass(frozen=True, slots=True)
class Timed:
    """One class of queries over one way.

    Attributes:
        kind: Of the queries.
        way: ``WebSocket`` or ``HTTP``.
        ours: Seconds of each query.
        nothing: Seconds of the requests that do nothing, in turn with them.
        cpu: Seconds of processor time that the server spent on each query.
    """

    kind: str
    way: str
    ours: Sequence[float]
    nothing: Sequence[float]
    cpu: Sequence[float]


@dataclass(frozen=True, slots=True)
class Resources:
    """What a folder costs.

    Attributes:
        resident_mib: Of the process after it was asked everything.
        anonymous_mib: The part of it that the system cannot drop.
        index_seconds: From the first start to the last content that can be found.
        restart_seconds: From a later start until the index is known to equal the disk.
    """

    resident_mib: float
    anonymous_mib: float
    index_seconds: float
    restart_seconds: float


def measure_scaling(bench: Bench) -> Iterator[Row]:
    """S1: rows of all sizes."""
    if not sys.platform.startswith("linux"):
        raise RuntimeError("resident memory is only read from Linux's /proc")
    empty_mib = _empty_mib(bench)
    for size in bench.options.sizes:
        with bench.extended_tree(size) as tree:
            yield from _measure_size(bench, tree, empty_mib)


def _empty_mib(bench: Bench) -> float:
    home, folder = bench.new_home(), bench.new_home()
    with bench_server(home, folder) as served:
        served.await_index()
        return _memory(served)[0]


def _memory(served: Served) -> tuple[float, float]:
    status = Path(f"/proc/{served.pid}/status").read_text()
    return memory_mib(status), memory_mib(status, "RssAnon")


def _measure_size(bench: Bench, tree: Tree, empty_mib: float) -> Iterator[Row]:
    home, count = bench.new_home(), len(tree.paths)
    read_all(tree)
    bench.say(f"S1: first indexing of {count:,} files")
    with daemon(home, tree.root) as served:
        index_seconds = served.await_contents(INDEX_SECONDS)
    typed = typed_by_class(tree.paths, bench.samples(400, 10), bench.options.seed + 3)
    warm = typed_by_class(tree.paths, bench.samples(20, 2), bench.options.seed + 4)
    timed: list[Timed] = []
    resources = None
    for way in WAYS:
        with bench_server(home, tree.root) as served, asyncio.Runner() as runner:
            restart_seconds = served.await_index(INDEX_SECONDS)
            bench.say(f"S1: suggestions among {count:,} files, {way}")
            timed += runner.run(_ask_all(served, way, typed, warm))
            resources = resources or Resources(*_memory(served), index_seconds, restart_seconds)
    for each in timed:
        yield from rows_of(count, each)
    if resources:
        yield memory_row(count, resources, empty_mib)


def typed_by_class(paths: Sequence[str], per_class: int, seed: int) -> dict[str, list[str]]:
    """What is asked: different queries of every class, and the first letters of all of them."""
    queries = generate(paths, per_class, seed)
    Random(seed).shuffle(queries)
    typed = {kind: beginnings(queries, chars, per_class) for kind, chars in LETTER_CLASSES.items()}
    typed |= {kind: [query.typed for query in queries if query.kind == kind] for kind in CLASSES}
    return without_repeats(typed)


async def _ask_all(
    served: Served, way: str, typed: Mapping[str, Sequence[str]], warm: Mapping[str, Sequence[str]]
) -> list[Timed]:
    await asyncio.sleep(SETTLING_SECONDS)
    order = [(kind, text) for kind, texts in typed.items() for text in texts]
    Random(len(order)).shuffle(order)
    asked = {text for _, text in order}
    first = [text for texts in warm.values() for text in texts if text not in asked]
    async with aiohttp.ClientSession() as session:
        ask, nothing = await WAYS[way](session, served.url)
        await in_turn(ask, nothing, first)
        samples = await _sample(served.pid, ask, nothing, [text for _, text in order])
    kinds = [kind for kind, _ in order]
    return [
        Timed(kind, way, *(of_kind(kind, kinds, side) for side in samples))
        for kind in typed
        if kind in kinds
    ]


async def _sample(
    pid: int, ask: Ask, nothing: Ask, messages: Sequence[str]
) -> tuple[list[float], list[float], list[float]]:
    """Seconds of ours, of nothing, and of the processor for ours."""
    cpu: list[float] = []

    async def observed(message: str) -> float:
        before = processor_seconds(pid)
        seconds = await ask(message)
        cpu.append(processor_seconds(pid) - before)
        return seconds

    return (*await in_turn(observed, nothing, messages), cpu)


def processor_seconds(pid: int) -> float:
    """What a process has used of the processors so far; its clock as clock_getcpuclockid(3) has it.

    Raises:
        OSError: There is no such process.
    """
    return time.clock_gettime((~pid << 3) | 2)


def rows_of(files: int, timed: Timed) -> Iterator[Row]:
    """The median, and the 99th percentile with its goal."""
    of: Judged = "value" if timed.way == "WebSocket" else "difference"
    goals = {
        0.5: Goal(of, P50_MS) if timed.kind in QUICK_CLASSES else None,
        0.99: Goal(of, P99_MS),
    }
    for share, goal in goals.items():
        cpu_ms = percentile(timed.cpu, share) * MS
        yield Row(
            "S1",
            f"{files:,} files, {timed.way}, {timed.kind}, p{share * 100:.0f}",
            percentile(timed.ours, share) * MS,
            median(timed.nothing) * MS,
            "ms",
            goal,
            f"CPU {cpu_ms:.2f} ms; {len(timed.ours)} queries; "
            f"no-op p99 {percentile(timed.nothing, 0.99) * MS:.2f} ms",
            facts={
                "files": files,
                "way": timed.way,
                "kind": timed.kind,
                "share": share,
                "cpu_ms": cpu_ms,
            },
        )


def memory_row(files: int, resources: Resources, empty_mib: float) -> Row:
    """Memory over that of the same server with an empty folder; and how long indexing took."""
    return Row(
        "S1",
        f"{files:,} files, resident memory",
        resources.resident_mib,
        empty_mib,
        "MiB",
        None,
        f"anonymous {resources.anonymous_mib:.0f}; first indexing {resources.index_seconds:.1f} s, "
        f"restart {resources.restart_seconds:.1f} s",
        facts={
            "files": files,
            "anonymous_mib": resources.anonymous_mib,
            "index_seconds": resources.index_seconds,
            "restart_seconds": resources.restart_seconds,
        },
    )
