"""A memory that finds by meaning: real files, a real registry, a fake upstream in either dialect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sgoped.config import Settings
from sgoped.events import Bus
from sgoped.llm import Registry, open_registry
from sgoped.llm.service import Timeouts
from sgoped.memory import EmbeddingStatus, Memory, open_meaning, open_memory
from sgoped.state import open_state
from tests.fakes.upstream import FakeUpstream
from tests.memory.opening import WAIT_SECONDS, paths_below

FILES = {
    "notes/garage.md": "The automobile is serviced twice a year.\n",
    "notes/health.md": "Appointment with the surgeon on Monday.\n",
    "notes/plan.txt": "A plan for the budget of the summer.\n",
    "notes/sea.txt": "The vessel leaves the harbour at noon.\n",
    "notes/roses.md": "How to prune roses in the summer garden.\n",
}
MODEL = "home/nomic:latest"


@dataclass(frozen=True)
class World:
    """What is open."""

    memory: Memory
    registry: Registry
    upstream: FakeUpstream
    dialect: str

    @property
    def root(self) -> Path:
        return self.memory.root

    async def add_service(self, service_id: str = "home") -> None:
        """The upstream becomes known; nothing waits for the probe."""
        config = {"host": self.upstream.url}
        if self.dialect == "openai":
            config = {"base_url": f"{self.upstream.url}/v1"}
        await self.registry.put(service_id, self.dialect, config)

    async def until(self, condition: Callable[[EmbeddingStatus], bool]) -> EmbeddingStatus:
        """Wait until the status is as wanted; nobody publishes it, so it is looked at."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition(status := self.memory.embedding_status()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return status

    async def until_ready(self) -> EmbeddingStatus:
        """Wait until every file can be found by meaning."""
        await self.memory.refresh()
        return await self.until(lambda status: status.state == "ready")

    async def found(self, query: str, **options: object) -> list[str]:
        """Paths found for a query, best first."""
        hits = await self.memory.search(query, **options)  # type: ignore[arg-type]
        return [hit.document.path for hit in hits]


def write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "utf-8")


@asynccontextmanager
async def opened_world(
    home: Path,
    upstream: FakeUpstream,
    dialect: str = "ollama",
    *,
    model: str = MODEL,
    wait_seconds: float = 20.0,
    orphan_seconds: float = 30.0,
    services: Sequence[str] = ("home",),
) -> AsyncGenerator[World]:
    """A memory below ``home``; opening it again is a restart."""
    paths, bus = paths_below(home), Bus()
    settings = Settings(quiet_seconds=0.02, max_delay_seconds=0.1, poll_seconds=0.2)
    timeouts = Timeouts(request_seconds=10)
    async with (
        open_state(paths.state_db, paths.backups_dir) as state,
        open_memory(paths, settings, state, bus) as memory,
        open_registry(settings, state, bus, timeouts=timeouts) as registry,
        open_meaning(
            memory,
            paths.vectors_db,
            bus,
            registry.embedder(model),
            name=model,
            wait_seconds=wait_seconds,
            max_index_bytes=settings.max_index_bytes,
            orphan_seconds=orphan_seconds,
        ),
    ):
        world = World(memory, registry, upstream, dialect)
        for service_id in services:
            await world.add_service(service_id)
        await memory.refresh()
        yield world
