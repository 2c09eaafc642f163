"""Opens a real memory on folders of a test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from sgoped.config import Settings
from sgoped.events import Bus, Event
from sgoped.memory import Memory, open_memory
from sgoped.paths import Paths, create_directories, resolve_paths
from sgoped.state import open_state

WAIT_SECONDS = 20


def paths_below(home: Path) -> Paths:
    paths = resolve_paths(home)
    create_directories(paths)
    paths.memory_dir.mkdir(parents=True, exist_ok=True)
    return paths


@asynccontextmanager
async def opened(
    home: Path, bus: Bus | None = None, *, reconcile_seconds: float = 300.0
) -> AsyncGenerator[Memory]:
    """A memory below ``home``, in step with the disk; opening it again is a restart."""
    paths = paths_below(home)
    settings = Settings(
        quiet_seconds=0.02,
        max_delay_seconds=0.1,
        poll_seconds=0.2,
        reconcile_seconds=reconcile_seconds,
    )
    async with (
        open_state(paths.state_db, paths.backups_dir) as state,
        open_memory(paths, settings, state, bus or Bus()) as memory,
    ):
        await memory.refresh()
        yield memory


async def until_event(bus: Bus, wanted: Event) -> None:
    """Wait until ``wanted`` was published."""
    async with asyncio.timeout(WAIT_SECONDS):
        with bus.subscribe() as subscription:
            if any(event == wanted for _, event in bus.since(0)):
                return
            async for _, event in subscription:
                if event == wanted:
                    return


async def found(memory: Memory, query: str) -> list[str]:
    """Labels found for a query, best first."""
    return [hit.label for hit in await memory.find(query)]
