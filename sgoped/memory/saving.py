"""The steps of a safe save before the last: read what is there, write beside it, flush.

All by directory descriptor; ``placing`` has the last step, and ``files`` the order.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sgoped.errors import TooLarge
from sgoped.memory.beneath import directory_below, open_directory, open_file, open_root

try:
    import fcntl
except ImportError:  # pragma: no cover - where there is no flock, age alone must do
    fcntl = None  # type: ignore[assignment]

_TEMPORARY = re.compile(r"\.sgoped-[0-9a-f]{16}\.tmp")
_WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Content:
    """A file's bytes, and the status and extended attributes that belong to them."""

    data: bytes
    status: os.stat_result
    attributes: tuple[tuple[str, bytes], ...]


def is_temporary(name: str) -> bool:
    """Whether this is the name of one of our unfinished saves."""
    return _TEMPORARY.fullmatch(name) is not None


def temporary_name() -> str:
    """A name that nothing has, and that is swept after a crash."""
    return f".sgoped-{secrets.token_hex(8)}.tmp"


def same_file(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether nothing happened to a file between two looks at it."""
    return _signature(one) == _signature(other)


def same_content(one: os.stat_result, other: os.stat_result) -> bool:
    """The same, but the file may have got another name in between."""
    return _signature(one)[:-1] == _signature(other)[:-1]


def read_content(name: str, dir_fd: int, max_bytes: int) -> Content:
    """Read a regular file whole, again if it changes meanwhile.

    Raises:
        OSError: As ``open_file``.
        TooLarge: It holds more than ``max_bytes``.
    """
    fd, status = open_file(name, dir_fd)
    with os.fdopen(fd, "rb") as file:
        data = b""
        for _ in range(_READ_ATTEMPTS):
            if status.st_size <= max_bytes:
                file.seek(0)
                data = file.read(max_bytes + 1)
            if max(status.st_size, len(data)) > max_bytes:
                raise TooLarge(f"{name!r} is larger than the limit of {max_bytes} bytes")
            before, status = status, os.fstat(fd)
            if same_file(before, status):
                break
        return Content(data, status, _attributes(fd))


@contextmanager
def temporary_file(
    dir_fd: int, data: bytes, like: Content | None, mode: int | None = None
) -> Iterator[str]:
    """Name of a new file with ``data``, on disk; removed on exit unless it was renamed.

    Args:
        dir_fd: The directory it is to be put in place in.
        data: Its content.
        like: The file it will replace, whose owner, mode and attributes it gets.
        mode: Permission bits when it replaces none; None: 0666 less the umask.
    """
    name = temporary_name()
    fd = os.open(name, _WRITE_FLAGS, 0o666 if like is None else 0o600, dir_fd=dir_fd)
    try:
        try:
            _lock(fd)
            _write_all(fd, data)
            if like is not None:
                _imitate(fd, like)
            elif mode is not None:
                os.fchmod(fd, mode & 0o777)
            os.fsync(fd)
            yield name
        finally:
            os.close(fd)
    finally:
        with suppress(OSError):
            os.unlink(name, dir_fd=dir_fd)


def make_directories(root: Path, parts: Sequence[str]) -> list[Sequence[str]]:
    """Create the directories that are missing, each on disk before the next; return them.

    Raises:
        OSError: A part is a link or a file, or cannot be created; none is left behind.
    """
    created: list[Sequence[str]] = []
    fd = open_root(root)
    try:
        for depth, part in enumerate(parts, 1):
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=fd)
                created.append(parts[:depth])
                sync_directory(fd)
            below = open_directory(part, fd)
            os.close(fd)
            fd = below
    except OSError:
        remove_directories(root, created)
        raise
    finally:
        os.close(fd)
    return created


def remove_directories(root: Path, created: Sequence[Sequence[str]]) -> None:
    """Undo ``make_directories``, as far as they are still empty."""
    with suppress(OSError):
        for *parents, name in reversed(created):
            with directory_below(root, parents) as fd:
                os.rmdir(name, dir_fd=fd)


def sync_directory(fd: int, undo: Callable[[], object] | None = None) -> None:
    """Flush a directory to disk, where the file system can.

    Args:
        fd: The directory.
        undo: Called when the disk says no, so that an error means that nothing was changed.

    Raises:
        OSError: The disk says no.
    """
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOTSUP):
            return
        if undo is not None:
            with suppress(OSError):
                undo()
                os.fsync(fd)
        raise


def sync_file(name: str, dir_fd: int) -> None:
    """Flush a file and its name to disk, whoever wrote it.

    Raises:
        OSError: As ``open_file``, or the disk says no.
    """
    fd, _ = open_file(name, dir_fd)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    sync_directory(dir_fd)


def remove_if_stale(name: str, dir_fd: int, before: float) -> bool:
    """Remove an unfinished save last written before the Unix time ``before``.

    Raises:
        OSError: It is not a regular file any more, or cannot be removed.
    """
    if not is_temporary(name):
        return False
    fd, status = open_file(name, dir_fd)
    try:
        if status.st_mtime >= before or not _lock(fd):
            return False
        os.unlink(name, dir_fd=dir_fd)
    finally:
        os.close(fd)
    return True


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _lock(fd: int) -> bool:
    """Mark a temporary file as being written; false when another process has."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _write_all(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def _imitate(fd: int, like: Content) -> None:
    """Give the new file what belonged to the old one, as far as we may."""
    mode, own = stat.S_IMODE(like.status.st_mode), os.fstat(fd)
    if (own.st_uid, own.st_gid) != (like.status.st_uid, like.status.st_gid):
        try:
            os.fchown(fd, like.status.st_uid, like.status.st_gid)
        except OSError:
            # Under another owner and group the old bits could open the file to strangers.
            mode &= 0o707 | (mode & 0o007) << 3
    for name, value in like.attributes:
        with suppress(OSError):
            os.setxattr(fd, name, value)
    os.fchmod(fd, mode)


def _attributes(fd: int) -> tuple[tuple[str, bytes], ...]:
    found: list[tuple[str, bytes]] = []
    if hasattr(os, "listxattr"):
        with suppress(OSError):
            for name in os.listxattr(fd):
                with suppress(OSError):
                    found.append((name, os.getxattr(fd, name)))
    return tuple(found)
