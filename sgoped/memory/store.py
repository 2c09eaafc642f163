"""The catalogue: one SQLite row per directory, so that a restart knows what was indexed.

A directory's children are packed into one blob of columns; reading 100,000 files back takes a
tenth of the time that a row per file would. The catalogue is a cache: whoever finds it missing,
damaged or of another shape starts from an empty one.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from array import array
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlite_utils import Database as Tables

from sgoped.database import Database, open_database
from sgoped.errors import StartupError
from sgoped.memory.table import PathTable

# More than any desktop folder holds; a greater number is a flipped bit.
MAX_PIDS = 100_000_000


@dataclass(frozen=True, slots=True)
class IndexMark:
    """What the index looked like when the catalogue was last saved.

    Attributes:
        names_stamp: tantivy's opstamp of the last commit of the names index.
        bodies_stamp: Likewise for the bodies index.
        names_count: Documents in the names index.
        bodies_count: Documents in the bodies index.
        next_pid: No pid from here on was ever given out.
        generation: How often the index changed since the catalogue was made.
    """

    names_stamp: int = 0
    bodies_stamp: int = 0
    names_count: int = 0
    bodies_count: int = 0
    next_pid: int = 0
    generation: int = 0


def create_catalogue(tables: Tables) -> None:
    """Make the tables of the present format."""
    tables.execute(
        "create table directory (path blob primary key, packed blob not null, "
        "reasons text not null) without rowid"
    )
    tables.execute("create table mark (id integer primary key check (id = 1), mark text not null)")


def pack_directory(table: PathTable, directory: str) -> tuple[bytes, bytes, str] | None:
    """A row for ``directory``, or ``None`` when nothing is in it."""
    children = table.children(directory)
    if not children:
        return None
    pids = array("I", children.values())
    columns = [
        array("Q", [table.sizes[pid] for pid in pids]),
        array("q", [table.mtimes_ns[pid] for pid in pids]),
        array("q", [table.ctimes_ns[pid] for pid in pids]),
        array("Q", [table.inodes[pid] for pid in pids]),
    ]
    packed = b"".join(
        [
            len(pids).to_bytes(4, "little"),
            pids.tobytes(),
            *(column.tobytes() for column in columns),
            bytes(table.kinds[pid] for pid in pids),
            bytes(table.statuses[pid] for pid in pids),
            b"\0".join(os.fsencode(name) for name in children),
        ]
    )
    reasons = {str(pid): table.reasons[pid] for pid in pids if pid in table.reasons}
    return os.fsencode(directory), packed, json.dumps(reasons)


def unpack_directory(
    table: PathTable, path: bytes, packed: bytes, reasons: str, next_pid: int
) -> None:
    """Add the children of one stored row to ``table``; no pid is ``next_pid`` or greater.

    Raises:
        ValueError, IndexError: The row is damaged.
    """
    count = int.from_bytes(packed[:4], "little")
    offset = 4
    columns = []
    for code in "IQqqQ":
        column = array(code)
        end = offset + column.itemsize * count
        column.frombytes(packed[offset:end])
        columns.append(column)
        offset = end
    pids, *stats = columns
    kinds = packed[offset : offset + count]
    statuses = packed[offset + count : offset + 2 * count]
    names = os.fsdecode(packed[offset + 2 * count :]).split("\0")
    if len(names) != count or len(statuses) != count or max(pids) >= next_pid:
        raise ValueError("a stored directory does not hold as many names as it says")
    table.load(os.fsdecode(path), names, pids, stats=stats, kinds=kinds, statuses=statuses)
    table.reasons.update({int(pid): reason for pid, reason in json.loads(reasons).items()})


class Store:
    """Reads and writes the catalogue; its calls block and belong in the indexer's thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self, table: PathTable) -> IndexMark:
        """Fill an empty ``table``; returns the mark saved with it.

        Raises:
            sqlite3.DatabaseError, ValueError, IndexError: The catalogue is damaged.
        """

        def work(connection: sqlite3.Connection) -> IndexMark:
            row = connection.execute("select mark from mark").fetchone()
            if row is None:
                return IndexMark()
            mark = IndexMark(**json.loads(row[0]))
            if not 0 <= mark.next_pid <= MAX_PIDS:
                raise ValueError("the stored mark is damaged")
            table.reserve(mark.next_pid)
            for path, packed, reasons in connection.execute("select * from directory"):
                unpack_directory(table, path, packed, reasons, mark.next_pid)
            return mark

        return self._database.run_blocking(work)

    def save(self, table: PathTable, directories: Iterable[str], mark: IndexMark) -> None:
        """Write the named directories and the mark in one transaction."""
        rows, gone = [], []
        for directory in directories:
            row = pack_directory(table, directory)
            if row is None:
                gone.append((os.fsencode(directory),))
            else:
                rows.append(row)
        marked = json.dumps({name: getattr(mark, name) for name in IndexMark.__slots__})

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany("insert or replace into directory values (?, ?, ?)", rows)
            connection.executemany("delete from directory where path = ?", gone)
            connection.execute("insert or replace into mark values (1, ?)", (marked,))

        self._database.run_blocking(work)

    def clear(self) -> None:
        """Forget everything."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("delete from directory")
            connection.execute("delete from mark")

        self._database.run_blocking(work)


def _forget(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@asynccontextmanager
async def open_store(path: Path) -> AsyncGenerator[Store]:
    """Open the catalogue, replacing one that cannot be read by an empty one."""
    context = open_database(path, [create_catalogue], synchronous="normal")
    try:
        database = await context.__aenter__()
    except (sqlite3.DatabaseError, StartupError):
        await asyncio.to_thread(_forget, path)
        context = open_database(path, [create_catalogue], synchronous="normal")
        database = await context.__aenter__()
    try:
        yield Store(database)
    finally:
        await context.__aexit__(None, None, None)
