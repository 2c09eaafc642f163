"""Walks the memory folder: regular files and directories, directory by directory, top down.

The walk goes by directory descriptors and never follows a link, never opens anything but
directories and ignore files, and never leaves the root, even while the tree changes under it.
Going back up works as in fts(3): beyond ``_MAX_OPEN`` levels the descriptors above are closed
and reopened through ``..``, checked to be the directory it was, so that any depth needs few
descriptors. Names are bytes on disk: undecodable ones arrive with surrogate escapes.

How a caller sees that an ignore file changed: the watcher reports the directory that holds it,
and scanning that directory's subtree yields what is now kept. What a scan does not yield, and
did not report through ``on_error``, is gone or ignored.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from sgoped.memory.beneath import directory_below, open_directory, open_root
from sgoped.memory.hidden import is_hidden, is_left_out
from sgoped.memory.ignore import IgnoreReader, IgnoreRules
from sgoped.memory.saving import is_temporary
from sgoped.memory.times import NEWEST_NS, OLDEST_NS, storable

_MAX_OPEN = 64
_KINDS: dict[int, Literal["file", "folder"]] = {stat.S_IFREG: "file", stat.S_IFDIR: "folder"}
_TYPE_MASK = 0o170000
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})

OnError = Callable[[str, OSError], None]


class Entry(NamedTuple):
    """One file or directory, as ``lstat`` told it. A tuple, because a walk makes so many.

    ``(mtime_ns, size, inode, ctime_ns)`` differing means that it changed; none of them alone
    does, and no clock can be trusted to run forward.
    """

    name: str
    mode_kind: Literal["file", "folder"]
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def scan_tree(
    root: Path,
    start: str = "",
    *,
    ignore: IgnoreReader | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    on_error: OnError | None = None,
    on_hidden: Callable[[str, str], None] | None = None,
) -> Iterator[tuple[str, list[Entry]]]:
    """Yield ``(directory, its entries)`` for ``start`` and everything below it.

    Links, FIFOs, sockets, devices, ignored names and (some files excepted, see ``hidden``) hidden
    ones are left out; so is all of ``start`` when it, or one above, is, or is no directory.

    Args:
        root: The memory folder.
        start: A directory relative to it; ``""`` is the root.
        ignore: Shared between scans to read ignore files once.
        should_stop: Asked before each directory; true ends the walk early.
        on_error: Told each directory that could not be read, and why. It is not yielded: what
            was known below it must not be taken for gone. Directories that vanish during the
            walk are not errors.
        on_hidden: Told ``(directory, name)`` of each hidden entry passed by.

    Raises:
        OSError: The root itself cannot be opened.
    """
    reader = ignore or IgnoreReader()
    walk = _Walk(root, reader, on_error or (lambda _path, _error: None), on_hidden)
    try:
        frame = walk.enter(start)
        if frame is not None:
            yield from walk.run(frame, should_stop)
    finally:
        walk.close()


def scan_directory(
    root: Path, relative: str, *, ignore: IgnoreReader | None = None
) -> list[Entry] | None:
    """Entries of one directory; None when it does not exist, or is hidden or ignored.

    Raises:
        OSError: The root is missing, or the directory cannot be read.
    """
    errors: list[OSError] = []
    found = scan_tree(root, relative, ignore=ignore, on_error=lambda _, error: errors.append(error))
    listed = next(found, None)
    found.close()  # type: ignore[attr-defined]  # a generator, typed as what callers need
    if errors:
        raise errors[0]
    return None if listed is None else listed[1]


def find_entry(root: Path, relative: str, *, ignore: IgnoreReader | None = None) -> Entry | None:
    """The file or directory at ``relative``, or None where a scan would not list one.

    Raises:
        OSError: The root is missing, or a directory on the way cannot be read.
    """
    directory, _, name = relative.rpartition("/")
    errors: list[OSError] = []
    with _directory(root, directory, ignore or IgnoreReader(), errors) as frame:
        if errors:
            raise errors[0]
        if frame is None or not name or is_left_out(name):
            return None
        try:
            status = os.stat(name, dir_fd=frame.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        entry = _entry(name, status)
        if entry is None or is_left_out(name, is_folder=entry.mode_kind == "folder"):
            return None
        return None if frame.ignores(entry) else entry


def find_temporary_files(root: Path) -> list[tuple[str, str]]:
    """``(directory, name)`` of every unfinished save below ``root``, ignored folders included.

    Raises:
        OSError: The root is missing.
    """
    found: list[tuple[str, str]] = []

    def note(directory: str, name: str) -> None:
        if is_temporary(name):
            found.append((directory, name))

    for _ in scan_tree(root, ignore=_KeepAll(), on_hidden=note):
        pass
    return found


def is_ignored(
    root: Path, relative: str, *, is_folder: bool = False, ignore: IgnoreReader | None = None
) -> bool:
    """Whether a scan leaves ``relative`` out by its name; it need not exist (yet).

    Raises:
        OSError: The root is missing, or a directory on the way cannot be read.
    """
    *parents, name = relative.split("/")
    if any(map(is_hidden, parents)) or is_left_out(name, is_folder=is_folder):
        return True
    reader = ignore or IgnoreReader()
    rules, fd, above = IgnoreRules(), open_root(root), ""
    try:
        for index, part in enumerate((*parents, name)):
            rules = reader.rules_for(rules, above, fd) if fd >= 0 else rules
            if rules.ignores(above, part, is_folder=is_folder or index < len(parents)):
                return True
            fd, above = _step_down(fd, part), f"{above}/{part}" if above else part
    finally:
        if fd >= 0:
            os.close(fd)
    return False


class _KeepAll(IgnoreReader):
    def rules_for(
        self,
        parent: IgnoreRules,
        relative: str,
        dir_fd: int,
        names: Container[str] = (),
    ) -> IgnoreRules:
        return parent


def _step_down(fd: int, name: str) -> int:
    """Exchange a directory's descriptor for that of ``name`` in it; -1 when there is none."""
    if fd < 0:
        return fd
    try:
        return open_directory(name, fd)
    except OSError as error:
        if error.errno in _GONE:
            return -1
        raise
    finally:
        os.close(fd)


@contextmanager
def _directory(
    root: Path, relative: str, reader: IgnoreReader, errors: list[OSError]
) -> Iterator[_Frame | None]:
    walk = _Walk(root, reader, lambda _path, error: errors.append(error), None)
    try:
        frame = walk.enter(relative)
        if frame is not None:
            frame.rules = reader.rules_for(frame.rules, relative, frame.fd)
        yield frame
    finally:
        walk.close()


@dataclass(slots=True)
class _Frame:
    """One directory on the way from the start to where the walk is."""

    relative: str
    fd: int
    rules: IgnoreRules
    unlisted: bool = True
    folders: list[str] | None = None
    identity: tuple[int, int] = (0, 0)

    def path_of(self, name: str) -> str:
        return f"{self.relative}/{name}" if self.relative else name

    def ignores(self, entry: Entry) -> bool:
        return self.rules.ignores(self.relative, entry.name, is_folder=entry.mode_kind == "folder")


class _Walk:
    def __init__(
        self,
        root: Path,
        reader: IgnoreReader,
        on_error: OnError,
        on_hidden: Callable[[str, str], None] | None,
    ) -> None:
        self._root = root
        self._reader = reader
        self._on_error = on_error
        self._on_hidden = on_hidden
        self._stack: list[_Frame] = []

    def enter(self, start: str) -> _Frame | None:
        """Go down to ``start``; None when it is hidden, ignored, or not there."""
        frame = _Frame("", open_root(self._root), IgnoreRules())
        self._stack.append(frame)
        for name in start.split("/") if start else ():
            if not name or is_hidden(name):
                return None
            frame.rules = self._reader.rules_for(frame.rules, frame.relative, frame.fd)
            if frame.rules.ignores(frame.relative, name, is_folder=True):
                return None
            self._stack.clear()
            below = self._step_down(frame, name)
            if below < 0:
                return None
            frame = _Frame(frame.path_of(name), below, frame.rules)
            self._stack.append(frame)
        return frame

    def _step_down(self, frame: _Frame, name: str) -> int:
        try:
            return _step_down(frame.fd, name)
        except OSError as error:
            self._on_error(frame.path_of(name), error)
            return -1

    def run(
        self, start: _Frame, should_stop: Callable[[], bool]
    ) -> Iterator[tuple[str, list[Entry]]]:
        stack = self._stack
        while stack and not should_stop():
            frame = stack[-1]
            if frame.unlisted:
                entries = self._list(frame)
                if entries is not None:
                    yield frame.relative, entries
            elif frame.folders:
                self._descend(frame, frame.folders.pop())
            else:
                self._ascend()

    def close(self) -> None:
        for frame in self._stack:
            if frame.fd >= 0:
                os.close(frame.fd)
        self._stack.clear()

    def _list(self, frame: _Frame) -> list[Entry] | None:
        frame.unlisted = False
        try:
            with os.scandir(frame.fd) as found:
                entries, folders, hidden = _read_entries(found)
        except OSError as error:
            self._on_error(frame.relative, error)
            return None
        if hidden:
            frame.rules = self._reader.rules_for(frame.rules, frame.relative, frame.fd, hidden)
            if self._on_hidden is not None:
                for name in hidden:
                    self._on_hidden(frame.relative, name)
        if frame.rules:
            entries = [entry for entry in entries if not frame.ignores(entry)]
            folders = [entry.name for entry in entries if entry.mode_kind == "folder"]
        frame.folders = folders
        return entries

    def _descend(self, frame: _Frame, name: str) -> None:
        path = frame.path_of(name)
        try:
            fd = open_directory(name, frame.fd)
        except OSError as error:
            if error.errno not in _GONE:
                self._on_error(path, error)
            return
        self._stack.append(_Frame(path, fd, frame.rules))
        if len(self._stack) > _MAX_OPEN:
            above = self._stack[-1 - _MAX_OPEN]
            if above.fd >= 0:
                above.identity = _identity(above.fd)
                os.close(above.fd)
                above.fd = -1

    def _ascend(self) -> None:
        left = self._stack.pop()
        try:
            if self._stack and self._stack[-1].fd < 0:
                self._reopen(self._stack[-1], left.fd)
        finally:
            if left.fd >= 0:
                os.close(left.fd)

    def _reopen(self, frame: _Frame, child_fd: int) -> None:
        with suppress(OSError):
            fd = open_directory("..", child_fd)
            if _identity(fd) == frame.identity:
                frame.fd = fd
                return
            os.close(fd)
        try:
            with directory_below(self._root, frame.relative.split("/")) as fd:
                frame.fd = os.dup(fd)
        except OSError as error:
            frame.folders = None
            if error.errno not in _GONE:
                self._on_error(frame.relative, error)


def _read_entries(
    found: Iterator[os.DirEntry[str]],
) -> tuple[list[Entry], list[str], list[str]]:
    """List one directory: the entries of use, the folders among them, and the hidden names.

    This loop is the walk's cost; it is written for speed. An ``OSError`` other than that an
    entry vanished (no search permission, a broken disk) spoils the whole listing.
    """
    entries: list[Entry] = []
    folders: list[str] = []
    hidden: list[str] = []
    add, new, type_mask = entries.append, tuple.__new__, _TYPE_MASK
    regular, directory = stat.S_IFREG, stat.S_IFDIR
    oldest, newest = OLDEST_NS, NEWEST_NS
    for item in found:
        name = item.name
        if name[0] == ".":
            hidden.append(name)
            if is_left_out(name) or not item.is_file(follow_symlinks=False):
                continue
        try:
            status = item.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        file_type = status.st_mode & type_mask
        if file_type == regular:
            kind = "file"
        elif file_type == directory:
            kind = "folder"
            folders.append(name)
        else:
            continue
        size, mtime_ns, ctime_ns = status.st_size, status.st_mtime_ns, status.st_ctime_ns
        if not (oldest <= mtime_ns <= newest and oldest <= ctime_ns <= newest):
            mtime_ns, ctime_ns = storable(mtime_ns), storable(ctime_ns)
        add(new(Entry, (name, kind, size, mtime_ns, ctime_ns, status.st_ino)))
    return entries, folders, hidden


def _entry(name: str, status: os.stat_result) -> Entry | None:
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return None
    mtime_ns, ctime_ns = storable(status.st_mtime_ns), storable(status.st_ctime_ns)
    return Entry(name, kind, status.st_size, mtime_ns, ctime_ns, status.st_ino)


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
