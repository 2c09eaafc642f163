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
import zlib
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sgoped.database import Database, open_database
from sgoped.errors import StartupError
from sgoped.memory.packing import pack_directory, unpack_directories
from sgoped.memory.table import PathTable

if TYPE_CHECKING:
    from sqlite_utils import Database as Tables


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


def create_checked_catalogue(tables: Tables) -> None:
    """Make the tables of the present format.

    Named differently for each format: a catalogue made by a step of another name is replaced.
    """
    tables.execute(
        "create table directory (path blob primary key, packed blob not null, "
        "reasons text not null) without rowid"
    )
    tables.execute(
        "create table mark (id integer primary key check (id = 1), mark text not null, "
        "checksum integer not null)"
    )


def load_table(connection: sqlite3.Connection, table: PathTable) -> IndexMark:
    """Fill an empty ``table`` with what the catalogue holds; returns the mark saved with it.

    Raises:
        sqlite3.DatabaseError, ValueError, IndexError: The catalogue is damaged; so may be ``table``.
    """
    row = connection.execute("select mark, checksum from mark").fetchone()
    if row is None:
        return IndexMark()
    if zlib.crc32(row[0].encode()) != row[1]:
        raise ValueError("the stored mark is damaged")
    mark = IndexMark(**json.loads(row[0]))
    rows = connection.execute("select path, packed, reasons from directory")
    unpack_directories(table, rows, mark.next_pid)
    return mark


class Store:
    """Reads and writes the catalogue; its calls block and belong in the indexer's thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self, table: PathTable) -> IndexMark:
        """Fill an empty ``table``; returns the mark saved with it.

        Raises:
            sqlite3.DatabaseError, ValueError, IndexError: The catalogue is damaged; so may be ``table``.
        """
        return self._database.run_blocking(lambda connection: load_table(connection, table))

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
            connection.execute(
                "insert or replace into mark values (1, ?, ?)",
                (marked, zlib.crc32(marked.encode())),
            )

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
    context = open_database(path, [create_checked_catalogue], synchronous="normal")
    try:
        database = await context.__aenter__()
    except (sqlite3.DatabaseError, StartupError):
        await asyncio.to_thread(_forget, path)
        context = open_database(path, [create_checked_catalogue], synchronous="normal")
        database = await context.__aenter__()
    try:
        yield Store(database)
    finally:
        await context.__aexit__(None, None, None)
