"""Small disks of a test's own, that can be full or read-only."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_PAGE_BYTES = 4096


def _run(*command: str) -> str:
    """Runs it; what it complains about, or an empty string."""
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if finished.returncode == 0 else finished.stderr.strip() or command[0]


@contextlib.contextmanager
def small_disk(path: Path, megabytes: int = 4) -> Iterator[Path]:
    """Mounts an empty disk at ``path``; skips the test where that is not allowed."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    size = f"size={megabytes}m,mode=700"
    refused = _run("mount", "-t", "tmpfs", "-o", size, "sgoped-test", str(path))
    if refused:
        pytest.skip(f"no disk can be mounted here: {refused}")
    try:
        yield path
    finally:
        _run("umount", "--lazy", str(path))


@contextlib.contextmanager
def full(disk: Path) -> Iterator[None]:
    """Takes every byte that is left, until the end of the block."""
    filler = disk / ".filler"
    with filler.open("wb", buffering=0) as file:
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            while True:
                file.write(bytes(_PAGE_BYTES))
        try:
            yield
        finally:
            filler.unlink()


@contextlib.contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """As a disk is remounted after an error."""
    assert not _run("mount", "-o", "remount,ro", str(disk))
    try:
        yield
    finally:
        assert not _run("mount", "-o", "remount,rw", str(disk))


def unprivileged() -> tuple[str, ...]:
    """What to put before a command, so that permissions count for it even if we are root.

    It stays the same user, so that it can read the program, but loses what lets root override
    permissions.
    """
    if os.geteuid():
        return ()
    lost = "-dac_override,-dac_read_search,-fowner"
    return ("setpriv", f"--bounding-set={lost}", f"--inh-caps={lost}")
