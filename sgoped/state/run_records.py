"""``RunRecords``: answers that were made, or are being made, as ``state.db`` keeps them.

What a run tells is opaque here: pages of bytes, each with the number of its first event. They are
written often, so they cause no backup, and backups are made without them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sgoped.state.erasing import note_deletion
from sgoped.state.texts import storable

if TYPE_CHECKING:
    from sqlite_utils import Database as Tables

    from sgoped.state.facts import State

MAX_STORED_BYTES = 64 * 1024 * 1024
LIVE = "live"
RUN_TABLES = ("run_page", "run")

_COLUMNS = "id, started_at, state, info, ending, last_event"


def create_runs(tables: Tables) -> None:
    """Make the tables of runs."""
    tables.execute(
        "create table run (id text primary key, started_at real not null, state text not null, "
        "info text not null, ending text not null, last_event integer not null, "
        "told text not null, text text not null, stored_bytes integer not null)"
    )
    tables.execute("create index run_started on run (started_at)")
    tables.execute(
        "create table run_page (run_id text not null, first integer not null, "
        "last integer not null, events blob not null, primary key (run_id, first)) without rowid"
    )


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as lists show it.

    Attributes:
        id: Of the run.
        started_at: In unix seconds.
        state: ``live``, or how it ended.
        info: JSON of what it is.
        end: JSON of its last event; empty while it lives.
        last_event: Number of its newest event.
    """

    id: str
    started_at: float
    state: str
    info: str
    end: str
    last_event: int


@dataclass(frozen=True, slots=True)
class PageRow:
    """Events ``first`` to ``last``, packed."""

    first: int
    last: int
    events: bytes


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run with all that is kept of it.

    Attributes:
        row: As lists show it.
        told: JSON of what was told beside the answer; empty while it lives.
        text: The answer; empty while it lives, when the pages alone hold it.
        pages: Its events, oldest first.
    """

    row: RunRow
    told: str
    text: str
    pages: tuple[PageRow, ...]


@dataclass(frozen=True, slots=True)
class RunChange:
    """What became of a run since it was written last.

    Attributes:
        row: As it is now.
        first: Number of the oldest event to keep.
        pages: Makes the pages to write; called in the database's thread.
        told: As in ``StoredRun``.
        text: As in ``StoredRun``.
    """

    row: RunRow
    first: int
    pages: Callable[[], Sequence[PageRow]]
    told: str = ""
    text: str = ""


class RunRecords:
    """Reads and writes runs; every call may raise ``StorageError``."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def save(
        self, changes: Sequence[RunChange], max_runs: int, max_bytes: int = MAX_STORED_BYTES
    ) -> None:
        """Write all ``changes`` at once; the oldest ended runs go when there are too many."""

        def work(connection: sqlite3.Connection) -> None:
            for change in changes:
                _save(connection, change)
            if any(change.row.state != LIVE for change in changes):
                _prune(connection, max_runs, max_bytes)

        await self._state.run(work)

    async def listed(self, limit: int, state: str = "") -> list[RunRow]:
        """The newest runs first; those in ``state`` alone, unless it is empty."""

        def work(connection: sqlite3.Connection) -> list[RunRow]:
            rows = connection.execute(
                f"select {_COLUMNS} from run where ? in ('', state) "  # noqa: S608 - constants
                "order by started_at desc, id limit ?",
                (state, limit),
            )
            return [RunRow(*row) for row in rows]

        return await self._state.run(work)

    async def load(self, run_id: str) -> StoredRun | None:
        """Everything that is kept of a run."""

        def work(connection: sqlite3.Connection) -> StoredRun | None:
            found = connection.execute(
                f"select {_COLUMNS}, told, text from run where id = ?",  # noqa: S608 - constants
                (run_id,),
            ).fetchone()
            if found is None:
                return None
            pages = connection.execute(
                "select first, last, events from run_page where run_id = ? order by first",
                (run_id,),
            )
            *row, told, text = found
            return StoredRun(RunRow(*row), told, text, tuple(PageRow(*page) for page in pages))

        return await self._state.run(work)

    async def delete(self, run_id: str) -> bool:
        """Forget a run, so that no byte of it stays in any file; whether there was one."""

        def work(connection: sqlite3.Connection) -> bool:
            note_deletion(connection)
            return _delete(connection, run_id)

        deleted = await self._state.run(work)
        await self._state.erase()
        return deleted

    async def clear(self) -> None:
        """Forget all runs, likewise."""

        def work(connection: sqlite3.Connection) -> None:
            if connection.execute("select 1 from run limit 1").fetchone() is None:
                return
            note_deletion(connection)
            for table in RUN_TABLES:
                connection.execute(f"delete from {table}")  # noqa: S608 - a constant

        await self._state.run(work)
        await self._state.erase(only_if_due=True)


def _save(connection: sqlite3.Connection, change: RunChange) -> None:
    row = change.row
    connection.executemany(
        "insert or replace into run_page (run_id, first, last, events) values (?, ?, ?, ?)",
        [(row.id, page.first, page.last, page.events) for page in change.pages()],
    )
    connection.execute(
        "delete from run_page where run_id = ? and last < ?",
        (row.id, change.first),
    )
    connection.execute(
        f"insert or replace into run ({_COLUMNS}, told, text, stored_bytes) "  # noqa: S608 - constants
        "values (?, ?, ?, ?, ?, ?, ?, ?, ? + "
        "(select coalesce(sum(length(events)), 0) from run_page where run_id = ?))",
        (
            *(row.id, row.started_at, row.state, row.info, row.end, row.last_event),
            *(change.told, storable(change.text), _size(change), row.id),
        ),
    )


def _size(change: RunChange) -> int:
    return len(change.row.info) + len(change.row.end) + len(change.told) + len(change.text)


def _prune(connection: sqlite3.Connection, max_runs: int, max_bytes: int) -> None:
    ended = connection.execute(
        "select id, stored_bytes from run where state != ? order by started_at desc", (LIVE,)
    ).fetchall()
    total = 0
    for number, (run_id, stored_bytes) in enumerate(ended):
        total += stored_bytes
        if number >= max_runs or total > max_bytes:
            _delete(connection, run_id)


def delete_runs_of(connection: sqlite3.Connection, conversation_id: str) -> None:
    """Take the runs of a conversation out, in the transaction that deletes it."""
    ids = connection.execute(
        "select id from run where json_valid(info) and json_extract(info, '$.conversation_id') = ?",
        (conversation_id,),
    ).fetchall()
    for (run_id,) in ids:
        _delete(connection, run_id)


def _delete(connection: sqlite3.Connection, run_id: str) -> bool:
    connection.execute("delete from run_page where run_id = ?", (run_id,))
    return connection.execute("delete from run where id = ?", (run_id,)).rowcount > 0
