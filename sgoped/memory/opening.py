"""Opens the memory folder: catalogue, indexes and watcher, in the order they depend on each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager

from sgoped.background import background
from sgoped.config import Settings
from sgoped.events import Bus, WatcherChanged
from sgoped.memory.files import Files
from sgoped.memory.indexer import Indexer, open_indexer
from sgoped.memory.memory import Memory
from sgoped.memory.store import open_store
from sgoped.memory.uses import load_uses
from sgoped.memory.versions import Versions
from sgoped.memory.watcher import WatcherStatus, open_watcher
from sgoped.paths import Paths
from sgoped.state import State


async def _reconcile_regularly(indexer: Indexer, seconds: float) -> None:
    """The watcher is a hint; now and then the whole folder is compared."""
    while True:
        await asyncio.sleep(seconds)
        indexer.report(None)


@asynccontextmanager
async def open_memory(
    paths: Paths, settings: Settings, state: State, bus: Bus
) -> AsyncGenerator[Memory]:
    """Open the memory folder: catalogue, indexes, watcher.

    Suggestions come from the persisted index at once; comparing it with the disk goes on in the
    background (``index_status().verified``).
    """
    root = paths.memory_dir
    versions = Versions(paths.versions_dir, settings.max_versions_bytes)
    files = Files(root, versions, settings.max_file_bytes)
    executor = ThreadPoolExecutor(2, thread_name_prefix="memory")
    async with AsyncExitStack() as stack:
        stack.callback(executor.shutdown)
        await asyncio.to_thread(files.sweep_temporary_files)
        store = await stack.enter_async_context(open_store(paths.catalogue_db))
        indexer = await stack.enter_async_context(
            open_indexer(
                root,
                paths.index_dir,
                store,
                bus,
                max_index_bytes=settings.max_index_bytes,
                quiet_seconds=settings.quiet_seconds,
                max_delay_seconds=settings.max_delay_seconds,
            )
        )
        uses = await load_uses(state)
        memory = Memory(
            root=root,
            files=files,
            versions=versions,
            indexer=indexer,
            uses=uses,
            executor=executor,
            max_index_bytes=settings.max_index_bytes,
        )

        def on_status(status: WatcherStatus) -> None:
            memory.note_watcher(status)
            bus.publish(WatcherChanged(status.state, status.reason))

        await stack.enter_async_context(
            open_watcher(root, settings, on_status=on_status, on_paths=indexer.report)
        )
        await stack.enter_async_context(
            background(reconcile=_reconcile_regularly(indexer, settings.reconcile_seconds))
        )
        yield memory
