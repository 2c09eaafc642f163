"""The daemon's application with bare routes beside its own: the no-op that figures compare with.

``/bench/echo`` is a WebSocket that sends back what it gets, ``/bench/nothing`` a GET that answers
``[]``; both behind the same middlewares, on the same server and loop. With ``--sample-gaps`` a
timer measures how late the loop runs what is due; ``/bench/gaps`` tells and forgets that.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import WSMsgType, web  # noqa: TID251 - serves the application

from sgoped.app import create_app
from sgoped.config import load_settings
from sgoped.daemon.lock import hold_lock
from sgoped.daemon.readiness import announced
from sgoped.daemon.sockets import Listening, listen
from sgoped.paths import Paths, create_directories, resolve_paths
from sgoped.web import BOUND, runner_options

SAMPLE_SECONDS = 0.005


async def echo(request: web.Request) -> web.StreamResponse:
    """Send back every text message."""
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
    return socket


async def nothing(request: web.Request) -> web.StreamResponse:
    """Answer with an empty list."""
    return web.Response(body=b"[]", content_type="application/json")


class LoopGaps:
    """How late the loop was, in seconds, each time that a timer was due."""

    def __init__(self) -> None:
        self._gaps: list[float] = []
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def sampling(self, app: web.Application) -> AsyncIterator[None]:
        """Sample for as long as the application is open, and while it opens."""
        self._arm()
        yield
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        self._due = time.perf_counter() + SAMPLE_SECONDS
        self._timer = asyncio.get_running_loop().call_later(SAMPLE_SECONDS, self._sample)

    def _sample(self) -> None:
        self._gaps.append(max(0.0, time.perf_counter() - self._due))
        self._arm()

    async def show(self, request: web.Request) -> web.StreamResponse:
        """The samples since this was last asked."""
        gaps, self._gaps = self._gaps, []
        return web.json_response(gaps)


async def serve(app: web.Application, listening: Listening, paths: Paths) -> None:
    """Serve until SIGTERM or SIGINT."""
    bound = app[BOUND]
    bound.port, bound.url, bound.started_at = listening.port, listening.url, time.time()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(app, shutdown_timeout=1.5, **runner_options())
    try:
        await runner.setup()
        gc.freeze()  # as the daemon does
        for each in listening.sockets:
            await web.SockSite(runner, each).start()
        with announced(paths.server_file, {"pid": os.getpid(), "url": listening.url}):
            await stop.wait()
    finally:
        await runner.cleanup()


def make_app(home: Path, memory_dir: Path, *, sample_gaps: bool) -> tuple[web.Application, Paths]:
    """The application with the bare routes, and its places."""
    settings = load_settings({"home": home, "memory_dir": memory_dir, "log_level": "warning"})
    paths = resolve_paths(settings.home, settings.memory_dir)
    create_directories(paths)
    app = create_app(settings, paths)
    app.router.add_get("/bench/echo", echo)
    app.router.add_get("/bench/nothing", nothing)
    if sample_gaps:
        gaps = LoopGaps()
        app.router.add_get("/bench/gaps", gaps.show)
        app.cleanup_ctx.insert(0, gaps.sampling)
    return app, paths


def main() -> int:
    """Serve a home and a folder until ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--memory-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--sample-gaps", action="store_true")
    options = parser.parse_args()
    app, paths = make_app(options.home, options.memory_dir, sample_gaps=options.sample_gaps)
    with (
        hold_lock(paths.lock_file),
        listen("localhost", options.port) as listening,
        asyncio.Runner() as runner,
    ):
        runner.run(serve(app, listening, paths))
    return 0


if __name__ == "__main__":
    sys.exit(main())
