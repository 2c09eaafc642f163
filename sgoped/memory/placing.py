"""The last step of a save, a deletion or a rename: names change, and can be changed back.

Nothing is put in the place of what was not expected there. All by directory descriptor.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sgoped.memory.renaming import rename_if_free, swap
from sgoped.memory.saving import Content, same_content, sync_directory, temporary_name

_NO_HARD_LINKS = frozenset(
    {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
)


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
        return _rename_to_free(name, from_fd, to_name, to_fd)
    return True


def _rename_to_free(name: str, from_fd: int, to_name: str, to_fd: int) -> bool:
    try:
        if rename_if_free(name, from_fd, to_name, to_fd):
            return True
    except FileExistsError:
        return False
    try:
        os.stat(to_name, dir_fd=to_fd, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(name, to_name, src_dir_fd=from_fd, dst_dir_fd=to_fd)
        return True
    return False


def take_back_new(dir_fd: int, name: str, ours: os.stat_result) -> None:
    """Undo ``place_new``, unless something else has the name by now, or was written there.

    Raises:
        OSError: The disk says no.
    """
    if same_content(os.stat(name, dir_fd=dir_fd, follow_symlinks=False), ours):
        os.unlink(name, dir_fd=dir_fd)


def replace_file(temporary: str, name: str, dir_fd: int, old: Content) -> bool:
    """Put a new file in the place of ``old``; false, with nothing changed, if that has changed.

    The two change places, so that what was replaced can be looked at, and brought back: an edit
    of the last microsecond is seen. Where names cannot be swapped it is a plain rename.
    """
    ours = os.stat(temporary, dir_fd=dir_fd, follow_symlinks=False)
    try:
        swapped = swap(temporary, name, dir_fd)
    except FileNotFoundError:
        return False
    if not swapped:
        os.rename(temporary, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    elif not same_content(os.stat(temporary, dir_fd=dir_fd, follow_symlinks=False), old.status):
        take_back(temporary, name, dir_fd, ours)
        return False
    return True


def take_back(temporary: str, name: str, dir_fd: int, ours: os.stat_result) -> None:
    """Undo ``replace_file``; what somebody saved over or into ours meanwhile stays in place.

    Args:
        temporary: Has what was replaced.
        name: Has our file, whose status is ``ours``.
        dir_fd: Their directory.
        ours: What may be thrown away.

    Raises:
        OSError: It was not swapped but renamed, or the disk says no.
    """
    swap(temporary, name, dir_fd)
    if not same_content(os.stat(temporary, dir_fd=dir_fd, follow_symlinks=False), ours):
        swap(temporary, name, dir_fd)


@contextmanager
def set_aside(name: str, dir_fd: int, old: Content) -> Iterator[str | None]:
    """Take ``old`` out of sight; the name it has until the end of the block, when it goes.

    None, with nothing changed, if that is not what is there any more. A failure of the block
    brings the file back, unless something else has its name by then.
    """
    aside = temporary_name()
    os.rename(name, aside, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    try:
        if same_content(os.stat(aside, dir_fd=dir_fd, follow_symlinks=False), old.status):
            yield aside
        else:
            _bring_back(aside, dir_fd, name)
            yield None
    except BaseException:
        with suppress(FileNotFoundError):
            _bring_back(aside, dir_fd, name)
        raise
    with suppress(OSError):
        os.unlink(aside, dir_fd=dir_fd)


def _bring_back(aside: str, dir_fd: int, name: str) -> None:
    with suppress(FileExistsError):
        if rename_if_free(aside, dir_fd, name, dir_fd) or not place_new(
            aside, dir_fd, name, dir_fd
        ):
            return
        with suppress(FileNotFoundError):
            os.unlink(aside, dir_fd=dir_fd)


def rename_file(name: str, from_fd: int, to_name: str, to_fd: int) -> None:
    """Move a file to a free name; one that merely changes case may be taken by itself.

    Raises:
        FileExistsError: The name is taken.
        OSError: Whatever the disk says.
    """
    try:
        if rename_if_free(name, from_fd, to_name, to_fd) or _link_and_unlink(
            name, from_fd, to_name, to_fd
        ):
            return
    except FileExistsError:
        pass
    source = os.stat(name, dir_fd=from_fd, follow_symlinks=False)
    target = os.stat(to_name, dir_fd=to_fd, follow_symlinks=False)
    if not os.path.samestat(source, target) or name.casefold() != to_name.casefold():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), to_name)
    os.rename(name, to_name, src_dir_fd=from_fd, dst_dir_fd=to_fd)


def _link_and_unlink(name: str, from_fd: int, to_name: str, to_fd: int) -> bool:
    if not place_new(name, from_fd, to_name, to_fd):
        return False
    # The new name is on disk before the old one goes: a power cut leaves one of them, or both.
    sync_directory(to_fd)
    with suppress(FileNotFoundError):
        source = os.stat(name, dir_fd=from_fd, follow_symlinks=False)
        target = os.stat(to_name, dir_fd=to_fd, follow_symlinks=False)
        if os.path.samestat(source, target):
            os.unlink(name, dir_fd=from_fd)
    return True


def rename_folder(name: str, from_fd: int, to_name: str, to_fd: int) -> None:
    """Move a directory to a free name.

    A plain rename may replace an empty directory, so an empty one of our own reserves the name.

    Raises:
        FileExistsError: The name is taken.
        OSError: Whatever the disk says.
    """
    if rename_if_free(name, from_fd, to_name, to_fd):
        return
    os.mkdir(to_name, dir_fd=to_fd)
    try:
        os.rename(name, to_name, src_dir_fd=from_fd, dst_dir_fd=to_fd)
    except OSError:
        with suppress(OSError):
            os.rmdir(to_name, dir_fd=to_fd)
        raise
