"""The unix socket: a door for editors and the command line that only the person can open."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MAX_PATH_BYTES = 107 if os.uname().sysname == "Linux" else 103  # sun_path, less its zero
_ALL_BUT_OWNERS = 0o177
_BACKLOG = 128
_log = logging.getLogger(__name__)


@contextmanager
def listen_unix(path: Path) -> Iterator[socket.socket | None]:
    """Binds and listens at ``path``, mode 0600 from its first moment; removes it in the end.

    What a killed daemon left is replaced. Where there can be no socket the daemon serves without
    one: it is said in the log, and None is given. Changes the process's umask for a moment, so
    no other thread may create files meanwhile.
    """
    try:
        bound = _bind(path)
    except OSError as error:
        _log.warning("no unix socket at %s: %s", path, error.strerror or error)
        yield None
        return
    ours = _identity(path)
    try:
        yield bound
    finally:
        bound.close()
        with contextlib.suppress(OSError):
            if _identity(path) == ours:  # another daemon's, if the file was replaced
                path.unlink()


def _bind(path: Path) -> socket.socket:
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        raise OSError(errno.ENAMETOOLONG, f"the path is longer than {_MAX_PATH_BYTES} bytes")
    _remove_stale(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.setblocking(False)
        before = os.umask(_ALL_BUT_OWNERS)
        try:
            bound.bind(os.fsencode(path))
        finally:
            os.umask(before)
        bound.listen(_BACKLOG)
        _check_private(path)
    except BaseException:
        bound.close()
        raise
    return bound


def _check_private(path: Path) -> None:
    if stat.S_IMODE(path.lstat().st_mode) & _ALL_BUT_OWNERS:
        path.unlink()
        raise PermissionError(errno.EPERM, "the file system cannot keep it private")


def _remove_stale(path: Path) -> None:
    """Removes a socket at which nobody listens, and nothing else."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.getuid():
        raise FileExistsError(errno.EEXIST, "something else of this name is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fsencode(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:  # its queue is full
            pass
    raise OSError(errno.EADDRINUSE, "another process listens there")


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino
