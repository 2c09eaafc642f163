"""``vectors.db``: which passages each file has, and the vectors of passages by their content.

A cache, kept beside the catalogue: whoever finds it missing or damaged asks for the vectors again.
A vector belongs to a text and not to a file, so that what is unchanged, renamed or copied is not
embedded twice. Each row carries a checksum, since SQLite reads a flipped bit without a word.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import struct
import zlib
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sgoped.database import Database, database_files, open_database
from sgoped.errors import StartupError
from sgoped.memory.removal import remove_anything

if TYPE_CHECKING:
    from sqlite_utils import Database as Tables

HASH_BYTES = 16
ASKED_AT_ONCE = 500
PAGE_ROWS = 1000

_STAT = struct.Struct("<Qqq Q")
_PLACE = struct.Struct(f"<II{HASH_BYTES}s")

Stat = tuple[int, int, int, int]


class Place(NamedTuple):
    """A passage of a file: its first line, its number of lines, and the hash of its text."""

    line_start: int
    line_count: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class VectorMark:
    """Whose vectors these are.

    Attributes:
        model: The id of the model that made them.
        dimensions: How many numbers each has.
        layout: How texts were cut into passages; the places of another say nothing.
    """

    model: str
    dimensions: int
    layout: str


def create_vectors_of_passages(tables: Tables) -> None:
    """Make the tables of the present format; those of a step of another name are replaced."""
    tables.execute(
        "create table mark (id integer primary key check (id = 1), mark text not null, "
        "checksum integer not null)"
    )
    tables.execute(
        "create table file (path blob primary key, places blob not null, checksum integer not null)"
    )
    tables.execute(
        "create table vector (hash blob primary key, numbers blob not null, "
        "checksum integer not null)"
    )


class VectorStore:
    """Reads and writes ``vectors.db``; its calls block.

    All raise ``sqlite3.Error`` where the file is damaged or cannot be written.
    """

    def __init__(self, database: Database, path: Path) -> None:
        self._database = database
        self._path = path

    def mark(self) -> VectorMark | None:
        """Whose vectors are kept; ``None`` when there are none, or nobody can tell."""
        row = self._database.run_blocking(
            lambda connection: connection.execute("select mark, checksum from mark").fetchone()
        )
        if row is None or zlib.crc32(row[0].encode()) != row[1]:
            return None
        return VectorMark(**json.loads(row[0]))

    def begin(self, mark: VectorMark, *, keep_vectors: bool = False) -> None:
        """Forget all files, and all vectors unless they are wanted, and begin with ``mark``."""
        text = json.dumps(asdict(mark))

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("delete from file")
            if not keep_vectors:
                connection.execute("delete from vector")
            row = (text, zlib.crc32(text.encode()))
            connection.execute("insert or replace into mark values (1, ?, ?)", row)

        self._database.run_blocking(work)

    def files(self) -> Iterator[tuple[str, Stat, list[Place]]]:
        """Every whole file row: the path, what ``stat`` said, the passages."""
        for path, packed, checksum in self._pages("file", "path"):
            if zlib.crc32(packed, zlib.crc32(path)) == checksum:
                stat, places = _unpack(packed)
                yield os.fsdecode(path), stat, places

    def _pages(self, table: str, key: str) -> Iterator[tuple[bytes, bytes, int]]:
        """All rows, some at a time, so that neither memory nor anybody's turn is taken for long."""
        query = f"select * from {table} where {key} > ? order by {key} limit {PAGE_ROWS}"  # noqa: S608 - our names
        last = b""
        while rows := self._fetch(query, [last]):
            yield from rows
            if rows[-1][0] <= last:
                raise ValueError("the rows are out of order")
            last = rows[-1][0]

    def vectors(self, hashes: Collection[bytes]) -> dict[bytes, bytes]:
        """What is kept for these hashes, as far as it is whole."""
        wanted, found = list(hashes), dict[bytes, bytes]()
        for start in range(0, len(wanted), ASKED_AT_ONCE):
            some = wanted[start : start + ASKED_AT_ONCE]
            marks = ",".join("?" * len(some))
            query = f"select * from vector where hash in ({marks})"  # noqa: S608 - question marks
            found |= {
                key: numbers
                for key, numbers, checksum in self._fetch(query, some)
                if zlib.crc32(numbers, zlib.crc32(key)) == checksum
            }
        return found

    def _fetch(self, query: str, values: Sequence[bytes]) -> list[tuple[bytes, bytes, int]]:
        return self._database.run_blocking(
            lambda connection: connection.execute(query, values).fetchall()
        )

    def save_vectors(self, vectors: Mapping[bytes, bytes]) -> None:
        """Keep vectors by hash."""
        rows = [(key, v, zlib.crc32(v, zlib.crc32(key))) for key, v in vectors.items()]
        self._database.run_blocking(
            lambda connection: connection.executemany(
                "insert or replace into vector values (?, ?, ?)", rows
            )
        )

    def save_files(self, files: Iterable[tuple[str, Stat, Sequence[Place]]]) -> None:
        """Keep which passages files have."""
        rows = []
        for path, stat, places in files:
            key = os.fsencode(path)
            packed = _STAT.pack(*stat) + b"".join(_PLACE.pack(*place) for place in places)
            rows.append((key, packed, zlib.crc32(packed, zlib.crc32(key))))
        self._database.run_blocking(
            lambda connection: connection.executemany(
                "insert or replace into file values (?, ?, ?)", rows
            )
        )

    def drop_files(self, paths: Iterable[str]) -> None:
        """Forget files; their vectors stay until ``drop_orphans``."""
        rows = [(os.fsencode(path),) for path in paths]
        self._database.run_blocking(
            lambda connection: connection.executemany("delete from file where path = ?", rows)
        )

    def drop_orphans(self) -> int:
        """Forget the vectors that no file has a passage for; how many there were."""
        used = {place.hash for _, _, places in self.files() for place in places}
        orphans = [(key,) for key, _, _ in self._pages("vector", "hash") if key not in used]
        if orphans:
            self._database.run_blocking(
                lambda connection: connection.executemany(
                    "delete from vector where hash = ?", orphans
                )
            )
        return len(orphans)

    def renew(self) -> None:
        """Put a new, empty file in the place of whatever is there.

        Raises:
            sqlite3.Error, OSError: The disk does not allow it.
        """
        self._database.reopen_blocking(lambda: _forget(self._path))


def _unpack(packed: bytes) -> tuple[Stat, list[Place]]:
    stat = _STAT.unpack_from(packed)
    places = [Place(*fields) for fields in _PLACE.iter_unpack(packed[_STAT.size :])]
    return stat, places


def _forget(path: Path) -> None:
    for file in database_files(path):
        remove_anything(file)


@asynccontextmanager
async def open_vectors(path: Path) -> AsyncGenerator[VectorStore]:
    """Open ``vectors.db``, replacing what cannot be read by an empty one.

    Raises:
        sqlite3.Error, OSError: The disk does not allow it.
    """
    steps = [create_vectors_of_passages]
    context = open_database(path, steps, synchronous="off")
    try:
        database = await context.__aenter__()
    except (sqlite3.DatabaseError, StartupError, OSError):
        await asyncio.to_thread(_forget, path)
        context = open_database(path, steps, synchronous="off")
        database = await context.__aenter__()
    try:
        yield VectorStore(database, path)
    finally:
        await context.__aexit__(None, None, None)
