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
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sgoped.database import Database, database_files, open_database
from sgoped.errors import StartupError
from sgoped.memory.packing import pack_directory, unpack_directories
from sgoped.memory.removal import remove_anything
from sgoped.memory.table import PathTable

if TYPE_CHECKING:
    from sqlite_utils import Database as Tables


@dataclass(frozen=True, slots=True)
class IndexClaim:
    """What one index must look like to be the one that the catalogue was saved with.

    Attributes:
        identity: The name it got when it was made.
        stamp: tantivy's opstamp of its last commit; a kill may have left a later one.
        count: Its documents; ``kept.UNKNOWN_COUNT`` when some were still to come.
        checksums: Of its files, by name; merged ones are missing, new ones are not here.
    """

    identity: str = ""
    stamp: int = 0
    count: int = 0
    checksums: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IndexMark:
    """What the indexes looked like when the catalogue was last saved.

    Attributes:
        names: The names index.
        bodies: The bodies index.
        next_pid: No pid from here on was ever given out.
        generation: How often the index changed since the catalogue was made.
        mounted: Whether a drive was mounted at the memory folder.
    """

    names: IndexClaim = field(default_factory=IndexClaim)
    bodies: IndexClaim = field(default_factory=IndexClaim)
    next_pid: int = 0
    generation: int = 0
    mounted: bool = False


def create_catalogue_of_claims(tables: Tables) -> None:
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
        sqlite3.DatabaseError, ValueError, LookupError, TypeError: The catalogue is damaged; so
            may be ``table``.
    """
    row = connection.execute("select mark, checksum from mark").fetchone()
    if row is None:
        if connection.execute("select 1 from directory").fetchone() is not None:
            raise ValueError("the stored mark is missing")
        return IndexMark()
    if zlib.crc32(row[0].encode()) != row[1]:
        raise ValueError("the stored mark is damaged")
    told = json.loads(row[0])
    paths, names, bodies = (told.pop(key) for key in ("paths", "names", "bodies"))
    mark = IndexMark(IndexClaim(**names), IndexClaim(**bodies), **told)
    rows = connection.execute("select path, packed, reasons from directory")
    unpack_directories(table, rows, mark.next_pid)
    if len(table) != paths:
        raise ValueError("a stored directory is missing")
    return mark


class Store:
    """Reads and writes the catalogue; its calls block and belong in the indexer's thread."""

    def __init__(self, database: Database, path: Path) -> None:
        self._database = database
        self._path = path

    def load(self, table: PathTable) -> IndexMark:
        """Fill an empty ``table``; returns the mark saved with it.

        Raises:
            sqlite3.DatabaseError, ValueError, LookupError, TypeError: The catalogue is damaged; so
                may be ``table``.
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
        # A row that a damaged page hides would else not be missed.
        marked = json.dumps({**asdict(mark), "paths": len(table)})

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany("insert or replace into directory values (?, ?, ?)", rows)
            connection.executemany("delete from directory where path = ?", gone)
            connection.execute(
                "insert or replace into mark values (1, ?, ?)",
                (marked, zlib.crc32(marked.encode())),
            )

        self._database.run_blocking(work)

    def flush(self) -> None:
        """Put all that was saved on the disk, so that not even a power cut brings back what was.

        Raises:
            sqlite3.Error: The disk does not allow it.
        """

        def work(connection: sqlite3.Connection) -> None:
            (busy, *_) = connection.execute("pragma wal_checkpoint(full)").fetchone()
            if busy:
                raise sqlite3.OperationalError("somebody reads the catalogue")

        self._database.run_blocking(work)

    def clear(self) -> None:
        """Forget everything, by a new file in the place of whatever is there.

        Raises:
            sqlite3.Error, OSError: The disk does not allow it.
        """
        self._database.reopen_blocking(lambda: _forget(self._path))

    @property
    def vanished(self) -> bool:
        """Whether the file was taken away, so that what is saved would not be found again."""
        try:
            return not self._path.is_file()
        except OSError:  # out of reach for now: nobody took it away
            return False


def _forget(path: Path) -> None:
    for file in database_files(path):
        remove_anything(file)


@asynccontextmanager
async def open_store(path: Path) -> AsyncGenerator[Store]:
    """Open the catalogue, replacing one that cannot be read by an empty one."""
    context = open_database(path, [create_catalogue_of_claims], synchronous="normal")
    try:
        database = await context.__aenter__()
    except (sqlite3.DatabaseError, StartupError, OSError):
        await asyncio.to_thread(_forget, path)
        context = open_database(path, [create_catalogue_of_claims], synchronous="normal")
        database = await context.__aenter__()
    try:
        yield Store(database, path)
    finally:
        await context.__aexit__(None, None, None)
