"""P4, P5: an answer through the daemon over the same answer read from the upstream directly."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from scripts.benchmarks.bench import Bench
from scripts.benchmarks.processes import child, daemon, python
from scripts.benchmarks.samples import median, percentile
from scripts.benchmarks.table import Goal, Row

BURST_TOKENS = 2000
STREAMS = 10
TOKENS_PER_SECOND = 200
READ_BYTES = 256 * 1024
START_SECONDS = 30.0
MS = 1e3


@dataclass(slots=True)
class Answer:
    """One answer as a client saw it; seconds.

    Attributes:
        first_token: From the request to the first token.
        whole: From the request to the end.
        late: Of each token: from its writing by the upstream to its receipt.
    """

    first_token: float = 0.0
    whole: float = 0.0
    late: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Way:
    """How an answer is asked for.

    Attributes:
        url: Where.
        through_daemon: Whether the daemon is between us and the upstream.
    """

    url: str
    through_daemon: bool

    def body(self, model: str) -> dict[str, Any]:
        """The request."""
        if self.through_daemon:
            return {"message": "go on", "attachments": [], "model": model, "stream_id": ""}
        messages = [{"role": "user", "content": "go on"}]
        return {"model": model, "messages": messages, "stream": True}

    def text(self, event: dict[str, Any]) -> str:
        """What the model wrote in an event; empty for other events."""
        if not self.through_daemon:
            return str(event["choices"][0]["delta"].get("content", ""))
        if event["type"] in ("error", "cancelled"):
            raise RuntimeError(f"the answer failed: {event['message']}")
        return str(event["content"]) if event["type"] == "content" else ""


async def read_answer(session: aiohttp.ClientSession, way: Way, model: str) -> Answer:
    """Ask and read to the end, in the same manner either way.

    Raises:
        RuntimeError: It is not whole.
    """
    answer = Answer()
    started_at = time.monotonic()
    async with session.post(way.url, json=way.body(model)) as response:
        response.raise_for_status()
        async for event in _events(response):
            text = way.text(event)
            if text:
                received_at = time.monotonic()
                answer.first_token = answer.first_token or received_at - started_at
                answer.late += [received_at - int(stamp) / 1e9 for stamp in text.split()]
    answer.whole = time.monotonic() - started_at
    if len(answer.late) != int(model.split("-")[1]):
        raise RuntimeError(f"{len(answer.late)} tokens came of {model}")
    return answer


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    rest = b""
    async for data in response.content.iter_any():
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data: ") and line != b"data: [DONE]":
                yield json.loads(line[6:])


def measure_burst(bench: Bench) -> Iterator[Row]:
    """P4: an upstream without delay."""
    rounds = bench.samples(40, 6)
    model = f"burst-{BURST_TOKENS}"
    with _ways(bench, model) as (direct, through), asyncio.Runner() as runner:
        bench.say(f"P4: {BURST_TOKENS} tokens at once")
        ours, baseline = runner.run(_read_in_turn(direct, through, model, rounds))
    yield Row(
        "P4",
        f"relay of {BURST_TOKENS} tokens, throughput",
        BURST_TOKENS / median([answer.whole for answer in ours]),
        BURST_TOKENS / median([answer.whole for answer in baseline]),
        "tokens/s",
        Goal("ratio", 1.0, at_most=False),
        f"{rounds} answers each",
    )
    yield Row(
        "P4",
        "first token",
        median([answer.first_token for answer in ours]) * MS,
        median([answer.first_token for answer in baseline]) * MS,
        "ms",
        Goal("difference", 3.0),
    )


async def _read_in_turn(
    direct: Way, through: Way, model: str, rounds: int
) -> tuple[list[Answer], list[Answer]]:
    ours, baseline = [], []
    async with _session() as session:
        for way in (direct, through):
            await read_answer(session, way, model)
        for _ in range(rounds):
            baseline.append(await read_answer(session, direct, model))
            ours.append(await read_answer(session, through, model))
    return ours, baseline


def measure_paced(bench: Bench) -> Iterator[Row]:
    """P5: several streams at the pace of a fast model."""
    rounds = bench.samples(10, 3)
    tokens = bench.samples(400, 200)
    model = f"paced-{tokens}-{TOKENS_PER_SECOND}"
    with _ways(bench, model) as (direct, through), asyncio.Runner() as runner:
        bench.say(f"P5: {STREAMS} streams of {TOKENS_PER_SECOND} tokens/s")
        ours, baseline = runner.run(_stream_in_turn(direct, through, model, rounds))
    yield Row(
        "P5",
        f"{STREAMS} paced streams, latency of a token, p99",
        median([percentile(late, 0.99) for late in ours]) * MS,
        median([percentile(late, 0.99) for late in baseline]) * MS,
        "ms",
        Goal("ratio", 2.5),
        f"p50 {_middle(ours):.2f} over {_middle(baseline):.2f} ms",
    )


def _middle(rounds: list[list[float]]) -> float:
    return median([median(late) for late in rounds]) * MS


async def _stream_in_turn(
    direct: Way, through: Way, model: str, rounds: int
) -> tuple[list[list[float]], list[list[float]]]:
    """The latencies of all tokens, by round."""
    ours, baseline = [], []
    async with _session() as session:
        await _stream_together(session, through, model)
        for _ in range(rounds):
            baseline.append(await _stream_together(session, direct, model))
            ours.append(await _stream_together(session, through, model))
    return ours, baseline


async def _stream_together(session: aiohttp.ClientSession, way: Way, model: str) -> list[float]:
    async def read(delay_seconds: float) -> Answer:
        await asyncio.sleep(delay_seconds)
        return await read_answer(session, way, model)

    # Apart, so that the tokens of all streams do not fall due at the same moment.
    apart = 1 / TOKENS_PER_SECOND / STREAMS
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(read(number * 1.37 * apart)) for number in range(STREAMS)]
    return [late for task in tasks for late in task.result().late]


def _session() -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=120)
    return aiohttp.ClientSession(timeout=timeout, read_bufsize=READ_BYTES)


@contextmanager
def _ways(bench: Bench, model: str) -> Iterator[tuple[Way, Way]]:
    """The upstream itself, and a daemon that has it as its only service."""
    home = bench.new_home()
    notes = home / "notes"
    notes.mkdir()
    command = python("-m", "scripts.benchmarks.upstream")
    with child(command, home, "upstream.log"), daemon(home, notes) as served:
        upstream = f"http://127.0.0.1:{await_port(home)}/v1"
        config = {"name": "bench", "api_key": "", "base_url": upstream, "models": [model]}
        service = {"service_id": "bench", "service_type": "openai", "config": config}
        served.request("POST", "/api/services/add", service)
        through = Way(f"{served.url}/api/chat/stream", through_daemon=True)
        yield Way(f"{upstream}/chat/completions", through_daemon=False), through


def await_port(home: Path) -> int:
    """The port of the upstream that was started with its log in ``home``.

    Raises:
        RuntimeError: It did not start.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        text = (home / "upstream.log").read_text()
        if text.endswith("\n"):
            return int(text.split()[0])
        time.sleep(0.01)
    raise RuntimeError("the upstream did not start")
