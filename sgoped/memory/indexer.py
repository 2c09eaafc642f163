"""Keeps the index equal to the disk: gathers changes, and drives the indexing thread.

One task hands the worker's steps, one at a time, to one thread: changes that someone waits for
first, then what the watcher reported, then the scan of the whole folder, then the backlog.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sgoped.background import background
from sgoped.errors import StorageError
from sgoped.events import Bus, FileIndexed, FileRemoved, IndexProgressed
from sgoped.memory.changes import Coalescer
from sgoped.memory.document import shown
from sgoped.memory.index import IndexBrokenError
from sgoped.memory.outcome import StepOutcome
from sgoped.memory.pacing import Retry
from sgoped.memory.repairs import Problem, Repair
from sgoped.memory.saving import is_temporary
from sgoped.memory.store import Store
from sgoped.memory.table import FileStatus
from sgoped.memory.worker import IndexWorker

RETRY_SECONDS = 1.0
# How often to look for merged segments for a while after a commit.
TIDY_SECONDS = 1.0
# A first scan is over sooner when nothing else is done; a long one need not be waited for.
MAX_SCAN_ALONE_SECONDS = 10.0

Result = TypeVar("Result")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """How far the index is.

    Attributes:
        generation: Rises with every visible change.
        documents: Files and folders that can be suggested.
        pending: Files whose name or content is not indexed yet.
        verified: Whether the disk was compared with the catalogue since the start.
        progress: Share of the files that are done, 0 to 1.
        problem: Why indexing stopped or is incomplete; empty when all is well.
        problem_since: Unix time; ``None`` when all is well.
        checked: Whether all bytes of the indexes were found whole, or made again, since the start.
        last_repair: Which part of the cache was made again last, since the start.
    """

    generation: int
    documents: int
    pending: int
    verified: bool
    progress: float
    problem: str
    problem_since: float | None
    checked: bool
    last_repair: Repair | None


class Indexer:
    """Drains changes; everything here but ``worker``'s steps runs on the event loop.

    Attributes:
        worker: Does the work, in its thread.
        scanned: Set once the first scan is over, or could not be made.
        unfinished: ``(directory, name)`` of the unfinished saves that the first scan met.
        checked: Whether all bytes of the indexes were read since the start.
        on_contents: Told of the pids of files whose content was read, or that are gone.
    """

    def __init__(
        self, worker: IndexWorker, executor: ThreadPoolExecutor, bus: Bus, coalescer: Coalescer
    ) -> None:
        self.worker = worker
        self.scanned = asyncio.Event()
        self.unfinished: list[tuple[str, str]] = []
        self.checked = False
        self.on_contents: Callable[[Sequence[int]], None] = lambda pids: None
        self._executor = executor
        self._bus = bus
        self._coalescer = coalescer
        self._wake = asyncio.Event()
        self._urgent: list[tuple[set[str], asyncio.Future[None]]] = []
        self._scan_wanted = True
        self._scanning = False
        self._scan_began_at = 0.0
        self._tidying = True
        self._waiting_for_scan: list[asyncio.Future[None]] = []
        self._waiting_for_idle: list[asyncio.Future[None]] = []
        self._unreadable: dict[str, str] = {}
        self._retry = Retry()
        self._problem = Problem()
        self._is_held_up = False

    # -- what others ask for

    def report(self, paths: Iterable[str] | None) -> None:
        """Take in what the watcher saw: paths to look at, or ``None`` for the whole folder."""
        if paths is None:
            self._scan_wanted = True
        else:
            self._coalescer.add_all(paths, time.monotonic())
        self._wake.set()

    def wake(self) -> None:
        """Look whether there is work: something was queued by a call."""
        self._wake.set()

    async def index_now(self, paths: Iterable[str]) -> None:
        """Look at ``paths`` ahead of everything else; returns once they can be found."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._urgent.append((set(paths), done))
        self._wake.set()
        await done

    async def until_idle(self) -> None:
        """Wait until nothing waits to be indexed, or indexing is held up."""
        if self.scanned.is_set() and not (self._scanning or self.worker.has_work):
            return
        idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting_for_idle.append(idle)
        self._wake.set()
        with suppress(OSError, IndexBrokenError):
            await idle

    async def refresh(self) -> None:
        """Compare the whole folder again; returns once the index equals the disk."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting_for_scan.append(done)
        self._scan_wanted = True
        self._wake.set()
        try:
            await done
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise StorageError(f"the memory folder cannot be read: {reason}") from error
        except IndexBrokenError as error:
            raise StorageError(f"the index cannot be written: {error}") from error

    def status(self) -> IndexStatus:
        """How far the index is now."""
        worker = self.worker
        pending = max(worker.pending, worker.pending_names)
        total = max(1, sum(worker.table.status_counts))
        progress = (
            1.0 if worker.verified and not pending else max(0.0, min(0.999, 1 - pending / total))
        )
        return IndexStatus(
            worker.generation,
            worker.table.visible_count,
            pending,
            worker.verified,
            progress,
            self._problem.reason,
            self._problem.since,
            self.checked,
            worker.repairs.last,
        )

    async def call(self, work: Callable[[], Result]) -> Result:
        """Run ``work`` in the indexing thread, between two steps."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    # -- the one task

    async def run(self) -> None:
        """Index for ever."""
        while True:
            try:
                await self._advance()
            except (OSError, IndexBrokenError) as error:
                self._trouble(error)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception as error:
                log.exception("indexing failed and starts over")
                self._trouble(error)
                await asyncio.sleep(RETRY_SECONDS)
                try:
                    await self.call(self.worker.recover)
                except Exception:
                    log.exception("the index could not be recovered")
            else:
                if self._is_held_up:
                    self._is_held_up = False
                    self._tell_unreadable()

    def _trouble(self, error: Exception) -> None:
        """The folder is away, or the index is beyond repair: keep what is known, try again."""
        if not self._is_held_up:
            log.warning("indexing is held up: %s", error)
        self._is_held_up = True
        self._problem.set(str(error))
        self.scanned.set()
        self._scanning = False
        self._scan_wanted = True
        for waiting in (*self._waiting_for_scan, *self._waiting_for_idle):
            if not waiting.done():
                waiting.set_exception(error)
        self._waiting_for_scan, self._waiting_for_idle = [], []

    async def _advance(self) -> None:
        """Do the most pressing thing, or wait for one."""
        if self._urgent:
            await self._do_urgent()
            return
        due = self._coalescer.due(time.monotonic())
        if due == 0:
            await self._do_batch()
        elif self._scanning or self._scan_wanted:
            await self._do_scan()
        elif self.worker.has_work:
            await self._do_step()
        else:
            self._settle_waiting()
            await self._rest(due)

    async def _rest(self, due: float | None) -> None:
        failed = self.worker.table.status_counts[FileStatus.FAILED]
        retry = self._retry.due(failed, time.monotonic())
        if retry == 0:
            self._retry.begin(time.monotonic())
            await self.call(self.worker.retry_failed)
            return
        waits = [due, retry, TIDY_SECONDS if self._tidying else None]
        await self._sleep(min((wait for wait in waits if wait is not None), default=None))
        if self._tidying:
            self._tidying = await self.call(self.worker.tidy)

    async def _sleep(self, seconds: float | None) -> None:
        self._wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _do_urgent(self) -> None:
        urgent, self._urgent = self._urgent, []
        paths = set().union(*(paths for paths, _ in urgent))
        try:
            await self.call(lambda: self.worker.look_at(paths))
            await self._do_step(urgent=True)
            while await self.call(lambda: self.worker.is_left_over(paths)):
                await self._do_step(urgent=True)
        finally:
            for _, done in urgent:
                if not done.done():
                    done.set_result(None)

    async def _do_batch(self) -> None:
        batch = self._coalescer.take(time.monotonic())
        if batch.full:
            self._scan_wanted = True
        else:
            await self.call(lambda: self.worker.look_at(batch.paths))
            await self._do_step(urgent=True)

    async def _do_scan(self) -> None:
        if self._scan_wanted and not self._scanning:
            if not self.worker.has_work:
                self._settle_waiting()
            self._scan_wanted = False
            self._scanning = True
            self._unreadable = {}
            self._waiting_for_idle += self._waiting_for_scan
            self._waiting_for_scan = []
            on_hidden = None if self.scanned.is_set() else self._note_hidden
            self.worker.begin_scan(self._note_unreadable, on_hidden)
            self._scan_began_at = time.monotonic()
        if await self.call(self.worker.continue_scan):
            self._scanning = False
            self.scanned.set()
            self._tell_unreadable()
        # All names of a new folder are known before the first is indexed; see portions.
        alone = self._scanning and time.monotonic() - self._scan_began_at < MAX_SCAN_ALONE_SECONDS
        if self.worker.has_work and not alone:
            await self._do_step()

    def _tell_unreadable(self) -> None:
        reason = ""
        if self._unreadable:
            path, why = next(iter(self._unreadable.items()))
            folders = "folder" if len(self._unreadable) == 1 else "folders"
            reason = f"{len(self._unreadable)} {folders} cannot be read, such as {path}: {why}"
        self._problem.set(reason)

    def _note_unreadable(self, path: str, error: OSError) -> None:
        self._unreadable[shown(path) or "."] = error.strerror or type(error).__name__

    def _note_hidden(self, directory: str, name: str) -> None:
        if is_temporary(name):
            self.unfinished.append((directory, name))

    async def _do_step(self, *, urgent: bool = False) -> None:
        self._tidying = True
        self._publish(await self.call(lambda: self.worker.step(urgent=urgent)))

    def _publish(self, outcome: StepOutcome) -> None:
        if outcome.pids:
            self.on_contents(outcome.pids)
        for path in outcome.removed:
            self._bus.publish(FileRemoved(shown(path)))
        for path in outcome.indexed:
            self._bus.publish(FileIndexed(shown(path)))
        if outcome.indexed or outcome.removed:
            counts = self.worker.table.status_counts
            total = sum(counts)
            self._bus.publish(IndexProgressed(total - self.worker.pending, total))

    def _settle_waiting(self) -> None:
        for waiting in self._waiting_for_idle:
            if not waiting.done():
                waiting.set_result(None)
        self._waiting_for_idle = []


@asynccontextmanager
async def open_indexer(
    root: Path,
    index_dir: Path,
    store: Store,
    bus: Bus,
    *,
    max_index_bytes: int,
    quiet_seconds: float,
    max_delay_seconds: float,
) -> AsyncGenerator[Indexer]:
    """Open the indexes in a thread of their own and keep them equal to the disk."""
    executor = ThreadPoolExecutor(1, thread_name_prefix="indexer")
    loop = asyncio.get_running_loop()
    try:
        worker = await loop.run_in_executor(
            executor, lambda: IndexWorker(root, index_dir, store, max_index_bytes)
        )
        indexer = Indexer(worker, executor, bus, Coalescer(quiet_seconds, max_delay_seconds))
        try:
            async with background(indexer=indexer.run()):
                yield indexer
        finally:
            await loop.run_in_executor(executor, worker.close)
    finally:
        executor.shutdown()
