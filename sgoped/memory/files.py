"""Reads, writes, renames and deletes the person's files, so that nothing is lost or exposed.

Every path is walked by directory descriptors with ``O_NOFOLLOW``, so no link is followed, also
when one is swapped in meanwhile; only regular files are opened.

A save writes a temporary file in the same directory, fsyncs it, keeps a version of what it
replaces (durably), looks once more whether that is still what is there, lets the two change
places, looks at what it got, and fsyncs the directory: a reader sees the old content or the new,
a crash leaves one of them, and an edit that somebody else made at the last moment is put back
and met by the next attempt. What the disk refuses half-way is undone: an error means that
nothing was changed. What appears under a new name is hard-linked or renamed there in a way that
fails if the name is taken; only on file systems that know neither is it a check followed by a
rename. On a case-insensitive file system a name that differs in case is taken by the same file,
and ``rename`` lets a file change its own case.

Kept from a replaced file: permission bits, and owner, group and extended attributes (ACLs
among them) as far as we are allowed to set them. Not kept: hard links, whose other names keep
the old content, and the birth time.

An ETag is a hash of the content (BLAKE2b, 128 bits, hex): equal content, equal tag, everywhere.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sgoped.errors import Conflict, PathRefused, SgopedError, StorageError, TooLarge
from sgoped.memory.beneath import directory_below, open_file, storage_error
from sgoped.memory.checks import alternatives, etag_of, file_errors, path_parts, require_match
from sgoped.memory.document import shown
from sgoped.memory.keeping import Keeper
from sgoped.memory.placing import (
    place_new,
    rename_file,
    rename_folder,
    replace_file,
    set_aside,
    take_back,
    take_back_new,
)
from sgoped.memory.saving import (
    Content,
    make_directories,
    read_content,
    remove_directories,
    remove_if_stale,
    same_file,
    sync_directory,
    sync_file,
    temporary_file,
)
from sgoped.memory.scanner import find_temporary_files
from sgoped.memory.versions import Versions

_LOG = logging.getLogger(__name__)

_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Saved:
    """A finished write.

    Attributes:
        path: Where it is, relative to the memory folder.
        size: Bytes.
        etag: Of the content; empty for a folder, or a file over the read limit.
        created: Whether the file is new.
        version: Of what was replaced, None when nothing was.
        mtime_ns: Of the file.
    """

    path: str
    size: int
    etag: str
    created: bool
    version: str | None
    mtime_ns: int = 0


class Files:
    """The files below ``root``.

    Safe to use from several threads: changes are made one at a time, reads are free. Paths are
    relative and ``/``-separated; hidden components are refused, but see ``hidden`` for reading.

    Args:
        root: The memory folder.
        versions: Where replaced content goes.
        max_bytes: Largest file that is read or written.
        check_present: Raises ``OSError`` when ``root`` is just the empty directory that its drive
            is mounted on: what is written there would be out of sight once it is back.
    """

    def __init__(
        self,
        root: Path,
        versions: Versions,
        max_bytes: int,
        check_present: Callable[[], object] = lambda: None,
    ) -> None:
        self._root = root
        self._check_present = check_present
        self._versions = versions
        self._keeper = Keeper(versions, max_bytes)
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._started_at = time.time()

    def read(self, path: str) -> tuple[bytes, os.stat_result]:
        """The whole content, and the status that belongs to it.

        Raises:
            NotFound: There is no such file.
            PathRefused: It is hidden, a link, a folder, or no regular file.
            TooLarge: It exceeds ``max_bytes``.
            StorageError: It cannot be read.
        """
        *parents, name = path_parts(path, for_reading=True)
        with file_errors(path), directory_below(self._root, parents) as dir_fd:
            content = read_content(name, dir_fd, self._max_bytes)
        return content.data, content.status

    def read_head(self, path: str, max_bytes: int) -> tuple[bytes, os.stat_result]:
        """The first ``max_bytes`` of a file of any size; otherwise like ``read``."""
        *parents, name = path_parts(path, for_reading=True)
        with file_errors(path), directory_below(self._root, parents) as dir_fd:
            fd, status = open_file(name, dir_fd)
            with os.fdopen(fd, "rb") as file:
                return file.read(max_bytes), status

    def write(
        self, path: str, data: bytes, *, if_match: str | None = None, mode: int | None = None
    ) -> Saved:
        """Replace or create a file, and the folders above it; durable on return.

        Content equal to what is there changes nothing, not even the modification time; it is
        flushed, because whoever wrote it may not have done so.

        Args:
            path: The file.
            data: Its new content.
            if_match: Write only over content with this ETag; ``*`` for any.
            mode: Permission bits for a new file, instead of what the umask leaves of 0666.

        Raises:
            Conflict: The content has another ETag, or there is none, or it keeps changing.
            PathRefused: The path is hidden, leads through or to a link, or is a folder.
            TooLarge: Old or new content exceeds ``max_bytes`` (the old could not be kept).
            StorageError: The disk refused; the old content is still there.
        """
        parts = path_parts(path)
        self._check_size(path, len(data))
        with self._lock, file_errors(path):
            for _ in range(_ATTEMPTS):
                with self._parent(parts, create=True) as dir_fd:
                    saved = self._write_once(parts, dir_fd, data, if_match, mode)
                if saved is not None:
                    return saved
        raise Conflict(f"{shown(path)} keeps changing; try again when it is quiet")

    def create_unique(self, path: str, data: bytes) -> Saved:
        """Create ``path``, or ``name_2.ext``, ``name_3.ext``...: whichever is free.

        Raises:
            PathRefused: As for ``write``.
            TooLarge: The content exceeds ``max_bytes``.
            Conflict: No free name was found.
            StorageError: The disk refused; nothing was created.
        """
        parts = path_parts(path)
        self._check_size(path, len(data))
        with self._lock, file_errors(path), self._parent(parts, create=True) as dir_fd:
            with temporary_file(dir_fd, data, None) as temporary:
                ours = os.stat(temporary, dir_fd=dir_fd, follow_symlinks=False)
                for name in alternatives(parts[-1]):
                    if place_new(temporary, dir_fd, name, dir_fd):
                        break
                else:
                    raise Conflict(f"No free name like {shown(path)} was found")
                sync_directory(dir_fd, partial(take_back_new, dir_fd, name, ours))
            created = "/".join((*parts[:-1], name))
            return self._saved(created, name, dir_fd, data, created=True, version=None)

    def delete(self, path: str, *, if_match: str | None = None) -> str:
        """Delete a file and return the version that keeps it; durable on return.

        Raises:
            NotFound: There is no such file.
            Conflict: The content has another ETag, or it keeps changing.
            PathRefused: It is hidden, a link, or a folder.
            TooLarge: It exceeds ``max_bytes`` and so could not be kept.
            StorageError: The disk refused; the file is still there.
        """
        parts = path_parts(path)
        with self._lock, file_errors(path):
            for _ in range(_ATTEMPTS):
                with self._parent(parts) as dir_fd:
                    content = read_content(parts[-1], dir_fd, self._max_bytes)
                    require_match(path, content, if_match)
                    with self._keeper.kept(path, dir_fd, content, "deleted") as version:
                        if self._delete_once(parts, dir_fd, content):
                            return str(version)
        raise Conflict(f"{shown(path)} keeps changing; try again when it is quiet")

    def rename(self, path: str, to: str) -> Saved:
        """Give a file or folder another path; versions go with it, and the change is recorded.

        A crash half-way leaves a file under its old name or the new one; where the system cannot
        rename in one step without overwriting, perhaps under both, never under none.

        Raises:
            NotFound: There is no ``path``.
            Conflict: ``to`` exists: nothing is ever overwritten.
            PathRefused: Either path is hidden or leads through a link, or a folder would come
                to lie inside itself.
            StorageError: The disk refused; the file is still there.
        """
        source, target = path_parts(path), path_parts(to)
        if target[: len(source)] == source:
            raise PathRefused(f"{shown(to)} is {shown(path)} itself, or inside it")
        with self._lock, file_errors(path), self._parent(source) as from_fd:
            status = os.stat(source[-1], dir_fd=from_fd, follow_symlinks=False)
            folder = stat.S_ISDIR(status.st_mode)
            with file_errors(to), self._parent(target, create=True) as to_fd:
                if not folder:
                    os.close(open_file(source[-1], from_fd)[0])
                move = rename_folder if folder else rename_file
                move(source[-1], from_fd, target[-1], to_fd)
                undo = partial(move, target[-1], to_fd, source[-1], from_fd)
                sync_directory(to_fd, undo)
                sync_directory(from_fd, undo)
        for remember in (partial(self._versions.follow, folder=folder), self._versions.keep_rename):
            try:
                remember(path, to)
            except StorageError as error:
                _LOG.warning("The history of a renamed file could not be changed: %s", error)
        if folder:
            return Saved(to, 0, "", created=False, version=None, mtime_ns=status.st_mtime_ns)
        return self._describe(to, status)

    def restore(self, path: str, version: str) -> Saved:
        """Write a version's content back; what it replaces is kept in turn.

        Raises:
            NotFound: There is no such version.
            Conflict, PathRefused, TooLarge, StorageError: As for ``write``.
        """
        kept = self._versions.find(path, version)
        return self.write(path, self._versions.read(path, version), mode=kept.mode)

    def sweep_temporary_files(self, found: Iterable[tuple[str, str]] | None = None) -> int:
        """Remove what killed writers left behind; return how many.

        Args:
            found: ``(directory, name)`` of what a scan met already; else the root is walked.

        Only names of our own pattern, only regular files older than this object, and not those
        that another process is writing (it holds a lock on them).
        """
        removed = 0
        for directory, name in find_temporary_files(self._root) if found is None else found:
            parents = directory.split("/") if directory else []
            with self._lock, suppress(OSError), directory_below(self._root, parents) as dir_fd:
                removed += remove_if_stale(name, dir_fd, self._started_at)
        return removed

    def _write_once(
        self, parts: list[str], dir_fd: int, data: bytes, if_match: str | None, mode: int | None
    ) -> Saved | None:
        """One attempt; None when the file changed meanwhile."""
        path, name = "/".join(parts), parts[-1]
        old = self._current(name, dir_fd)
        require_match(path, old, if_match)
        if old is not None and old.data == data:
            sync_file(name, dir_fd)
            return self._saved(path, name, dir_fd, data, created=False, version=None)
        with (
            temporary_file(dir_fd, data, old, mode) as temporary,
            self._keeper.kept(path, dir_fd, old, "overwritten") as version,
        ):
            if not self._is_unchanged(parts, dir_fd, old):
                return None
            ours = os.stat(temporary, dir_fd=dir_fd, follow_symlinks=False)
            if old is None:
                placed = place_new(temporary, dir_fd, name, dir_fd)
                undo = partial(take_back_new, dir_fd, name, ours)
            else:
                placed = replace_file(temporary, name, dir_fd, old)
                undo = partial(take_back, temporary, name, dir_fd, ours)
            if not placed:
                self._keeper.keep_unless(ours, path, temporary, dir_fd)
                return None
            sync_directory(dir_fd, undo)
            if old is not None:
                self._keeper.keep_late_edit(path, temporary, dir_fd, old, undo)
        return self._saved(path, name, dir_fd, data, created=old is None, version=version)

    def _delete_once(self, parts: list[str], dir_fd: int, old: Content) -> bool:
        if not self._is_unchanged(parts, dir_fd, old):
            return False
        with set_aside(parts[-1], dir_fd, old) as aside:
            if aside is None:
                return False
            sync_directory(dir_fd)
            self._keeper.keep_unless(old.status, "/".join(parts), aside, dir_fd)
        return True

    def _current(self, name: str, dir_fd: int) -> Content | None:
        try:
            return read_content(name, dir_fd, self._max_bytes)
        except FileNotFoundError:
            return None

    def _is_unchanged(self, parts: list[str], dir_fd: int, content: Content | None) -> bool:
        """Whether the path still leads here, to what was read."""
        try:
            with directory_below(self._root, parts[:-1]) as fd:
                if not os.path.samestat(os.fstat(fd), os.fstat(dir_fd)):
                    return False
        except FileNotFoundError:
            return False
        try:
            status = os.stat(parts[-1], dir_fd=dir_fd, follow_symlinks=False)
        except FileNotFoundError:
            return content is None
        return content is not None and same_file(status, content.status)

    @contextmanager
    def _parent(self, parts: Sequence[str], *, create: bool = False) -> Iterator[int]:
        try:
            self._check_present()
            with directory_below(self._root, []):
                pass
        except OSError as error:
            raise storage_error("the memory folder", error) from error
        created: Sequence[Sequence[str]] = ()
        if create:
            try:
                created = make_directories(self._root, parts[:-1])
            except NotADirectoryError as error:
                raise PathRefused(
                    f"{shown('/'.join(parts))} leads through a link or a file, not through folders"
                ) from error
        try:
            with directory_below(self._root, parts[:-1]) as dir_fd:
                yield dir_fd
        except BaseException:
            remove_directories(self._root, created)
            raise

    def _describe(self, path: str, status: os.stat_result) -> Saved:
        etag = ""
        with suppress(SgopedError):  # it may be too large, or changed already; renamed it is
            data, status = self.read(path)
            etag = etag_of(data)
        return Saved(
            path, status.st_size, etag, created=False, version=None, mtime_ns=status.st_mtime_ns
        )

    def _saved(
        self,
        path: str,
        name: str,
        dir_fd: int,
        data: bytes,
        *,
        created: bool,
        version: str | None,
    ) -> Saved:
        mtime_ns = 0
        with suppress(OSError):
            mtime_ns = os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mtime_ns
        return Saved(path, len(data), etag_of(data), created, version, mtime_ns)

    def _check_size(self, path: str, size: int) -> None:
        if size > self._max_bytes:
            raise TooLarge(f"{shown(path)} has {size} bytes; the limit is {self._max_bytes}")
