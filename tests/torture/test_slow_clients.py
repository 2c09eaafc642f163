"""Clients that send half a request, or nothing, hold up nobody and are gone after their time."""

from __future__ import annotations

import asyncio
import resource
import time
from pathlib import Path

from tests.conftest import NoteFigure, StartDaemon
from tests.processes import DaemonProcess
from tests.scale import Scale

HALVES = (
    b"GET /health HTTP/1.1\r\nHost: local",
    (
        b"POST /api/files/content HTTP/1.1\r\nHost: localhost:%d\r\n"
        b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    ),
    b"",
)
TIMEOUT_SECONDS = 3


def open_files(daemon: DaemonProcess) -> int:
    return len(list(Path(f"/proc/{daemon.process.pid}/fd").iterdir()))


def _raise_file_limit() -> None:
    """Each client takes a descriptor of this process, too."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def ask(daemon: DaemonProcess) -> float:
    """A request on a new connection; how long it took, in seconds."""
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
    head = f"GET /api/files?q=x HTTP/1.1\r\nHost: localhost:{daemon.port}\r\nConnection: close\r\n"
    writer.write(f"{head}\r\n".encode())
    assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
    writer.close()
    return time.perf_counter() - began


async def test_slow_clients_hold_up_nobody_and_leave_nothing(
    start_daemon: StartDaemon, scale: Scale, note_figure: NoteFigure
) -> None:
    """More of them than there is room for, so that idle ones must give way, too."""
    _raise_file_limit()
    given = {
        "SGOPED_HEADER_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS),
        "SGOPED_BODY_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS),
    }
    daemon = await asyncio.to_thread(start_daemon, environment=given)
    before = await asyncio.to_thread(open_files, daemon)
    held = []
    for number in range(scale.slow_clients):
        reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
        half = HALVES[number % len(HALVES)]
        writer.write(half % daemon.port if b"%d" in half else half)
        held.append((reader, writer))
    took = sorted([await ask(daemon) for _ in range(50)])
    answers = await asyncio.gather(
        *(reader.read() for number, (reader, _) in enumerate(held) if HALVES[number % len(HALVES)]),
        return_exceptions=True,
    )
    told = [answer for answer in answers if isinstance(answer, bytes) and answer]
    assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in told)
    for _, writer in held:
        writer.close()
    assert len(told) >= min(len(answers), 600)
    await ask(daemon)
    left = await asyncio.to_thread(open_files, daemon) - before
    assert left < 20
    assert "Traceback" not in daemon.log()
    note_figure(
        f"{len(held)} slow clients: {len(told)} told 408, others answered in "
        f"{took[25] * 1000:.1f} ms (p50), {took[-1] * 1000:.1f} ms (max), {left} files left open"
    )
