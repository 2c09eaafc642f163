"""One instance per data directory: an advisory lock that the kernel gives back by itself."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sgoped.errors import StartupError

_ANOTHER_INSTANCE = 75
_MAX_BYTES = 4096


class InstanceLock:
    """The held lock; its file tells a second instance who holds it."""

    def __init__(self, fd: int, data_dir: Path) -> None:
        self._fd = fd
        self._data_dir = data_dir

    def describe(self, url: str = "", memory_dir: Path | None = None) -> None:
        """Writes this process's id and, once known, where it listens and which folder it watches.

        A folder in the data directory is written relative to it, so that both can be moved.
        """
        folder = memory_dir
        if folder is not None and folder.is_relative_to(self._data_dir):
            folder = folder.relative_to(self._data_dir)
        content = {"pid": os.getpid(), "url": url, "memory_dir": str(folder or "")}
        told = json.dumps(content).encode()
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, told, 0)


@contextmanager
def hold_lock(path: Path) -> Iterator[InstanceLock]:
    """Holds the lock; the file stays behind, because removing it would let two hold it.

    Raises:
        StartupError: Another process holds it (exit code 75), or the disk cannot lock (1).
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StartupError(f"cannot open {path}: {error.strerror}") from error
    try:
        _acquire(fd, path)
        lock = InstanceLock(fd, path.parent)
        lock.describe()
        yield lock
    finally:
        os.close(fd)


def _acquire(fd: int, path: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StartupError(
            f"another sgoped{_holder(fd)} uses {path.parent}; stop it first, or give this one "
            "a home of its own with --home",
            code="already_running",
            exit_code=_ANOTHER_INSTANCE,
        ) from None
    except OSError as error:
        raise StartupError(f"cannot lock {path}: {error.strerror}") from error


def _holder(fd: int) -> str:
    try:
        told = json.loads(os.pread(fd, _MAX_BYTES, 0))
        where = f", {told['url']}" if told["url"] else ""
        return f" (pid {int(told['pid'])}{where})"
    except (ValueError, KeyError, TypeError):  # it has not said yet
        return ""
