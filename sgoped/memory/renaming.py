"""The renames that Python's library cannot ask for: two names swapped, or none overwritten.

Linux does both in one step (``renameat2``). Where the system or the file system does not know
them, the functions say so, and the caller takes the longer way round.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from collections.abc import Callable

_NO_REPLACE, _EXCHANGE = 1, 2
# EPERM: what a sandbox says to calls that it does not know.
_UNKNOWN = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM})


def swap(name: str, other: str, dir_fd: int) -> bool:
    """Let two names in one directory change places; false where that cannot be done.

    Raises:
        FileNotFoundError: One of them is missing.
        OSError: Whatever else the disk says.
    """
    return _renameat2(name, dir_fd, other, dir_fd, _EXCHANGE)


def rename_if_free(name: str, from_fd: int, to_name: str, to_fd: int) -> bool:
    """Rename a file or folder, never onto another one; false where that cannot be done.

    Raises:
        FileExistsError: The name is taken.
        OSError: Whatever else the disk says.
    """
    return _renameat2(name, from_fd, to_name, to_fd, _NO_REPLACE)


def _renameat2(name: str, from_fd: int, to_name: str, to_fd: int, flags: int) -> bool:
    call = _system_call()
    if call is None:
        return False
    if call(from_fd, os.fsencode(name), to_fd, os.fsencode(to_name), flags) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNKNOWN:
        return False
    raise OSError(number, os.strerror(number), name, None, to_name)


@functools.cache
def _system_call() -> Callable[..., int] | None:
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is not None:
        call.argtypes = (
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_uint,
        )
        call.restype = ctypes.c_int
    return call
