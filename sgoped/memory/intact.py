"""Tells whether the files of a tantivy index are whole, before anything is searched in them.

tantivy maps its files into memory and believes what they say: a missing one makes every search
fail, and a flipped bit can end the process. Each file ends with a checksum of what comes before,
which tantivy itself never compares. A file never changes once it is written, so it is read but
once: those found whole, or written by this process, are noted with what ``stat`` says of them.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

NOTE = "checked.json"
_PARTS = ("fast", "fieldnorm", "idx", "pos", "store", "term")
_END = struct.Struct("<II")
_MAGIC = 1337
_MAX_FOOTER_BYTES = 4096
_CHUNK_BYTES = 2**20

Identity = list[int]


class CheckedFiles:
    """The files of the index in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._whole: dict[str, Identity] = {}
        self._suspect: frozenset[str] = frozenset()

    def check(self) -> None:
        """Make sure that all files that the index consists of are there, and whole.

        Raises:
            OSError: One is missing, or cannot be read.
            ValueError: One is damaged.
        """
        noted = self._noted()
        whole = {}
        for name in _needed(self._directory / "meta.json"):
            identity = self._identity(name)
            if noted.get(name) != identity:
                _verify(self._directory / name)
            whole[name] = identity
        there = {file.name for file in self._directory.iterdir()}
        self._suspect = frozenset(there - whole.keys())
        self._whole = whole

    def note(self) -> None:
        """Remember what is whole: what was checked, and what was written since."""
        with suppress(OSError, ValueError, LookupError, TypeError):
            whole = {}
            for name in _needed(self._directory / "meta.json"):
                identity = self._identity(name)
                is_new = name not in self._whole and name not in self._suspect
                if is_new or self._whole.get(name) == identity:
                    whole[name] = identity
            if whole != self._noted():
                temporary = self._directory / f"{NOTE}.new"
                temporary.write_text(json.dumps(whole))
                temporary.replace(self._directory / NOTE)

    def _noted(self) -> dict[str, Identity]:
        try:
            noted = json.loads((self._directory / NOTE).read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return noted if isinstance(noted, dict) else {}

    def _identity(self, name: str) -> Identity:
        status = (self._directory / name).stat()
        return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _needed(meta: Path) -> Iterator[str]:
    """The names of the files that ``meta.json`` speaks of."""
    try:
        told = json.loads(meta.read_bytes())
    except FileNotFoundError:
        return
    for segment in told["segments"]:
        identity = segment["segment_id"].replace("-", "")
        yield from (f"{identity}.{part}" for part in _PARTS)
        if segment["deletes"]:
            yield f"{identity}.{segment['deletes']['opstamp']}.del"


def _verify(path: Path) -> None:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _END.size - _MAX_FOOTER_BYTES))
        end = file.read()
        if len(end) < _END.size:
            raise ValueError(f"{path.name} is cut short")
        length, magic = _END.unpack(end[-_END.size :])
        if magic != _MAGIC or length > len(end) - _END.size:
            raise ValueError(f"{path.name} is cut short")
        footer = json.loads(end[-_END.size - length : -_END.size])
        file.seek(0)
        if _checksum(file.read, size - _END.size - length) != footer["crc"]:
            raise ValueError(f"{path.name} is damaged")


def _checksum(read: Callable[[int], bytes], size: int) -> int:
    check = 0
    while size > 0 and (chunk := read(min(size, _CHUNK_BYTES))):
        check = zlib.crc32(chunk, check)
        size -= len(chunk)
    return check
