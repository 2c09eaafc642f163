"""P1, P2, P3: what a suggestion costs over a request that does nothing, on the same server.

What is asked to warm up is not asked again, and for P1 no query is asked twice: no answer of it can
be one that was kept. Key strokes come as people make them, who begin with the same letters often.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from types import MappingProxyType
from urllib.parse import quote

import aiohttp

from scripts.benchmarks.bench import Bench
from scripts.benchmarks.queries import LITERAL_CLASSES, generate, key_strokes
from scripts.benchmarks.samples import median, percentile
from scripts.benchmarks.table import Goal, Row

MS = 1e3
WARM_UP = 50
# One request with what was typed; its seconds.
Ask = Callable[[str], Awaitable[float]]


class Socket:
    """A WebSocket that is asked one thing at a time."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.answer = ""

    async def ask(self, message: str) -> float:
        """Seconds from the sending of ``message`` to the receipt of its ``answer``."""
        started_at = time.perf_counter()
        await self._socket.send_str(message)
        self.answer = await self._socket.receive_str()
        return time.perf_counter() - started_at


def files_message(typed: str) -> str:
    """A request for suggestions over the WebSocket."""
    return json.dumps({"type": "files", "query": typed})


async def by_socket(session: aiohttp.ClientSession, url: str) -> tuple[Ask, Ask]:
    """Requests over the WebSocket, for suggestions and for an echo.

    Raises:
        RuntimeError: The daemon refuses; else the time of that would be taken for an answer's.
    """
    ours = Socket(await session.ws_connect(f"{url}/ws/suggestions"))
    echo = Socket(await session.ws_connect(f"{url}/bench/echo"))
    await ours.ask(files_message(""))
    if json.loads(ours.answer).get("type") != "files":
        raise RuntimeError(f"the daemon answered {ours.answer[:200]}")
    return lambda typed: ours.ask(files_message(typed)), lambda typed: echo.ask(
        files_message(typed)
    )


async def by_http(session: aiohttp.ClientSession, url: str) -> tuple[Ask, Ask]:
    """Requests over HTTP, for suggestions and for an empty list."""
    return (
        lambda typed: _get(session, f"{url}/api/files?limit=10&q={quote(typed)}"),
        lambda typed: _get(session, f"{url}/bench/nothing"),
    )


Open = Callable[[aiohttp.ClientSession, str], Awaitable[tuple[Ask, Ask]]]
WAYS: Mapping[str, Open] = MappingProxyType({"WebSocket": by_socket, "HTTP": by_http})


async def _get(session: aiohttp.ClientSession, url: str) -> float:
    started_at = time.perf_counter()
    async with session.get(url) as response:
        response.raise_for_status()
        await response.read()
    return time.perf_counter() - started_at


async def in_turn(
    ask: Ask, nothing: Ask, messages: Sequence[str]
) -> tuple[list[float], list[float]]:
    """Ask every message, each after a request that does nothing.

    Returns:
        Seconds of ours and of the baseline.
    """
    ours, baseline = [], []
    for message in messages:
        baseline.append(await nothing(message))
        ours.append(await ask(message))
    return ours, baseline


def measure_prefixes(bench: Bench) -> Iterator[Row]:
    """P1: the median over a WebSocket, by class of query."""
    per_class = bench.samples(400, 40)
    by_class = without_repeats(_typed(bench, per_class, bench.options.seed))
    asked = {typed for queries in by_class.values() for typed in queries}
    others = _typed(bench, WARM_UP // 2, bench.options.seed + 5)
    warm = [typed for queries in others.values() for typed in queries if typed not in asked]
    with bench.bench_server() as served, asyncio.Runner() as runner:
        bench.say("P1: prefixes over the WebSocket")
        seconds = runner.run(_ask_by_class(served.url, by_class, warm))
    for kind, (ours, baseline) in seconds.items():
        yield Row(
            "P1",
            f"WebSocket suggestion, {kind}, p50",
            median(ours) * MS,
            median(baseline) * MS,
            "ms",
            Goal("ratio", 1.5),
            f"{len(ours)} queries",
        )


def _typed(bench: Bench, per_class: int, seed: int) -> dict[str, list[str]]:
    queries = generate(bench.tree.paths, per_class, seed, LITERAL_CLASSES)
    return {
        kind: [query.typed for query in queries if query.kind == kind] for kind in LITERAL_CLASSES
    }


def without_repeats(by_class: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """What is typed, each for the first class only that has it."""
    seen: set[str] = set()
    kept: dict[str, list[str]] = {}
    for kind, queries in by_class.items():
        kept[kind] = [typed for typed in dict.fromkeys(queries) if typed not in seen]
        seen.update(kept[kind])
    return kept


async def _ask_by_class(
    url: str, by_class: Mapping[str, Sequence[str]], warm: Sequence[str]
) -> dict[str, tuple[list[float], list[float]]]:
    async with aiohttp.ClientSession() as session:
        ask, nothing = await by_socket(session, url)
        await in_turn(ask, nothing, warm)
        # A class after the other would meet the machine in different moods.
        turns = zip_longest(*by_class.values())
        asked = [
            (kind, typed) for turn in turns for kind, typed in zip(by_class, turn, strict=True)
        ]
        asked = [(kind, typed) for kind, typed in asked if typed is not None]
        samples = await in_turn(ask, nothing, [typed for _, typed in asked])
    kinds = [kind for kind, _ in asked]
    return {
        kind: (of_kind(kind, kinds, samples[0]), of_kind(kind, kinds, samples[1]))
        for kind in by_class
    }


def of_kind(kind: str, kinds: Sequence[str], samples: Sequence[float]) -> list[float]:
    """The samples of one kind, where ``kinds`` tells of which each is."""
    return [sample for each, sample in zip(kinds, samples, strict=True) if each == kind]


def measure_strokes_socket(bench: Bench) -> Iterator[Row]:
    """P2: key strokes of all classes over a WebSocket."""
    yield from _measure_strokes(bench, "P2", "WebSocket")


def measure_strokes_http(bench: Bench) -> Iterator[Row]:
    """P3: the same over HTTP."""
    yield from _measure_strokes(bench, "P3", "HTTP")


def _measure_strokes(bench: Bench, figure: str, way: str) -> Iterator[Row]:
    strokes = _strokes(bench, bench.samples(80, 8), bench.options.seed + 1)
    asked = set(strokes)
    others = _strokes(bench, WARM_UP // 6, bench.options.seed + 6)
    warm = [typed for typed in others if typed not in asked][:WARM_UP]

    async def sample(url: str) -> tuple[list[float], list[float]]:
        async with aiohttp.ClientSession() as session:
            ask, nothing = await WAYS[way](session, url)
            await in_turn(ask, nothing, warm)
            return await in_turn(ask, nothing, strokes)

    with bench.bench_server() as served, asyncio.Runner() as runner:
        bench.say(f"{figure}: key strokes over {way}")
        ours, baseline = runner.run(sample(served.url))
    still = median(baseline) * MS
    note = f"{len(ours)} strokes"
    yield Row(
        figure, f"key strokes, {way}, p50", median(ours) * MS, still, "ms", Goal("ratio", 2), note
    )
    yield Row(
        figure,
        f"key strokes, {way}, p99 over no-op p50",
        percentile(ours, 0.99) * MS,
        still,
        "ms",
        Goal("ratio", 15),
        f"no-op p99 {percentile(baseline, 0.99) * MS:.2f} ms",
    )


def _strokes(bench: Bench, per_class: int, seed: int) -> list[str]:
    return key_strokes(generate(bench.tree.paths, per_class, seed))
