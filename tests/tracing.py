"""Watches the system calls of a running process with strace, or lets them fail or kill."""

from __future__ import annotations

import contextlib
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ATTACH_SECONDS = 30.0
DETACH_SECONDS = 5.0
# All that changes a file or a directory, or makes it durable.
CHANGING = (
    "openat",
    "write",
    "pwrite64",
    "ftruncate",
    "fallocate",
    "fsync",
    "fdatasync",
    "mkdir",
    "mkdirat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "fchmod",
    "fchown",
    "close",
)
_LINE = re.compile(r"(\d+) +(.*)")
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>(.*)")
_CALL = re.compile(r"(\w+)\((.*)\) += (.*)")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call that is over.

    Attributes:
        thread: Which made it.
        name: Of the call.
        arguments: As strace prints them, descriptors with their paths.
        result: What it returned, as printed.
    """

    thread: str
    name: str
    arguments: str
    result: str


@contextlib.contextmanager
def straced(pid: int, *options: str, output: Path | None = None) -> Iterator[None]:
    """Traces ``pid`` and all its threads for as long as the block lasts.

    Skips the test where that is not possible.
    """
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    command = ["strace", "-f", "-p", str(pid), "-o", str(output or "/dev/null"), *options]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as tracer:
        try:
            _await_attached(tracer)
            yield
        finally:
            _detach(tracer, pid)


def _detach(tracer: subprocess.Popen[bytes], pid: int) -> None:
    """Ends strace, which goes on waiting for threads that died together with their process."""
    stat = Path(f"/proc/{pid}/stat")
    alive = stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
    if alive:
        tracer.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            tracer.communicate(timeout=DETACH_SECONDS)
    tracer.kill()
    tracer.communicate()


def _await_attached(tracer: subprocess.Popen[bytes]) -> None:
    out = tracer.stderr
    assert out is not None
    told, deadline = b"", time.monotonic() + ATTACH_SECONDS
    while b"attached" not in told:
        ready, _, _ = select.select([out], [], [], max(0.0, deadline - time.monotonic()))
        chunk = out.read1() if ready else b""  # type: ignore[attr-defined]  # it is buffered
        told += chunk
        if not chunk:
            pytest.skip(f"strace may not attach here: {told.decode(errors='replace').strip()}")


def read_calls(output: Path) -> Iterator[Call]:
    """The calls that succeeded, in the order in which they ended; then those still going on."""
    begun: dict[str, str] = {}
    for line in output.read_text(errors="replace").splitlines():
        matched = _LINE.fullmatch(line)
        if matched is None:
            continue
        thread, text = matched.groups()
        if text.endswith("<unfinished ...>"):
            begun[thread] = text.removesuffix("<unfinished ...>").rstrip()
            continue
        resumed = _RESUMED.fullmatch(text)
        if resumed is not None:
            text = begun.pop(thread, "") + resumed[1]
        yield from _parse(thread, text)
    for thread, text in begun.items():
        yield from _parse(thread, f"{text}) = 0")


def _parse(thread: str, text: str) -> Iterable[Call]:
    found = _CALL.fullmatch(text)
    if found and not found[3].startswith(("-1", "?")):
        yield Call(thread, found[1], found[2].rstrip(), found[3])
