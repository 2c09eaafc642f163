"""A small model of a disk that forgets, at a power cut, whatever was not flushed.

It is fed with the system calls of one change and tells what the change relied upon too early.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from tests.tracing import Call

# What follows a descriptor or stands in quotes; in the order of the arguments.
_OPERAND = re.compile(r'(?:\d+|AT_FDCWD)<([^>]*)>|"((?:[^"\\]|\\.)*)"')
_TEMPORARY = re.compile(r"\.sgoped-[0-9a-f]{16}\.tmp|.*\.(?:blob|json)\.tmp")


class ForgetfulDisk:
    """What would be lost now.

    Args:
        root: The memory folder.
        data: All that must last, versions and ``state.db`` among it.

    Attributes:
        violations: What was relied upon before it was durable, in words.
        answered: Whether the client was told of success.
    """

    def __init__(self, root: str, data: str) -> None:
        self.violations: list[str] = []
        self.answered = False
        self._root = root
        self._data = data
        self._unflushed_data: set[str] = set()
        self._unflushed_names: dict[str, set[str]] = {}

    def run(self, calls: Iterable[Call]) -> list[str]:
        """Takes all calls in; returns the violations."""
        for call in calls:
            handle = getattr(self, f"_{call.name}", None)
            if handle is not None and not self.answered:
                handle(call, _paths(call))
        return self.violations

    # -- what changes data

    def _write(self, _: Call, paths: list[str]) -> None:
        if paths and self._counts(paths[0]):
            self._unflushed_data.add(paths[0])

    _pwrite64 = _ftruncate = _write

    def _fsync(self, _: Call, paths: list[str]) -> None:
        self._unflushed_data.discard(paths[0])
        self._unflushed_names.pop(paths[0], None)

    _fdatasync = _fsync

    # -- what changes names

    def _openat(self, call: Call, paths: list[str]) -> None:
        if "O_CREAT" in call.arguments and "O_EXCL" in call.arguments:
            self._name(paths[-1])

    def _mkdir(self, _: Call, paths: list[str]) -> None:
        self._name(paths[-1])

    _mkdirat = _mkdir

    def _unlink(self, _: Call, paths: list[str]) -> None:
        if self._is_of_the_person(paths[-1]):
            self._rely_on_versions(f"the removal of {paths[-1]}")
        self._unflushed_data.discard(paths[-1])
        if not self._is_own(paths[-1]):  # a version that comes back is one too many, no more
            self._name(paths[-1])

    _unlinkat = _rmdir = _unlink

    def _link(self, _: Call, paths: list[str]) -> None:
        source, target = paths
        if source in self._unflushed_data:
            self.violations.append(f"{target} appears before its data is on the disk")
        self._name(target)

    _linkat = _link

    def _rename(self, call: Call, paths: list[str]) -> None:
        source, target = paths
        exchanged = "RENAME_EXCHANGE" in call.arguments
        if exchanged or (self._is_of_the_person(source) and _is_temporary(target)):
            self._rely_on_versions(f"the replacement of {target if exchanged else source}")
        if source in self._unflushed_data:
            self.violations.append(f"{target} appears before its data is on the disk")
        self._name(source)
        self._name(target)

    _renameat = _renameat2 = _rename

    # -- what is relied upon

    def _sendto(self, call: Call, _: list[str]) -> None:
        if '"HTTP/1.1 200' in call.arguments:
            self.answered = True
            self.violations += [f"the data of {path} at the answer" for path in self._data_left()]
            self.violations += [f"the name {path} at the answer" for path in self._names_left()]

    def _rely_on_versions(self, why: str) -> None:
        lost = [path for path in (*self._data_left(), *self._names_left()) if self._is_own(path)]
        self.violations += [f"{path} is not on the disk before {why}" for path in lost]

    def _data_left(self) -> list[str]:
        return sorted(path for path in self._unflushed_data if not _is_temporary(path))

    def _names_left(self) -> list[str]:
        return sorted(
            f"{directory}/{name}"
            for directory, names in self._unflushed_names.items()
            for name in names
            if not _is_temporary(name)
        )

    def _name(self, path: str) -> None:
        if self._counts(path):
            directory, _, name = path.rpartition("/")
            self._unflushed_names.setdefault(directory, set()).add(name)

    def _counts(self, path: str) -> bool:
        return path.startswith((f"{self._root}/", f"{self._data}/")) and not path.endswith("-shm")

    def _is_of_the_person(self, path: str) -> bool:
        return path.startswith(f"{self._root}/") and not _is_temporary(path)

    def _is_own(self, path: str) -> bool:
        return path.startswith(f"{self._data}/") and not path.startswith(f"{self._root}/")


def _is_temporary(path: str) -> bool:
    return _TEMPORARY.fullmatch(PurePosixPath(path).name) is not None


def _paths(call: Call) -> list[str]:
    """The paths that a call names: absolute, or after the directory they are relative to."""
    found: list[str] = []
    directory: str | None = None
    # What is written stands in quotes as well.
    named = call.arguments.partition(">")[0] + ">" if "write" in call.name else call.arguments
    for followed, quoted in _OPERAND.findall(named):
        if quoted:
            found.append(str(PurePosixPath(directory or "/") / quoted))
            directory = None
        elif followed:
            if directory is not None:
                found.append(directory)
            directory = followed
    if directory is not None:
        found.append(directory)
    return found
