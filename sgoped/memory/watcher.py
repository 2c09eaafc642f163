"""Keeps the folder watched, by whatever means work, and brings what changed into the event loop.

The watcher is a hint, never the truth: it says which paths to stat again, and ``None`` when
that is everything, because events were or may have been lost (start, overflow, resume from
sleep, another root). Every event means "this path and its subtree": watchdog reports stale
paths after moves, and may report a file in a directory it has not reported.

When inotify cannot be had or runs out of watches, and on network drives, whose other writers
it does not see, the tree is polled; now and then inotify is tried again. So it is when a heartbeat
of our own does not come back.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

from sgoped.memory.heartbeat import Heartbeat, Rhythm
from sgoped.memory.mounts import network_filesystem
from sgoped.memory.notification import (
    Inbox,
    Observation,
    ObserverFactory,
    is_watching,
    native_observer,
    start_observer,
    stop_observer,
)
from sgoped.memory.polling import Poller

_LOG = logging.getLogger(__name__)

_SUSPENDED_SECONDS = 2.0
_POLL_DUTY = 10
_SILENT = "file notifications do not arrive"
_LOST = "more happened at once than could be told; everything was compared again"

State = Literal["native", "polling", "degraded"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why changes may have gone unnoticed for a while; unix time of the last such moment."""

    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class WatcherStatus:
    """How changes are noticed.

    Attributes:
        state: ``native``, ``polling``, or ``degraded``: not at all, the folder is missing.
        reason: Why it is not native, for a person; empty when it is.
        since: Unix time.
        last_trouble: What went wrong last, though it may be mended; ``None`` when nothing did.
    """

    state: State
    reason: str
    since: float
    last_trouble: Trouble | None = None


def suspended_seconds() -> float:
    """Seconds this machine has slept since it booted, where the system tells."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.time() - time.monotonic()


class WatchSettings(Protocol):
    """What the watcher wants to know."""

    @property
    def poll_seconds(self) -> float:
        """Period of health checks, and of polling where that is the way."""
        ...


@asynccontextmanager
async def open_watcher(
    root: Path,
    settings: WatchSettings,
    *,
    on_status: Callable[[WatcherStatus], None],
    on_paths: Callable[[set[str] | None], None],
    observer: ObserverFactory = native_observer,
    retry_seconds: float = 300.0,
    clock_of_sleep: Callable[[], float] = suspended_seconds,
    beat_folder: Path | None = None,
    rhythm: Rhythm = Rhythm(),  # noqa: B008 - immutable
) -> AsyncGenerator[None]:
    """Watch ``root`` until the context is left; enters at once, never fails.

    Both callbacks come on the loop. Whenever watching begins (again) there is a status and
    then ``on_paths(None)``: what happened before was not seen, scan everything. While the root
    is missing nothing is reported but the status, so that nothing is forgotten for a drive
    that is unplugged; once it is back, ``on_paths(None)`` comes.

    Args:
        root: The memory folder; a link to it is resolved.
        settings: For ``poll_seconds``.
        on_status: Told each change of status.
        on_paths: Told relative paths to stat again with all below them (``""``: the root), or
            None for everything.
        observer: Makes the native observer; raises ``OSError`` where there is none.
        retry_seconds: How often native watching is tried again while polling.
        clock_of_sleep: Seconds slept so far; when it grows, events may have been lost.
        beat_folder: A directory of our own, for the heartbeat; without it there is none.
        rhythm: How often it beats.
    """
    heart = Heartbeat(beat_folder, rhythm)
    watcher = _Watcher(
        root,
        settings.poll_seconds,
        on_status=on_status,
        on_paths=on_paths,
        factory=observer,
        heart=heart,
    )
    failure: Exception | None = None
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(watcher.run(retry_seconds, clock_of_sleep), name="watcher")
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised below, outside of the group
            failure = error
        finally:
            task.cancel()
    if failure is not None:
        raise failure


class _Watcher:
    def __init__(
        self,
        root: Path,
        poll_seconds: float,
        *,
        on_status: Callable[[WatcherStatus], None],
        on_paths: Callable[[set[str] | None], None],
        factory: ObserverFactory,
        heart: Heartbeat,
    ) -> None:
        self._heart = heart
        self._root = root
        self._poll_seconds = poll_seconds
        self._on_status = on_status
        self._on_paths = on_paths
        self._factory = factory
        self._wake = asyncio.Event()
        self._is_closing = False
        self._status: WatcherStatus | None = None
        self._identity: tuple[int, int] | None = None
        self._observer: Observation | None = None
        self._inbox: Inbox | None = None
        self._poller: Poller | None = None
        self._retry_at = 0.0
        self._refusal = ""

    async def run(self, retry_seconds: float, clock_of_sleep: Callable[[], float]) -> None:
        slept = clock_of_sleep()
        try:
            while True:
                self._wake.clear()
                try:
                    await self._check(retry_seconds)
                except Exception as error:  # noqa: BLE001 - the edge of the task: a watcher never dies
                    _LOG.exception("Watching %s failed; trying again", self._root)
                    self._tell("degraded", f"watching failed: {type(error).__name__}")
                    await self._stop()
                before, slept = slept, clock_of_sleep()
                if slept - before > _SUSPENDED_SECONDS:
                    self._note("the machine slept; everything was compared again")
                    self._on_paths(None)
                await self._pause()
        finally:
            self._is_closing = True
            await self._stop()

    async def _check(self, retry_seconds: float) -> None:
        identity = await asyncio.to_thread(_identity, self._root)
        ailment = self._ailment()
        if ailment and identity is not None:
            _LOG.warning("Watching %s begins anew: %s", self._root, ailment)
            self._tell("degraded", ailment)
        if identity != self._identity or ailment:
            await self._stop()
        if identity is None:
            self._identity = None
            self._tell("degraded", f"the folder {self._root} is missing; waiting for it")
        elif self._observer is None and self._poller is None:
            self._replaced(identity)
            await self._begin(retry_seconds)
        elif self._poller is not None:
            await self._poll(self._poller, retry_seconds)
        else:
            await self._heart.beat()

    def _ailment(self) -> str:
        """What is wrong with native watching; empty when nothing is."""
        if self._observer is None:
            return ""
        if self._inbox is not None and self._inbox.out_of_watches:
            return _explained(OSError(errno.ENOSPC, ""))
        if self._inbox is not None and self._inbox.incomplete:
            return "a folder that could not be watched can be now"
        if not is_watching(self._observer):
            return "a thread that reads file notifications ended"
        return _SILENT if self._heart.is_late else ""

    def _replaced(self, identity: tuple[int, int]) -> None:
        if self._identity not in (None, identity):
            self._note(f"the folder {self._root} was replaced; everything was compared again")
        self._identity = identity

    def _take(self, paths: set[str] | None) -> None:
        self._heart.heard(lost=paths is None)
        if paths is None:
            self._note(_LOST)
        self._on_paths(paths)

    async def _begin(self, retry_seconds: float) -> None:
        if time.monotonic() >= self._retry_at:
            self._refusal = await self._start_native()
            if self._refusal:
                self._retry_at = time.monotonic() + retry_seconds
        if self._refusal:
            await self._start_polling(self._refusal)
        else:
            self._tell("native", "")
        self._on_paths(None)

    async def _start_native(self) -> str:
        """Begin native watching; return why it cannot be had, empty when it can."""
        network = await asyncio.to_thread(network_filesystem, self._root)
        if network:
            return f"the folder is on a network drive ({network})"
        loop = asyncio.get_running_loop()
        resolved = await asyncio.to_thread(os.path.realpath, self._root)
        inbox = Inbox(loop, self._take, self._wake.set, self._heart.arrived)
        beats = await self._heart.begin()
        starting = loop.run_in_executor(
            None,
            start_observer,
            self._factory,
            resolved,
            inbox,
            None if beats is None else str(beats),
        )
        try:
            observer = await asyncio.shield(starting)
        except OSError as error:
            inbox.close()
            return _explained(error)
        except asyncio.CancelledError:
            inbox.close()
            with suppress(OSError):
                await asyncio.to_thread(stop_observer, await starting)
            raise
        self._observer, self._inbox = observer, inbox
        if inbox.out_of_watches:
            await self._stop_observer()
            return _explained(OSError(errno.ENOSPC, ""))
        if not await self._heart.is_felt():
            await self._stop_observer()
            return _SILENT
        return ""

    async def _start_polling(self, reason: str) -> None:
        _LOG.warning("Polling %s every %s s: %s", self._root, self._poll_seconds, reason)
        poller = Poller(self._root)
        await asyncio.to_thread(poller.poll, lambda: self._is_closing)
        self._poller = poller
        self._tell("polling", reason)

    async def _poll(self, poller: Poller, retry_seconds: float) -> None:
        if time.monotonic() >= self._retry_at:
            self._retry_at = time.monotonic() + retry_seconds
            self._refusal = await self._start_native()
            if not self._refusal:
                self._poller = None
                self._tell("native", "")
                self._on_paths(None)
                return
        changed = await asyncio.to_thread(poller.poll, lambda: self._is_closing)
        if changed:
            self._on_paths(changed)

    async def _pause(self) -> None:
        seconds = self._poll_seconds
        if self._poller is not None:
            seconds = max(seconds, self._poller.took_seconds * _POLL_DUTY)
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _stop(self) -> None:
        self._poller = None
        await self._stop_observer()

    async def _stop_observer(self) -> None:
        observer, self._observer = self._observer, None
        inbox, self._inbox = self._inbox, None
        if inbox is not None:
            inbox.close()
        if observer is not None:
            await asyncio.to_thread(stop_observer, observer)

    def _tell(self, state: State, reason: str) -> None:
        status = self._status
        if status is None or (status.state, status.reason) != (state, reason):
            now = time.time()
            before = status.last_trouble if status is not None else None
            trouble = Trouble(reason, now) if reason else before
            self._status = WatcherStatus(state, reason, now, trouble)
            self._on_status(self._status)

    def _note(self, reason: str) -> None:
        """Tell of a trouble that is over already."""
        if self._status is not None:
            self._status = replace(self._status, last_trouble=Trouble(reason, time.time()))
            self._on_status(self._status)


def _identity(root: Path) -> tuple[int, int] | None:
    """Device and inode of the folder; None when it is missing or no folder."""
    try:
        status = os.stat(os.path.join(root, "."))  # noqa: PTH116, PTH118 - pathlib drops the dot
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _explained(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.ENOMEM):
        return "out of inotify watches (raise fs.inotify.max_user_watches)"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return "out of inotify instances (raise fs.inotify.max_user_instances)"
    return f"no native watching: {error.strerror or error}"
