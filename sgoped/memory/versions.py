"""Keeps what saves and deletions replace: plain files beside the memory folder, no database.

One directory per file (named by a hash of its path), holding for each version a blob and a
small JSON sidecar. The blob is on disk before the sidecar appears, and the sidecar appears by
a rename, so a version either is listed and whole, or is not there; what a crash leaves over is
removed by ``prune``. Everything is 0700/0600, because versions outlive the files' own modes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sgoped.errors import NotFound
from sgoped.memory.beneath import storage_errors
from sgoped.memory.document import shown

_VERSION = re.compile(r"[0-9a-f]{16}-[0-9a-f]{8}")
_BLOB, _SIDECAR = ".blob", ".json"
_OWN_FILE = re.compile(rf"{_VERSION.pattern}\.(?:blob|json)(?:\.tmp)?")
_OWN_DIRECTORY = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Version:
    """One kept content of a file.

    Attributes:
        version: Identifies it among the file's versions; sorts by age.
        path: The file it was, relative to the memory folder.
        size: Bytes.
        saved_at: Unix time at which it was kept, that is, replaced.
        reason: ``overwritten``, ``deleted`` or ``renamed``.
        mode: The file's permission bits.
    """

    version: str
    path: str
    size: int
    saved_at: float
    reason: str
    mode: int = 0o644


class Versions:
    """The versions below ``versions_dir``, at most ``max_bytes`` of them.

    Safe to use from several threads; one process owns the directory.
    """

    def __init__(self, versions_dir: Path, max_bytes: int) -> None:
        self._dir = versions_dir
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._bytes: int | None = None
        self._last_ns = 0

    def keep(self, path: str, data: bytes, reason: str, *, mode: int = 0o644) -> str:
        """Keep ``data`` as the newest version of ``path``; durable on return.

        Raises:
            StorageError: It cannot be kept; nothing was changed.
        """
        with self._lock, storage_errors(f"a version of {shown(path)}"):
            version = self._next_version()
            kept = Version(version, path, len(data), time.time(), reason, mode)
            total = self._total() + len(data)
            self._store(kept, data)
            self._bytes = total
            if self._bytes > self._max_bytes:
                self._prune(protected=version)
        return version

    def list(self, path: str) -> list[Version]:
        """The versions of ``path``, newest first.

        Raises:
            StorageError: They cannot be read.
        """
        with storage_errors(f"the versions of {shown(path)}"):
            found = [_load(sidecar) for sidecar in _sidecars(self._directory(path))]
        versions = [version for version in found if version is not None and version.path == path]
        return sorted(versions, key=lambda version: version.version, reverse=True)

    def find(self, path: str, version: str) -> Version:
        """One version of ``path``.

        Raises:
            NotFound: There is no such version.
        """
        if _VERSION.fullmatch(version):
            with storage_errors(f"the versions of {shown(path)}"):
                found = _load(self._directory(path) / f"{version}{_SIDECAR}")
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
                return (self._directory(path) / f"{found.version}{_BLOB}").read_bytes()
            except FileNotFoundError:
                raise NotFound(f"Version {version} of {shown(path)} is no longer kept") from None

    def follow(self, path: str, to: str) -> None:
        """Let the history of ``path`` become that of ``to``, after a rename.

        A crash half-way leaves a version under both names, never under none.

        Raises:
            StorageError: The history cannot be moved; what was not moved stays where it was.
        """
        with self._lock, storage_errors(f"the versions of {shown(path)}"):
            source = self._directory(path)
            for kept in self.list(path):
                blob = source / f"{kept.version}{_BLOB}"
                moved = Version(kept.version, to, kept.size, kept.saved_at, kept.reason, kept.mode)
                self._store(moved, blob.read_bytes())
                _remove(blob)
            with suppress(OSError):
                source.rmdir()

    def prune(self) -> None:
        """Remove the oldest versions over ``max_bytes``, and what a crash left over.

        The newest version of a file stays, unless it alone exceeds the limit.

        Raises:
            StorageError: The directory cannot be read or changed.
        """
        with self._lock, storage_errors("old versions"):
            self._remove_leftovers()
            self._bytes = None
            self._prune(protected="")

    def _next_version(self) -> str:
        self._last_ns = max(time.time_ns(), self._last_ns + 1)
        return f"{self._last_ns:016x}-{secrets.token_hex(4)}"

    def _directory(self, path: str) -> Path:
        return self._dir / hashlib.sha256(os.fsencode(path)).hexdigest()[:32]

    def _store(self, version: Version, data: bytes) -> None:
        directory = self._directory(version.path)
        if not directory.is_dir():
            self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory.mkdir(mode=0o700, exist_ok=True)
            _sync_directory(self._dir)
        fields = {name: getattr(version, name) for name in Version.__slots__}
        blob = directory / f"{version.version}{_BLOB}"
        try:
            _write(blob, data)
            _write(blob.with_suffix(_SIDECAR), json.dumps(fields).encode())
            _sync_directory(directory)
        except OSError:
            with suppress(OSError):
                _remove(blob)
            raise

    def _total(self) -> int:
        if self._bytes is None:
            self._bytes = sum(size for _blob, size, _newest in self._blobs())
        return self._bytes

    def _blobs(self) -> Iterator[tuple[Path, int, bool]]:
        """Each listed blob, its size, and whether it is the newest of its file."""
        if not self._dir.is_dir():
            return
        for directory in self._dir.iterdir():
            newest_first = sorted(_sidecars(directory), reverse=True)
            for index, sidecar in enumerate(newest_first):
                blob = sidecar.with_suffix(_BLOB)
                with suppress(FileNotFoundError):
                    yield blob, blob.stat().st_size, index == 0

    def _prune(self, protected: str) -> None:
        blobs = sorted(self._blobs(), key=lambda found: found[0].name)
        total = sum(size for _blob, size, _newest in blobs)
        for blob, size, newest in blobs:
            if total <= self._max_bytes:
                break
            if blob.stem != protected and (not newest or size > self._max_bytes):
                _remove(blob)
                total -= size
        self._bytes = total

    def leftovers(self, before: float) -> tuple[Path, ...]:
        """What a crash left half-way, last written before the Unix time ``before``.

        Nothing of it is listed as a version, and what it was being kept for did not happen.

        Raises:
            OSError: The directory cannot be read.
        """
        if not self._dir.is_dir() or self._dir.is_symlink():
            return ()
        directories = [path for path in self._dir.iterdir() if _is_own_directory(path)]
        files = [file for directory in directories for file in directory.iterdir()]
        return tuple(
            file
            for file in files
            if _OWN_FILE.fullmatch(file.name) and not _is_whole(file) and _is_older(file, before)
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
        if self._dir.is_dir():
            for directory in self._dir.iterdir():
                with suppress(OSError):
                    directory.rmdir()


def _sidecars(directory: Path) -> list[Path]:
    try:
        return [file for file in directory.iterdir() if file.suffix == _SIDECAR]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_whole(file: Path) -> bool:
    other = _BLOB if file.suffix == _SIDECAR else _SIDECAR
    return file.suffix in (_BLOB, _SIDECAR) and file.with_suffix(other).exists()


def _is_own_directory(path: Path) -> bool:
    """Whether it is one that we made, and no link to somewhere else."""
    return (
        path.is_dir() and not path.is_symlink() and _OWN_DIRECTORY.fullmatch(path.name) is not None
    )


def _is_older(file: Path, before: float) -> bool:
    try:
        return file.lstat().st_mtime < before
    except FileNotFoundError:
        return False


def _load(sidecar: Path) -> Version | None:
    """Read a sidecar; None when it is missing or is not one of ours."""
    try:
        fields = json.loads(sidecar.read_bytes())
        version = Version(**fields)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return version if version.version == sidecar.stem else None


def _write(path: Path, data: bytes) -> None:
    """Let ``path`` appear with all of ``data``, already on disk."""
    temporary = path.with_name(f"{path.name}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _remove(blob: Path) -> None:
    """Sidecar first: a listed version always has its blob."""
    blob.with_suffix(_SIDECAR).unlink(missing_ok=True)
    blob.unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
