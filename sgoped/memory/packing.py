"""The stored form of a directory: its children as columns in one blob, with a checksum.

Reading goes by whole columns too. What one scan found has consecutive pids, so the columns of most
directories, put one behind the other in the order of their pids, are the columns of the table.
"""

from __future__ import annotations

import json
import os
import zlib
from array import array
from collections.abc import Iterable
from typing import NamedTuple

from sgoped.memory.table import PathTable, TableColumns

_HEAD_BYTES = 8
_PID_BYTES = array("I").itemsize
_STAT_BYTES = 8
_WIDTHS = (*[_STAT_BYTES] * 4, 1, 1)
_NO_REASONS = "{}"
Row = tuple[bytes, bytes, str]


class _Packed(NamedTuple):
    """One row whose checksum is right; ``body`` begins after the pids."""

    first_pid: int
    size: int
    path: bytes
    pids: bytes
    body: bytes


def pack_directory(table: PathTable, directory: str) -> Row | None:
    """A row for ``directory``: its path, its children, why some are not indexed.

    The blob is a CRC-32 of all that follows, of the path and of the reasons; the number of
    children; then their pids (32 bits), sizes, modification times, change times and inodes (64
    bits), kinds and statuses (8 bits), and names, separated by NUL. ``None`` when nothing is in it.
    """
    children = table.children(directory)
    if not children:
        return None
    pids = array("I", children.values())
    columns = (table.sizes, table.mtimes_ns, table.ctimes_ns, table.inodes)
    path = os.fsencode(directory)
    known = table.reasons
    reasons = json.dumps({str(pid): known[pid] for pid in pids if pid in known} if known else {})
    packed = b"".join(
        [
            len(pids).to_bytes(4, "little"),
            pids.tobytes(),
            *(_gather(column, pids) for column in columns),
            bytes(map(table.kinds.__getitem__, pids)),
            bytes(map(table.statuses.__getitem__, pids)),
            os.fsencode("\0".join(children)),
        ]
    )
    return path, _checksum(path, packed, reasons) + packed, reasons


def _gather(column: array[int], pids: array[int]) -> bytes:
    first = pids[0]
    if pids == array("I", range(first, first + len(pids))):
        return column[first : first + len(pids)].tobytes()
    return array(column.typecode, map(column.__getitem__, pids)).tobytes()


def _checksum(path: bytes, packed: bytes | memoryview, reasons: str) -> bytes:
    check = zlib.crc32(packed, zlib.crc32(path))
    if reasons != _NO_REASONS:
        check = zlib.crc32(reasons.encode(), check)
    return check.to_bytes(4, "little")


def unpack_directories(table: PathTable, rows: Iterable[Row], next_pid: int) -> None:
    """Fill an empty ``table`` with stored rows; no pid is ``next_pid`` or greater.

    Raises:
        ValueError, IndexError: A row is damaged, or rows contradict each other.
    """
    every_pid = array("I", range(next_pid)).tobytes()
    runs: list[_Packed] = []
    scattered: list[_Packed] = []
    for path, packed, reasons in rows:
        if packed[:4] != _checksum(path, memoryview(packed)[4:], reasons):
            raise ValueError("a stored directory is damaged")
        if reasons != _NO_REASONS:
            table.reasons.update(_read_reasons(reasons))
        count = int.from_bytes(packed[4:_HEAD_BYTES], "little")
        end = _HEAD_BYTES + _PID_BYTES * count
        pids = packed[_HEAD_BYTES:end]
        first = int.from_bytes(pids[:_PID_BYTES], "little")
        is_run = pids == every_pid[_PID_BYTES * first : _PID_BYTES * (first + count)]
        row = _Packed(first, count, path, pids, packed[end:])
        (runs if is_run else scattered).append(row)
    runs.sort()
    columns = _join(runs, next_pid)
    for row in scattered:
        _scatter(row, columns)
    table.load(columns)


def _read_reasons(text: str) -> dict[int, str]:
    try:
        reasons = json.loads(text)
    except RecursionError:
        reasons = None
    if not isinstance(reasons, dict) or not all(isinstance(why, str) for why in reasons.values()):
        raise ValueError("the reasons stored with a directory are no texts by pid")
    return {int(pid): why for pid, why in reasons.items()}


def _join(runs: list[_Packed], next_pid: int) -> TableColumns:
    """The columns of rows that are runs of pids, with zeros where no row has a pid.

    Its loops are most of what loading costs, so they are written for speed.
    """
    parts: tuple[list[bytes], ...] = ([], [], [], [], [], [])
    sizes, mtimes, ctimes, inodes, kinds, statuses = parts
    packed_names: list[bytes] = []
    end = 0
    for first, count, _, _, body in [*runs, _Packed(next_pid, 0, b"", b"", b"")]:
        if first != end:
            if first < end:
                raise ValueError("two stored directories share a pid")
            for part, width in zip(parts, _WIDTHS, strict=True):
                part.append(bytes(width * (first - end)))
        wide = _STAT_BYTES * count
        sizes.append(body[:wide])
        mtimes.append(body[wide : 2 * wide])
        ctimes.append(body[2 * wide : 3 * wide])
        inodes.append(body[3 * wide : 4 * wide])
        at = 4 * wide + count
        kinds.append(body[4 * wide : at])
        statuses.append(body[at : at + count])
        names = body[at + count :]
        if count:
            if names.count(b"\0") != count - 1:
                raise ValueError("a stored directory does not hold as many names as it says")
            packed_names.append(names)
        end = first + count
    columns = TableColumns()
    for column, part in zip(columns.stats, parts, strict=False):
        column.frombytes(b"".join(part))
    columns.kinds += b"".join(kinds)
    columns.statuses += b"".join(statuses)
    _add_names(columns, runs, os.fsdecode(b"\0".join(packed_names)).split("\0"), next_pid)
    return columns


def _add_names(
    columns: TableColumns, runs: list[_Packed], every_name: list[str], next_pid: int
) -> None:
    names, directory_of, children = columns.names, columns.directory_of, columns.children
    taken = end = 0
    for number, (first, count, _, _, _) in enumerate(runs):
        if first > end:
            names.extend([None] * (first - end))
            directory_of.extend([0] * (first - end))
        end = first + count
        own = every_name[taken : taken + count]
        taken += count
        names += own
        directory_of.extend([number] * count)
        children.append(dict(zip(own, range(first, end), strict=True)))
    names.extend([None] * (next_pid - end))
    directory_of.extend([0] * (next_pid - end))
    columns.directories.extend(os.fsdecode(run.path) for run in runs)


def _scatter(row: _Packed, columns: TableColumns) -> None:
    """Put the children of a directory that changed since its first scan where they belong."""
    pids, count, body = array("I", row.pids), row.size, row.body
    number = len(columns.directories)
    for index, column in enumerate(columns.stats):
        start = index * _STAT_BYTES * count
        values = array(column.typecode, body[start : start + _STAT_BYTES * count])
        for pid, value in zip(pids, values, strict=True):
            column[pid] = value
    at = len(columns.stats) * _STAT_BYTES * count
    kinds, statuses = body[at : at + count], body[at + count : at + 2 * count]
    names = os.fsdecode(body[at + 2 * count :]).split("\0")
    for pid, name, kind, status in zip(pids, names, kinds, statuses, strict=True):
        if columns.names[pid] is not None:
            raise ValueError("two stored directories share a pid")
        columns.names[pid] = name
        columns.directory_of[pid] = number
        columns.kinds[pid] = kind
        columns.statuses[pid] = status
    columns.directories.append(os.fsdecode(row.path))
    columns.children.append(dict(zip(names, pids, strict=True)))
