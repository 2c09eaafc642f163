"""Keeps what saves and deletions replace: plain files beside the memory folder, no database.

One directory per file (named by a hash of its path), holding for each version a blob and a
small JSON sidecar. The blob is on disk before the sidecar appears, and the sidecar appears by
a rename, so a version either is listed and whole, or is not there; what a crash leaves over is
removed by ``prune``. A rename is recorded likewise, with nothing in its blob, in a directory of
its own. Everything is 0700/0600, because versions outlive the files' own modes.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

from sgoped.errors import NotFound
from sgoped.memory.beneath import storage_errors
from sgoped.memory.document import shown
from sgoped.memory.version_files import (
    BLOB,
    OWN_FILE,
    SIDECAR,
    VERSION_NAME,
    Version,
    is_older,
    is_own_directory,
    is_whole,
    list_sidecars,
    load_version,
    remove_version,
    store_version,
    sync_directory,
)

_RENAMED = "renamed"
MAX_VERSIONS = 50_000
# So many directories are known to be on the disk; one that is forgotten costs another flush.
MAX_SYNCED = 256
# Pruned to a little less than the limit, so that the next save need not look at all of them.
_PRUNED_SHARE = 0.95

_LOG = logging.getLogger(__name__)


class Versions:
    """The versions below ``versions_dir``, at most ``max_bytes`` and ``MAX_VERSIONS`` of them.

    Safe to use from several threads; one process owns the directory.
    """

    def __init__(self, versions_dir: Path, max_bytes: int) -> None:
        self._dir = versions_dir
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._held: tuple[int, int] | None = None
        self._last_ns = 0
        self._synced: set[str] = set()
        self._is_synced = False

    def keep(self, path: str, data: bytes, reason: str, *, mode: int = 0o644) -> str:
        """Keep ``data`` as the newest version of ``path``; durable on return.

        Raises:
            StorageError: It cannot be kept; nothing was changed.
        """
        return self._keep(Version("", path, len(data), time.time(), reason, mode), data)

    def keep_rename(self, former_path: str, path: str) -> str:
        """Record that ``path`` was called ``former_path``; durable on return.

        Raises:
            StorageError: It cannot be recorded.
        """
        fields = Version("", path, 0, time.time(), _RENAMED, former_path=former_path)
        return self._keep(fields, b"")

    def _keep(self, fields: Version, data: bytes) -> str:
        with self._lock, storage_errors(f"a version of {shown(fields.path)}"):
            count, total = self._count_and_bytes()
            kept = replace(fields, version=self._next_version())
            self._store(kept, data)
            self._held = count + 1, total + len(data)
            if self._is_too_much(*self._held):
                try:
                    self._prune(protected=kept.version, share=_PRUNED_SHARE)
                except OSError as error:
                    _LOG.warning("old versions cannot be removed: %s", error.strerror)
        return kept.version

    def discard(self, path: str, version: str) -> None:
        """Forget a version that turned out not to be needed.

        Raises:
            StorageError: The disk says no.
        """
        with self._lock, storage_errors(f"a version of {shown(path)}"):
            remove_version(self._directory(path) / f"{version}{BLOB}")
            self._held = None

    def list(self, path: str) -> list[Version]:
        """What ``path`` once held, newest first.

        Raises:
            StorageError: They cannot be read.
        """
        with storage_errors(f"the versions of {shown(path)}"):
            found = [load_version(sidecar) for sidecar in list_sidecars(self._directory(path))]
        versions = [version for version in found if version is not None and version.path == path]
        return sorted(versions, key=lambda version: version.version, reverse=True)

    def newest(self, limit: int) -> Sequence[Version]:
        """The last changes of all files, renames too, newest first.

        Names sort by time, so only as many sidecars are read as are asked for.

        Raises:
            StorageError: They cannot be read.
        """
        with storage_errors("the versions"):
            sidecars = [path for folder in self._directories() for path in list_sidecars(folder)]
            sidecars.sort(key=lambda sidecar: sidecar.name, reverse=True)
            loaded = (version for path in sidecars if (version := load_version(path)) is not None)
            return list(islice(loaded, limit))

    def find(self, path: str, version: str) -> Version:
        """One version of ``path``, or the record of its rename.

        Raises:
            NotFound: There is no such version.
        """
        if VERSION_NAME.fullmatch(version):
            with storage_errors(f"the versions of {shown(path)}"):
                for reason in ("", _RENAMED):
                    found = load_version(self._directory(path, reason) / f"{version}{SIDECAR}")
                    if found is not None and found.path == path:
                        return found
        raise NotFound(f"No version {version[:40]!r} of {shown(path)}")

    def read(self, path: str, version: str) -> bytes:
        """The content of one version.

        Raises:
            NotFound: There is no such version.
            StorageError: It cannot be read.
        """
        found = self.find(path, version)
        with storage_errors(f"version {version} of {shown(path)}"):
            try:
                directory = self._directory(path, found.reason)
                return (directory / f"{found.version}{BLOB}").read_bytes()
            except FileNotFoundError:
                raise NotFound(f"Version {version} of {shown(path)} is no longer kept") from None

    def follow(self, path: str, to: str, *, folder: bool = False) -> None:
        """Let the history of ``path`` become that of ``to``, after a rename.

        A crash half-way leaves a version under both names, never under none.

        Args:
            path: What it was called.
            to: What it is called now.
            folder: Whether it is a folder, so that all files below take their history along.

        Raises:
            StorageError: The history cannot be moved; what was not moved stays where it was.
        """
        with self._lock, storage_errors(f"the versions of {shown(path)}"):
            for old in self._paths_below(path) if folder else [path]:
                self._follow(old, to + old[len(path) :])

    def _paths_below(self, folder: str) -> Sequence[str]:
        loaded = (
            next((version for file in list_sidecars(each) if (version := load_version(file))), None)
            for each in self._directories()
        )
        return [
            version.path
            for version in loaded
            if version is not None
            and version.reason != _RENAMED
            and version.path.startswith(f"{folder}/")
        ]

    def _follow(self, path: str, to: str) -> None:
        source = self._directory(path)
        for kept in self.list(path):
            blob = source / f"{kept.version}{BLOB}"
            self._store(replace(kept, path=to), blob)
            remove_version(blob)
        with suppress(OSError):
            source.rmdir()

    def prune(self) -> None:
        """Remove the oldest versions over ``max_bytes``, and what a crash left over.

        The newest version of a file stays, unless it alone exceeds the limit; an empty one as long as there are not too many.

        Raises:
            StorageError: The directory cannot be read or changed.
        """
        with self._lock, storage_errors("old versions"):
            self._remove_leftovers()
            self._held = None
            self._prune(protected="")

    def _next_version(self) -> str:
        self._last_ns = max(time.time_ns(), self._last_ns + 1)
        return f"{self._last_ns:016x}-{secrets.token_hex(4)}"

    def _directory(self, path: str, reason: str = "") -> Path:
        # No path has a NUL: what was renamed is apart from what was overwritten.
        key = os.fsencode(path) + (b"\0" if reason == _RENAMED else b"")
        return self._dir / hashlib.sha256(key).hexdigest()[:32]

    def _store(self, version: Version, data: bytes | Path) -> None:
        """Put a version where it belongs; its content is given, or the blob that has it."""
        directory = self._directory(version.path, version.reason)
        self._make_durable(directory)
        store_version(version, data, directory)

    def _make_durable(self, directory: Path) -> None:
        """Create a directory, and flush the names of all that lead to it, once in a while."""
        if directory.name in self._synced and directory.is_dir():
            return
        self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
        if not self._is_synced:
            sync_directory(self._dir.parent)
            self._is_synced = True
        sync_directory(self._dir)
        if len(self._synced) >= MAX_SYNCED:
            self._synced.clear()
        self._synced.add(directory.name)

    def _count_and_bytes(self) -> tuple[int, int]:
        if self._held is None:
            blobs = list(self._blobs())
            self._held = len(blobs), sum(size for _blob, size, _newest in blobs)
            # The clock may have been set back: what is kept from now on is newer all the same.
            newest = max((blob.stem for blob, _size, _newest in blobs), default="0")
            self._last_ns = max(self._last_ns, int(newest.partition("-")[0], 16))
        return self._held

    def _is_too_much(self, count: int, total: int, share: float = 1.0) -> bool:
        return total > self._max_bytes * share or count > MAX_VERSIONS * share

    def _directories(self) -> Sequence[Path]:
        try:
            return [entry for entry in self._dir.iterdir() if entry.is_dir()]
        except FileNotFoundError:
            return []

    def _blobs(self) -> Iterator[tuple[Path, int, bool]]:
        """Each listed blob, its size, and whether it is the newest of its file."""
        for directory in self._directories():
            for index, sidecar in enumerate(sorted(list_sidecars(directory), reverse=True)):
                blob = sidecar.with_suffix(BLOB)
                with suppress(FileNotFoundError):
                    if VERSION_NAME.fullmatch(blob.stem):
                        yield blob, blob.stat().st_size, index == 0

    def _prune(self, protected: str, share: float = 1.0) -> None:
        blobs = sorted(self._blobs(), key=lambda found: found[0].name)
        count, total = len(blobs), sum(size for _blob, size, _newest in blobs)
        for blob, size, newest in blobs:
            if not self._is_too_much(count, total, share):
                break
            is_old = not newest or size > self._max_bytes
            # A rename, or an empty file, is not worth a place for ever; but it takes no space.
            can_go = is_old if size else count > MAX_VERSIONS * share
            if can_go and blob.stem != protected:
                remove_version(blob)
                count, total = count - 1, total - size
        self._held = count, total

    def leftovers(self, before: float) -> tuple[Path, ...]:
        """What a crash left half-way, last written before the Unix time ``before``.

        Nothing of it is listed as a version, and what it was being kept for did not happen.

        Raises:
            OSError: The directory cannot be read.
        """
        if not self._dir.is_dir() or self._dir.is_symlink():
            return ()
        directories = [path for path in self._dir.iterdir() if is_own_directory(path)]
        files = [file for directory in directories for file in directory.iterdir()]
        return tuple(
            file
            for file in files
            if OWN_FILE.fullmatch(file.name) and not is_whole(file) and is_older(file, before)
        )

    def remove_leftovers(self, before: float) -> None:
        """Remove ``leftovers``, for whoever holds the instance lock; versions stay.

        Raises:
            OSError: The directory cannot be read or changed.
        """
        for file in self.leftovers(before):
            file.unlink(missing_ok=True)
            with suppress(OSError):
                file.parent.rmdir()

    def _remove_leftovers(self) -> None:
        self.remove_leftovers(math.inf)
        for directory in self._directories():
            with suppress(OSError):
                directory.rmdir()
                self._synced.discard(directory.name)
