"""Opens what lies beneath a directory: by descriptors, one name at a time, following no link.

``O_NOFOLLOW`` guards only the last component of a path, so every component is opened from the
descriptor of the one before it. Swapping a directory for a link while we walk then leads to an
error, never out of the folder.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sgoped.errors import StorageError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_root(root: Path) -> int:
    """Open the folder itself; a link to it is followed, because a person chose it.

    Raises:
        OSError: It is missing, not a directory, or not readable.
    """
    return os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def open_directory(name: str, dir_fd: int) -> int:
    """Open the directory ``name`` in ``dir_fd``.

    Raises:
        OSError: It is missing, a link or no directory (``ELOOP``, ``ENOTDIR``), or unreadable.
    """
    return os.open(name, _DIRECTORY_FLAGS, dir_fd=dir_fd)


def open_file(name: str, dir_fd: int) -> tuple[int, os.stat_result]:
    """Open the regular file ``name`` in ``dir_fd`` for reading, without ever blocking.

    What it is, is asked before it is opened, because opening alone can act on a FIFO or a
    device; ``O_NONBLOCK`` and a second look cover a swap in between.

    Raises:
        OSError: ``ELOOP`` for a link, ``EISDIR`` for a directory, ``EINVAL`` for anything
            else that is not a regular file, and whatever opening it raises.
    """
    _require_regular(os.stat(name, dir_fd=dir_fd, follow_symlinks=False), name)
    fd = os.open(name, _FILE_FLAGS, dir_fd=dir_fd)
    try:
        status = os.fstat(fd)
        _require_regular(status, name)
    except BaseException:
        os.close(fd)
        raise
    return fd, status


@contextmanager
def directory_below(root: Path, parts: Sequence[str]) -> Iterator[int]:
    """Descriptor of the directory reached from ``root`` through ``parts``.

    Raises:
        OSError: A part is missing, a link, no directory, or unreadable.
    """
    fd = open_root(root)
    try:
        for part in parts:
            below = open_directory(part, fd)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def _require_regular(status: os.stat_result, name: str) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    raise OSError(errno.EINVAL, "not a regular file", name)


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Tell a failing disk in our own terms.

    Args:
        what: Names what could not be stored or read, for the message.

    Raises:
        StorageError: ``storage_full``, ``read_only`` or ``storage_failed``.
    """
    try:
        yield
    except OSError as error:
        raise storage_error(what, error) from error


def storage_error(what: str, error: OSError) -> StorageError:
    """The same as a value."""
    if error.errno in _FULL:
        return StorageError(
            f"The disk is full: {what} was not stored. Free some space and try again.",
            code="storage_full",
        )
    if error.errno in _REFUSED:
        return StorageError(f"No permission for {what}: {error.strerror}.", code="read_only")
    return StorageError(f"The disk failed at {what}: {error.strerror or error}.")
