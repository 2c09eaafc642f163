"""Opens the memory folder: catalogue, indexes and watcher, in the order they depend on each other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

from sgoped.background import background
from sgoped.config import Settings
from sgoped.errors import StorageError
from sgoped.events import Bus, WatcherChanged
from sgoped.memory.checking import check_regularly
from sgoped.memory.files import Files
from sgoped.memory.heartbeat import Rhythm
from sgoped.memory.indexer import Indexer, open_indexer
from sgoped.memory.memory import Memory
from sgoped.memory.store import open_store
from sgoped.memory.uses import Uses, load_uses
from sgoped.memory.versions import Versions
from sgoped.memory.watcher import WatcherStatus, open_watcher
from sgoped.paths import Paths
from sgoped.state import State

_LOG = logging.getLogger(__name__)

# In a small folder watching has begun by then, so that a start does not look like a trouble.
WATCH_WAIT_SECONDS = 0.25
# In a greater one it has not, and what is known from the last time can be asked for at once.
WATCH_WAIT_PATHS = 5_000
# The heartbeat, in units of ``poll_seconds``.
BEAT_POLLS = 15
PATIENCE_POLLS = 5
# A busy machine is no silent one.
MIN_PATIENCE_SECONDS = 5.0


async def _reconcile_regularly(indexer: Indexer, seconds: float) -> None:
    """The watcher is a hint; now and then the whole folder is compared."""
    while True:
        await asyncio.sleep(seconds)
        indexer.report(None)


def _clean_up(files: Files, versions: Versions, unfinished: Iterable[tuple[str, str]]) -> None:
    """Remove what a killed daemon left half-done, beside the person's files and of versions."""
    files.sweep_temporary_files(unfinished)
    try:
        versions.prune()
    except StorageError as error:
        _LOG.warning("%s; what a crash left there stays", error.message)


async def _watch(
    paths: Paths,
    settings: Settings,
    indexer: Indexer,
    on_status: Callable[[WatcherStatus], None],
    clean_up: Callable[[Iterable[tuple[str, str]]], None],
) -> None:
    """Watch for ever, once the first scan is over.

    Arming the watches walks the folder as well; two walks at once take longer than one after the
    other, and the index would be true later. What changes in between is found because watching
    begins with a scan of its own.
    """
    await indexer.scanned.wait()
    await asyncio.to_thread(clean_up, indexer.unfinished)
    async with open_watcher(
        paths.memory_dir,
        settings,
        on_status=on_status,
        on_paths=indexer.report,
        beat_folder=paths.heartbeat_dir,
        rhythm=Rhythm(
            period_seconds=BEAT_POLLS * settings.poll_seconds,
            patience_seconds=max(MIN_PATIENCE_SECONDS, PATIENCE_POLLS * settings.poll_seconds),
        ),
    ):
        await asyncio.Event().wait()


async def _save_last(uses: Uses) -> None:
    with suppress(StorageError):
        await uses.save()


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
    executor = ThreadPoolExecutor(2, thread_name_prefix="memory")
    async with AsyncExitStack() as stack:
        stack.callback(executor.shutdown)
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
        present = indexer.worker.presence.check
        files = Files(root, versions, settings.max_file_bytes, present)
        uses = await load_uses(state)
        stack.push_async_callback(_save_last, uses)
        memory = Memory(
            root=root,
            files=files,
            versions=versions,
            indexer=indexer,
            uses=uses,
            executor=executor,
            max_index_bytes=settings.max_index_bytes,
        )

        started = asyncio.Event()

        def on_status(status: WatcherStatus) -> None:
            before = memory.watcher_status()
            memory.note_watcher(status)
            if not started.is_set() or status.since != before.since:
                bus.publish(WatcherChanged(status.state, status.reason))
            started.set()

        await stack.enter_async_context(
            background(
                watch=_watch(
                    paths, settings, indexer, on_status, partial(_clean_up, files, versions)
                ),
                reconcile=_reconcile_regularly(indexer, settings.reconcile_seconds),
                check=check_regularly(indexer, settings.reconcile_seconds),
                uses=uses.keep(),
            )
        )
        if len(indexer.worker.table) <= WATCH_WAIT_PATHS:
            with suppress(TimeoutError):
                async with asyncio.timeout(WATCH_WAIT_SECONDS):
                    await started.wait()
        yield memory
