"""A daemon between many clients and a fake LLM service, and what checks of streams share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

from tests.conftest import StartDaemon
from tests.processes import DaemonProcess
from tests.torture.wire_client import (
    ChatClient,
    add_services,
    call,
    live_runs,
    open_files,
    resident_bytes,
)
from tests.torture.wire_upstream import Call, WireUpstream

MEBIBYTE = 2**20
DEADLINE_SECONDS = 10.0
PIECES = 5


@dataclass
class World:
    """A daemon, the upstream of both its services, and the ids of their models by dialect."""

    daemon: DaemonProcess
    upstream: WireUpstream
    models: Mapping[str, str]

    @property
    def port(self) -> int:
        return self.daemon.port

    @property
    def pid(self) -> int:
        return self.daemon.process.pid

    async def ask(
        self, prompt: str, rng: Random, *, receive_bytes: int = 0, **fields: object
    ) -> ChatClient:
        """Ask either model; nothing is read yet."""
        model = self.models[rng.choice(("ollama", "openai"))]
        return await ChatClient.ask(
            self.port, prompt, receive_bytes=receive_bytes, model=model, **fields
        )

    async def call_of(self, prompt: str) -> Call:
        """The upstream's side of a question, once it was asked."""
        await eventually(lambda: self.upstream.call_of(prompt) is not None)
        found = self.upstream.call_of(prompt)
        assert found is not None
        return found

    async def is_quiet(self) -> bool:
        """No answer is being made, and the daemon is well."""
        _, health = await call(self.port, "GET", "/health")
        return health["status"] == "healthy" and await live_runs(self.port) == 0

    async def is_back_to(self, files: int) -> None:
        """Wait until nothing runs and no more than so many descriptors are open."""
        await eventually(self.is_quiet)
        await eventually(lambda: open_files(self.pid) <= files)


@asynccontextmanager
async def open_world(
    start_daemon: StartDaemon, environment: Mapping[str, str]
) -> AsyncIterator[World]:
    """A running daemon; in the end it must stop in order and have logged no surprise."""
    daemon = start_daemon(environment=environment)
    async with WireUpstream(in_order) as upstream:
        yield World(daemon, upstream, await add_services(daemon, upstream))
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log(), daemon.log()
    assert " unexpected " not in daemon.log(), daemon.log()


async def in_order(upstream_call: Call) -> None:
    """A short answer, told apart by its question."""
    await upstream_call.head()
    for text in pieces_of(upstream_call.prompt, PIECES):
        await upstream_call.tokens(text)
    await upstream_call.finish()


def pieces_of(prompt: str, count: int) -> list[str]:
    """Tokens that no other answer has."""
    return [f"[{prompt}/{number}] {'ä' * (number % 50)}" for number in range(count)]


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], seconds: float = DEADLINE_SECONDS
) -> None:
    """Look until it is so: what another process does cannot be awaited."""
    async with asyncio.timeout(seconds):
        while True:
            told = condition()
            if told if isinstance(told, bool) else await told:
                return
            await asyncio.sleep(0.01)


async def in_batches(work: Sequence[Callable[[], Awaitable[None]]], at_once: int) -> None:
    """Do all of ``work``, so much of it at a time."""
    gate = asyncio.Semaphore(at_once)

    async def do(one: Callable[[], Awaitable[None]]) -> None:
        async with gate:
            await one()

    async with asyncio.TaskGroup() as group:
        for one in work:
            group.create_task(do(one))


def spread(seconds: Sequence[float]) -> str:
    """Times for a figure, measured under load."""
    ordered = sorted(seconds) or [0.0]
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    at = {name: min(int(share * len(ordered)), len(ordered) - 1) for name, share in shares.items()}
    told = ", ".join(f"{name} {ordered[index] * 1000:.0f} ms" for name, index in at.items())
    return f"{told} (under load)"


@dataclass
class Watch:
    """What the daemon's memory and its other answers are like while something happens.

    Attributes:
        latencies: Of each suggestion asked for meanwhile, in seconds.
        growth_bytes: By how much its memory grew at most.
    """

    world: World
    latencies: list[float] = field(default_factory=list)
    growth_bytes: int = 0

    @property
    def told(self) -> str:
        """For a figure."""
        return (
            f"memory +{self.growth_bytes / MEBIBYTE:.0f} MiB; {len(self.latencies)} suggestions "
            f"meanwhile, {spread(self.latencies)}"
        )

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Look again and again for as long as the block is not left."""
        before = resident_bytes(self.world.pid)

        async def look() -> None:
            while True:
                growth = resident_bytes(self.world.pid) - before
                self.growth_bytes = max(self.growth_bytes, growth)
                await self._ask()
                await asyncio.sleep(0.05)

        async with asyncio.TaskGroup() as group:
            looking = group.create_task(look())
            yield
            looking.cancel()

    async def _ask(self) -> None:
        asked = time.monotonic()
        status, suggested = await call(self.world.port, "GET", "/api/files?q=note")
        self.latencies.append(time.monotonic() - asked)
        assert (status, suggested[0]["label"]) == (200, "notes.md")


async def prepared(world: World) -> int:
    """Let everything be used once, with a file to suggest; how many descriptors are open then."""
    (world.daemon.memory_dir / "notes.md").write_text("Notes.\n")
    assert (await call(world.port, "POST", "/api/refresh", {}))[0] == 200
    for model in world.models.values():
        client = await ChatClient.ask(world.port, "first", model=model)
        await client.read_all()
        client.close()
    await eventually(world.is_quiet)
    return open_files(world.pid)
