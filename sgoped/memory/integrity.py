"""Finds damaged files of an index, which tantivy itself would search without a word.

Every file of a segment is written once and ends with a footer that holds a CRC-32 of what comes
before it: ``{"version": ..., "crc": ...}``, its length, and a magic number, both of 32 bits.
"""

from __future__ import annotations

import errno
import json
import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

META_NAME = "meta.json"
_PARTS = ("idx", "pos", "term", "store", "fast", "fieldnorm")
_CHUNK_BYTES = 1 << 20
_TAIL_BYTES = 8
_MAX_FOOTER_BYTES = 4096
_MAGIC = 1337
# What garbled JSON may lead to.
_UNREADABLE = (LookupError, ValueError, TypeError, AttributeError, OverflowError, RecursionError)
# Reading takes a quarter of the time, so that it is not noticed.
_REST_FACTOR = 3.0


def find_damage(
    directory: Path, *, contents: bool = True, rest: Callable[[float], object] = time.sleep
) -> str:
    """Which file of an index is damaged or missing, for a person; empty when none is.

    Files that are merged away meanwhile are no damage. Blocks, and takes its time.

    Args:
        directory: Where tantivy keeps the index.
        contents: Whether the files are read, or only looked for.
        rest: Called with seconds to pause for, after each chunk that was read.

    Raises:
        OSError: Nothing can be opened at present, which says nothing of the files.
    """
    names = _names(directory)
    if names is None:
        return f"{META_NAME} of the index cannot be read"
    for name in names:
        damage = _damage_of(directory / name, rest) if contents else _absence_of(directory / name)
        if damage and name in (_names(directory) or ()):
            return f"{name} {damage}"
    return ""


def read_checksums(directory: Path, known: Mapping[str, int]) -> dict[str, int]:
    """The checksum that each file of an index claims to have; those ``known`` are not read again.

    They tell a file from another that is whole, but of another index.
    """
    told: dict[str, int] = {}
    for name in _names(directory) or ():
        checksum = known.get(name)
        if checksum is None:
            checksum = _claimed(directory / name)
        if checksum is not None:
            told[name] = checksum
    return told


def _claimed(path: Path) -> int | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        footer = _read_footer(fd)
    except OSError:
        return None
    finally:
        os.close(fd)
    return None if footer is None else footer[1]


def _names(directory: Path) -> list[str] | None:
    try:
        told = json.loads((directory / META_NAME).read_bytes())
        return [name for segment in told["segments"] for name in _files_of(segment)]
    except OSError as error:
        _raise_if_passing(error)
        return None
    except _UNREADABLE:
        return None


def _files_of(segment: dict[str, object]) -> Iterator[str]:
    stem = str(segment["segment_id"]).replace("-", "")
    yield from (f"{stem}.{part}" for part in _PARTS)
    deletes = segment["deletes"]
    if isinstance(deletes, dict):
        yield f"{stem}.{deletes['opstamp']}.del"


def _absence_of(path: Path) -> str:
    return "" if path.is_file() else "is missing"


def _damage_of(path: Path, rest: Callable[[float], object]) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        _raise_if_passing(error)
        return f"cannot be read: {error.strerror}"
    try:
        footer = _read_footer(fd)
        if footer is None:
            return "has no checksum"
        end, expected = footer
        return "" if _checksum(fd, end, rest) == expected else "has another checksum"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    finally:
        os.close(fd)


def _raise_if_passing(error: OSError) -> None:
    """What the process or the machine lacks for a moment is no damage."""
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        raise error


def _read_footer(fd: int) -> tuple[int, int] | None:
    """Where the content ends, and its checksum."""
    size = os.fstat(fd).st_size
    tail = os.pread(fd, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
    length, magic = int.from_bytes(tail[:4], "little"), int.from_bytes(tail[4:], "little")
    end = size - _TAIL_BYTES - length
    if magic != _MAGIC or length > _MAX_FOOTER_BYTES or end < 0:
        return None
    try:
        return end, int(json.loads(os.pread(fd, length, end))["crc"])
    except _UNREADABLE:
        return None


def _checksum(fd: int, end: int, rest: Callable[[float], object]) -> int:
    check = position = 0
    while position < end:
        started = time.monotonic()
        chunk = os.pread(fd, min(_CHUNK_BYTES, end - position), position)
        if not chunk:
            break
        check = zlib.crc32(chunk, check)
        position += len(chunk)
        rest((time.monotonic() - started) * _REST_FACTOR)
    return check
