"""The steps of a safe save in one directory: read what is there, write beside it, put in place.

All by directory descriptor; ``files`` puts the steps in order.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sgoped.errors import TooLarge
from sgoped.memory.beneath import open_directory, open_file, open_root

try:
    import fcntl
except ImportError:  # pragma: no cover - where there is no flock, age alone must do
    fcntl = None  # type: ignore[assignment]

_TEMPORARY = re.compile(r"\.sgoped-[0-9a-f]{16}\.tmp")
_WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_HARD_LINKS = frozenset(
    {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
)
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


def same_file(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether nothing happened to a file between two looks at it."""
    return _signature(one) == _signature(other)


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
    name = f".sgoped-{secrets.token_hex(8)}.tmp"
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


def place_new(name: str, from_fd: int, to_name: str, to_fd: int) -> bool:
    """Let a file appear under a name that nothing has; false when the name is taken.

    Where there are hard links the old name stays as well, for the caller to remove.
    """
    try:
        os.link(name, to_name, src_dir_fd=from_fd, dst_dir_fd=to_fd, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        try:
            os.stat(to_name, dir_fd=to_fd, follow_symlinks=False)
        except FileNotFoundError:
            os.rename(name, to_name, src_dir_fd=from_fd, dst_dir_fd=to_fd)
            return True
        return False
    return True


def rename_file(name: str, from_fd: int, to_name: str, to_fd: int) -> None:
    """Move a file to a free name; one that merely changes case may be taken by itself.

    Raises:
        FileExistsError: The name is taken.
        OSError: Whatever the disk says.
    """
    if place_new(name, from_fd, to_name, to_fd):
        with suppress(FileNotFoundError):
            source = os.stat(name, dir_fd=from_fd, follow_symlinks=False)
            target = os.stat(to_name, dir_fd=to_fd, follow_symlinks=False)
            if os.path.samestat(source, target):
                os.unlink(name, dir_fd=from_fd)
        return
    source = os.stat(name, dir_fd=from_fd, follow_symlinks=False)
    target = os.stat(to_name, dir_fd=to_fd, follow_symlinks=False)
    if not os.path.samestat(source, target) or name.casefold() != to_name.casefold():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), to_name)
    os.rename(name, to_name, src_dir_fd=from_fd, dst_dir_fd=to_fd)


def rename_folder(name: str, from_fd: int, to_name: str, to_fd: int) -> None:
    """Move a directory to a free name.

    A directory may replace an empty one, so an empty one of our own reserves the name.

    Raises:
        FileExistsError: The name is taken.
        OSError: Whatever the disk says.
    """
    os.mkdir(to_name, dir_fd=to_fd)
    try:
        os.rename(name, to_name, src_dir_fd=from_fd, dst_dir_fd=to_fd)
    except OSError:
        os.rmdir(to_name, dir_fd=to_fd)
        raise


def make_directories(root: Path, parts: Sequence[str]) -> None:
    """Create the directories that are missing, each on disk before the next.

    Raises:
        OSError: A part is a link or a file, or cannot be created.
    """
    fd = open_root(root)
    try:
        for part in parts:
            try:
                os.mkdir(part, dir_fd=fd)
            except FileExistsError:
                pass
            else:
                sync_directory(fd)
            below = open_directory(part, fd)
            os.close(fd)
            fd = below
    finally:
        os.close(fd)


def sync_directory(fd: int) -> None:
    """Flush a directory to disk, where the file system can."""
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


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
