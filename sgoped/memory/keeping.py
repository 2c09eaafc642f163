"""Keeps what a change to a file is about to replace or throw away, by directory descriptor."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from sgoped.errors import SgopedError, StorageError
from sgoped.memory.saving import Content, read_content, same_content, sync_directory
from sgoped.memory.versions import Versions


class Keeper:
    """Puts contents among the versions.

    Args:
        versions: Where they go.
        max_bytes: Largest content that is kept.
    """

    def __init__(self, versions: Versions, max_bytes: int) -> None:
        self._versions = versions
        self._max_bytes = max_bytes

    @contextmanager
    def kept(
        self, path: str, dir_fd: int, old: Content | None, reason: str
    ) -> Iterator[str | None]:
        """Keep a version of ``old``, dropped again if the block leaves it where it is.

        Raises:
            StorageError: It cannot be kept; the block was not entered.
        """
        version = None if old is None else self._keep(path, old, reason)
        try:
            yield version
        finally:
            if old is not None and version is not None:
                with suppress(OSError, StorageError):
                    name = path.rpartition("/")[2]
                    status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
                    if same_content(status, old.status):
                        self._versions.discard(path, version)

    def keep_late_edit(
        self, path: str, replaced: str, dir_fd: int, old: Content, undo: Callable[[], object]
    ) -> None:
        """A program that had the replaced file open may have written into it until now.

        Args:
            path: What was replaced.
            replaced: What it is called until it is thrown away.
            dir_fd: Where.
            old: What is kept of it already.
            undo: Called when the edit cannot be kept, so that it stays in place.

        Raises:
            OSError, SgopedError: It cannot be kept.
        """
        try:
            self.keep_unless(old.status, path, replaced, dir_fd)
        except (OSError, SgopedError):
            with suppress(OSError):
                undo()
                sync_directory(dir_fd)
            raise

    def keep_unless(self, expected: os.stat_result, path: str, name: str, dir_fd: int) -> None:
        """Keep what is about to be thrown away, unless it is what was expected, or nothing.

        Raises:
            OSError, SgopedError: It cannot be kept.
        """
        with suppress(FileNotFoundError):
            status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
            if not same_content(status, expected):
                self._keep(path, read_content(name, dir_fd, self._max_bytes), "overwritten")

    def _keep(self, path: str, content: Content, reason: str) -> str:
        mode = stat.S_IMODE(content.status.st_mode)
        return self._versions.keep(path, content.data, reason, mode=mode)
