"""The life of the process: start, announce, serve, and stop when told to."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from aiohttp import web  # noqa: TID251 - runs the application

from sgoped import __version__
from sgoped.app import create_app
from sgoped.config import ServiceManager, Settings, take_service_manager
from sgoped.daemon import terminal
from sgoped.daemon.connection import Deadlines
from sgoped.daemon.entrance import accepting
from sgoped.daemon.lock import InstanceLock, hold_lock
from sgoped.daemon.readiness import announced, notify
from sgoped.daemon.sockets import Listening, listen
from sgoped.daemon.unix_socket import listen_unix
from sgoped.errors import SgopedError, StartupError
from sgoped.paths import Paths, create_directories
from sgoped.web import Runner, keys, runner_options

# aiohttp waits up to twice as long for what on_shutdown did not end.
_SHUTDOWN_SECONDS = 1.5
_OPEN_FILES = 8192
_log = logging.getLogger(__name__)


def configure_logging(level: str) -> None:
    """Sends everything to standard error, once; foreign packages tell no more than INFO."""
    logging.basicConfig(
        level=level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )
    logging.captureWarnings(capture=True)
    for name in ("asyncio", "aiohttp", "watchdog"):
        logging.getLogger(name).setLevel(max(logging.getLogger().level, logging.INFO))


def serve(settings: Settings, paths: Paths) -> int:
    """Runs until a signal, and returns the exit code: 0, 1, 75 or 78.

    A first SIGTERM, SIGINT or SIGHUP ends every stream and closes everything in order; a second
    does not wait for requests any more; a third is the end.
    """
    configure_logging(settings.log_level)
    manager = take_service_manager()
    _raise_file_limit()
    try:
        create_directories(paths)
        with (
            hold_lock(paths.lock_file) as lock,
            listen(settings.host, settings.port) as listening,
            listen_unix(paths.socket_file) as unix_socket,
            asyncio.Runner() as runner,
        ):
            daemon = _Daemon(
                settings,
                paths,
                listening=listening,
                unix_socket=unix_socket,
                lock=lock,
                manager=manager,
            )
            runner.run(daemon.run())
    except SgopedError as error:
        notify(manager, STATUS=error.message)
        terminal.say_error(error.message)
        return error.exit_code if isinstance(error, StartupError) else 1
    except Exception:  # noqa: BLE001 - the edge of the process; logged
        _log.exception("sgoped ends because of an error of its own")
        return 1
    return 0


class _Daemon:
    """One run, from opening the application to closing it, all in one task."""

    def __init__(
        self,
        settings: Settings,
        paths: Paths,
        *,
        listening: Listening,
        unix_socket: socket.socket | None,
        lock: InstanceLock,
        manager: ServiceManager | None,
    ) -> None:
        self._settings = settings
        self._paths = paths
        self._listening = listening
        self._unix_socket = unix_socket
        self._lock = lock
        self._manager = manager
        self._started_at = time.time()
        self._app = create_app(settings, paths)
        self._runner = Runner(
            self._app,
            shutdown_timeout=_SHUTDOWN_SECONDS,
            **runner_options(),
        )

    async def run(self) -> None:
        """Serves until a signal comes.

        Raises:
            SgopedError: The application could not be opened.
        """
        stop = _Stop(self._runner)
        try:
            async with stop.cancelling_start():
                self._bind()
                await self._runner.setup()
            # What a start makes stays; looking through it again and again would hold up the loop.
            gc.freeze()
            gc.enable()
            if not stop.requested.is_set():
                await self._serve(stop.requested)
        finally:
            notify(self._manager, STOPPING="1", STATUS="stopping")
            await self._runner.cleanup()

    def _bind(self) -> None:
        bound = self._app[keys.BOUND]
        bound.port = self._listening.port
        bound.url = self._listening.url
        bound.started_at = self._started_at
        self._lock.describe(bound.url, self._paths.memory_dir)

    async def _serve(self, stop: asyncio.Event) -> None:
        content = {
            "pid": os.getpid(),
            "url": self._listening.url,
            "socket": None if self._unix_socket is None else str(self._paths.socket_file),
            "version": __version__,
            "started_at": self._started_at,
        }
        async with self._accepting():
            self._greet()
            with announced(self._paths.server_file, content):
                notify(self._manager, READY="1", STATUS=f"serving {self._listening.url}")
                await self._stay(stop)

    @asynccontextmanager
    async def _accepting(self) -> AsyncGenerator[None]:
        server = self._runner.server
        if server is None:
            raise RuntimeError("the application is not open")
        settings = self._settings
        sockets = [*self._listening.sockets]
        if self._unix_socket is not None:
            sockets.append(self._unix_socket)
        deadlines = Deadlines(
            head=settings.header_timeout_seconds,
            body=settings.body_timeout_seconds,
            write=settings.write_timeout_seconds,
        )
        async with accepting(
            sockets, server, deadlines=deadlines, check_peer_uid=settings.check_peer_uid
        ):
            yield

    def _greet(self) -> None:
        memory = self._app[keys.MEMORY]
        services = self._app[keys.REGISTRY].services()
        names = [service.name for service in services]
        files = memory.counts().files
        terminal.greet(self._listening.url, self._paths, files, names, self._settings.home)

    async def _stay(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            helpers = [tasks.create_task(self._feed_watchdog(), name="watchdog")]
            if sys.stderr.isatty():
                progress = terminal.show_progress(self._app[keys.MEMORY].index_status)
                helpers.append(tasks.create_task(progress, name="progress"))
            await stop.wait()
            for helper in helpers:
                helper.cancel()

    async def _feed_watchdog(self) -> None:
        if self._manager is None or not self._manager.watchdog_seconds:
            return
        while True:
            notify(self._manager, WATCHDOG="1")
            await asyncio.sleep(self._manager.watchdog_seconds / 2)


class _Stop:
    """Turns signals into an event, and into force when they are repeated."""

    def __init__(self, runner: web.AppRunner) -> None:
        self.requested = asyncio.Event()
        self._runner = runner
        self._starting: asyncio.Task[None] | None = None
        self._count = 0
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal, number)

    @asynccontextmanager
    async def cancelling_start(self) -> AsyncGenerator[None]:
        """Lets a signal cut the block short, without an error."""
        task = asyncio.current_task()
        self._starting = task
        try:
            yield
        except asyncio.CancelledError:
            if not self.requested.is_set() or task is None:
                raise
            task.uncancel()
        finally:
            self._starting = None

    def _on_signal(self, number: int) -> None:
        self._count += 1
        if self._count == 1:
            _log.info("stopping on %s", signal.Signals(number).name)
            self.requested.set()
            if self._starting is not None:
                self._starting.cancel()
            return
        _log.warning("not waiting for open requests; a further signal ends sgoped at once")
        if self._runner.server is not None:
            for connection in self._runner.server.connections:
                connection.force_close()
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)


def _raise_file_limit() -> None:
    """A stream takes two descriptors; the usual soft limit of 1024 is for select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
