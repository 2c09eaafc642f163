"""P1, P2, P3: what a suggestion costs over a request that does nothing, on the same server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from urllib.parse import quote

import aiohttp

from scripts.benchmarks.bench import Bench
from scripts.benchmarks.queries import LITERAL_CLASSES, Query, generate, key_strokes
from scripts.benchmarks.samples import median, percentile
from scripts.benchmarks.table import Goal, Row

MS = 1e3
# One request; its seconds.
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


def files_message(query: str) -> str:
    """A request for suggestions over the WebSocket."""
    return json.dumps({"type": "files", "query": query})


async def get(session: aiohttp.ClientSession, url: str) -> float:
    """Seconds of one request, to the last byte of its answer."""
    started_at = time.perf_counter()
    async with session.get(url) as response:
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
    queries = generate(bench.tree.paths, per_class, bench.options.seed, LITERAL_CLASSES)
    with bench.bench_server() as served, asyncio.Runner() as runner:
        bench.say("P1: prefixes over the WebSocket")
        seconds = runner.run(_ask_by_class(served.url, queries))
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


async def _ask_by_class(
    url: str, queries: Sequence[Query]
) -> dict[str, tuple[list[float], list[float]]]:
    by_class: dict[str, list[str]] = {}
    for query in queries:
        by_class.setdefault(query.kind, []).append(files_message(query.typed))
    async with aiohttp.ClientSession() as session:
        ours, nothing = await sockets(session, url)
        everything = [message for messages in by_class.values() for message in messages]
        await in_turn(ours.ask, nothing.ask, everything[:: max(1, len(everything) // 50)])
        return {
            kind: await in_turn(ours.ask, nothing.ask, messages)
            for kind, messages in by_class.items()
        }


async def sockets(session: aiohttp.ClientSession, url: str) -> tuple[Socket, Socket]:
    """For suggestions, and for the echo."""
    ours = Socket(await session.ws_connect(f"{url}/ws/suggestions"))
    return ours, Socket(await session.ws_connect(f"{url}/bench/echo"))


def measure_strokes_socket(bench: Bench) -> Iterator[Row]:
    """P2: key strokes of all classes over a WebSocket."""
    strokes = [files_message(typed) for typed in _strokes(bench)]

    async def ask(session: aiohttp.ClientSession, url: str) -> tuple[Ask, Ask, Sequence[str]]:
        ours, nothing = await sockets(session, url)
        return ours.ask, nothing.ask, strokes

    yield from _measure_strokes(bench, "P2", "WebSocket", ask)


def measure_strokes_http(bench: Bench) -> Iterator[Row]:
    """P3: the same over HTTP."""
    addresses = [f"/api/files?limit=10&q={quote(typed)}" for typed in _strokes(bench)]

    async def ask(session: aiohttp.ClientSession, url: str) -> tuple[Ask, Ask, Sequence[str]]:
        return (
            lambda address: get(session, url + address),
            lambda address: get(session, f"{url}/bench/nothing"),
            addresses,
        )

    yield from _measure_strokes(bench, "P3", "HTTP GET", ask)


def _strokes(bench: Bench) -> list[str]:
    per_class = bench.samples(80, 8)
    return key_strokes(generate(bench.tree.paths, per_class, bench.options.seed + 1))


def _measure_strokes(
    bench: Bench,
    figure: str,
    way: str,
    open_ways: Callable[[aiohttp.ClientSession, str], Awaitable[tuple[Ask, Ask, Sequence[str]]]],
) -> Iterator[Row]:
    async def sample(url: str) -> tuple[list[float], list[float]]:
        async with aiohttp.ClientSession() as session:
            ask, nothing, messages = await open_ways(session, url)
            await in_turn(ask, nothing, messages[:: max(1, len(messages) // 50)])
            return await in_turn(ask, nothing, messages)

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
