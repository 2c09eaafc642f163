"""Turns the system's file notifications into relative paths; the only importer of watchdog.

watchdog swallows running out of watches below the root, and says nothing when the kernel's
queue overflows; both are caught where it talks to the kernel. Events carry what watchdog
believes a path to be, which after moves may be stale, or only part of what happened: they mean
"look at this path and its subtree again", no more.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from watchdog.events import (
    DirAttribEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver

from sgoped.memory.hidden import is_hidden, is_left_out
from sgoped.memory.ignore import IGNORE_FILE_NAMES

if sys.platform == "linux":
    from watchdog.observers.inotify import InotifyEmitter
    from watchdog.observers.inotify_c import (
        CallbackId,
        InotifyEvent,
        InotifyFD,
        Mask,
        WatchCallback,
        WatchDescriptor,
    )
else:
    from watchdog.observers import Observer


_LOG = logging.getLogger(__name__)

_EVENTS: list[type[FileSystemEvent]] = [
    # Opened and closed-without-writing are left out: our own reads would make them.
    *(FileCreatedEvent, FileModifiedEvent, FileClosedEvent, FileDeletedEvent, FileMovedEvent),
    *(FileAttribEvent, DirCreatedEvent, DirDeletedEvent, DirMovedEvent, DirAttribEvent),
]
_BEAT_EVENTS: list[type[FileSystemEvent]] = [FileAttribEvent, FileModifiedEvent]
_MAX_QUEUED = 10_000
_STOP_SECONDS = 5.0


class Inbox:
    """Paths on their way from watchdog's threads to the loop.

    Adding costs a set insertion; the loop is woken once for all that gathers until it runs.

    Attributes:
        out_of_watches: Whether the system refused to watch another directory.
        incomplete: Whether a directory can be watched now that could not be.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_paths: Callable[[set[str] | None], None],
        on_alarm: Callable[[], None],
        on_beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._loop = loop
        self._on_paths = on_paths
        self._on_alarm = on_alarm
        self._on_beat = on_beat
        self._lock = threading.Lock()
        self._paths: set[str] | None = set()
        self._is_waking = False
        self._is_closed = False
        self.out_of_watches = False
        self.incomplete = False

    def add(self, path: str | None) -> None:
        """Deliver ``path`` soon; None, or too many of them, means everything."""
        with self._lock:
            if path is None or (self._paths is not None and len(self._paths) >= _MAX_QUEUED):
                self._paths = None
            elif self._paths is not None:
                self._paths.add(path)
            self._wake()

    def alarm(self, *, out_of_watches: bool = False, incomplete: bool = False) -> None:
        """Have the watcher's health checked now."""
        with self._lock:
            self.incomplete = self.incomplete or incomplete
            self.out_of_watches = self.out_of_watches or out_of_watches
            if not self._is_closed:
                self._loop.call_soon_threadsafe(self._on_alarm)

    def beat(self) -> None:
        """Tell that a notification of our own making arrived."""
        with self._lock:
            if not self._is_closed:
                self._loop.call_soon_threadsafe(self._on_beat)

    def close(self) -> None:
        """Deliver nothing more, also not what was added already."""
        with self._lock:
            self._is_closed = True

    def _wake(self) -> None:
        if not self._is_waking and not self._is_closed:
            self._is_waking = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            paths, self._paths, self._is_waking = self._paths, set(), False
            if self._is_closed:
                return
        self._on_paths(paths)


def relevant_path(path: str, *, is_folder: bool = False) -> str | None:
    """What to look at again when ``path`` changed; None when a scan would not show it.

    A changed ignore file concerns all of its directory; what hidden folders hold concerns nobody.
    """
    *parents, name = path.split("/")
    if any(map(is_hidden, parents)):
        return None
    if name in IGNORE_FILE_NAMES:
        return "/".join(parents)
    return None if is_left_out(name, is_folder=is_folder) else path


class _Handler(FileSystemEventHandler):
    """Runs in watchdog's thread, and so does nothing but hand paths over."""

    def __init__(self, root: str, inbox: Inbox) -> None:
        self._root = root
        self._prefix = root.rstrip("/") + "/"
        self._inbox = inbox

    def dispatch(self, event: FileSystemEvent) -> None:
        for raw in (event.src_path, event.dest_path):
            path = os.fsdecode(raw)
            if path.startswith(self._prefix):
                below = path[len(self._prefix) :]
                relevant = relevant_path(below, is_folder=event.is_directory)
                if relevant is not None:
                    self._inbox.add(relevant)
            elif path == self._root:
                self._inbox.alarm()


class _BeatHandler(FileSystemEventHandler):
    """Hears what we touch ourselves; runs in watchdog's thread as well."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def dispatch(self, event: FileSystemEvent) -> None:
        self._inbox.beat()


Observation = BaseObserver
ObserverFactory = Callable[[str, Inbox], Observation]

if sys.platform == "linux":

    class _Inotify(InotifyFD):
        """The kernel's side, listened in on."""

        def __init__(self, root: str, inbox: Inbox) -> None:
            self._hidden = os.fsencode(root.rstrip("/") + "/")
            self._inbox = inbox
            self._forbidden: set[bytes] = set()
            super().__init__()

        def add_callback(
            self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId
        ) -> WatchDescriptor:
            """Watch a directory, unless it is in a hidden one; say so when watches run out."""
            below = path.removeprefix(self._hidden)
            if below != path and (below.startswith(b".") or b"/." in below):
                # The caller takes this for a directory that vanished.
                raise FileNotFoundError(errno.ENOENT, "hidden", os.fsdecode(path))
            try:
                return super().add_callback(path, mask, callback, id_)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.ENOMEM):
                    self._inbox.alarm(out_of_watches=True)
                raise

        def _add_callback(
            self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId
        ) -> WatchDescriptor:
            # As inherited, less its warning that the directory is watched already: a new one
            # often is, found by watchdog's walk and by its event, and the warning's text holds
            # every path there is.
            watch = self._get_or_create_watch(path, mask)
            if watch.wd < 0:
                # watchdog takes a directory that may not be read for one that is watched.
                self._watch_for_wd.pop(watch.wd, None)
                self._forbidden.add(path)
                raise PermissionError(errno.EACCES, "may not be read", os.fsdecode(path))
            watch.callbacks[id_] = callback
            return watch.wd

        def handle_event(self, event: InotifyEvent) -> None:
            """Let watchdog renew its watches after an overflow, then have all looked at."""
            try:
                super().handle_event(event)
            except Exception as error:  # noqa: BLE001 - the edge of a foreign thread
                # The thread ends with this; the check it asks for finds that, and begins anew.
                if isinstance(error, KeyError):  # folders moved in each other's place too fast
                    _LOG.warning("Reading file notifications failed, and begins anew")
                else:
                    _LOG.exception("Reading file notifications failed")
                self._inbox.alarm()
                raise SystemExit from None
            if event.is_queue_overflow:
                self._inbox.add(None)
            if self._forbidden and event.is_attrib and event.is_directory:
                self._look_at_forbidden()

        def _look_at_forbidden(self) -> None:
            if any(os.access(path, os.R_OK | os.X_OK) for path in self._forbidden):
                self._inbox.alarm(incomplete=True)

    class _InotifyObserver(BaseObserver):
        def __init__(self, root: str, inbox: Inbox) -> None:
            self.inotify = _Inotify(root, inbox)
            super().__init__(InotifyEmitter, inotify_fd=self.inotify)
            self.inotify.start()

        def on_thread_stop(self) -> None:
            # watchdog cannot always find again what it watches; its reader must end all the same.
            with suppress(KeyError):
                super().on_thread_stop()
            self.inotify.stop()
            self.inotify.join()

    def native_observer(root: str, inbox: Inbox) -> BaseObserver:
        """Watch by inotify.

        Raises:
            OSError: The system refuses (``EMFILE``: out of inotify instances).
        """
        # What it complains of (overflow, stopping while reading) is handled here.
        logging.getLogger("watchdog").setLevel(logging.CRITICAL)
        return _InotifyObserver(root, inbox)

else:

    def native_observer(root: str, inbox: Inbox) -> BaseObserver:
        """Watch by FSEvents or kqueue."""
        return Observer()


def start_observer(
    factory: ObserverFactory, root: str, inbox: Inbox, beat_folder: str | None = None
) -> BaseObserver:
    """Watch ``root``, a path without links, and all below it.

    What happens in ``beat_folder`` is told as ``Inbox.beat``.

    Raises:
        OSError: The system refuses.
    """
    observer = factory(root, inbox)
    try:
        if beat_folder is not None:
            observer.schedule(_BeatHandler(inbox), beat_folder, event_filter=_BEAT_EVENTS)
        observer.schedule(_Handler(root, inbox), root, recursive=True, event_filter=_EVENTS)
        observer.start()
    except OSError:
        stop_observer(observer)
        raise
    return observer


def is_watching(observer: BaseObserver) -> bool:
    """Whether all of its threads live: a dead emitter leaves the observer itself alive."""
    threads: list[threading.Thread] = [observer, *observer.emitters]
    reader = getattr(observer, "inotify", None)
    if isinstance(reader, threading.Thread):
        threads.append(reader)
    return bool(observer.emitters) and all(thread.is_alive() for thread in threads)


def stop_observer(observer: BaseObserver) -> None:
    """End its threads; one that hangs, as in a call to the kernel, is waited for a while only."""
    ending = threading.Thread(target=_end, args=(observer,), name="watch-end", daemon=True)
    ending.start()
    ending.join(_STOP_SECONDS)
    if ending.is_alive():
        _LOG.warning("A thread that reads file notifications hangs and was left alone")


def _end(observer: BaseObserver) -> None:
    observer.stop()
    if observer.is_alive():
        observer.join()
