"""What must survive: configured services, chosen values and use counts, in ``state.db``.

Unlike the catalogue this is not a cache: it is backed up once a day (three copies kept), and a
damaged file is moved aside and replaced by the newest good copy.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sgoped.background import background
from sgoped.database import Database, open_database
from sgoped.errors import StorageError

if TYPE_CHECKING:
    from sqlite_utils import Database as Tables

KEPT_BACKUPS = 3
BACKUP_AGE_SECONDS = 24 * 3600

Result = TypeVar("Result")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """A configured service as stored; ``config`` may hold a key, so it is never shown whole."""

    id: str
    kind: str
    name: str
    enabled: bool
    config: dict[str, Any] = field(repr=False)


def create_services(tables: Tables) -> None:
    """Make the tables of the first version."""
    tables.execute(
        "create table service (position integer primary key, id text not null unique, "
        "kind text not null, name text not null, enabled integer not null, config text not null)"
    )
    tables.execute("create table value (key text primary key, value text not null)")
    tables.execute(
        "create table file_use (path blob primary key, count real not null, "
        "last_used_at real not null)"
    )


STEPS = (create_services,)


class State:
    """Durable facts; every write is on the disk when its coroutine returns.

    Attributes:
        recovery: What was done about a damaged file at start, or an empty string.
    """

    def __init__(self, database: Database, recovery: str) -> None:
        self._database = database
        self.recovery = recovery

    async def _run(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        try:
            return await self._database.run(work)
        except sqlite3.OperationalError as error:
            full = "full" in str(error)
            raise StorageError(
                f"state.db cannot be used: {error}",
                code="storage_full" if full else "storage_failed",
            ) from error

    async def load_services(self) -> list[ServiceRow]:
        """All configured services, oldest first."""

        def work(connection: sqlite3.Connection) -> list[ServiceRow]:
            rows = connection.execute(
                "select id, kind, name, enabled, config from service order by position"
            )
            return [
                ServiceRow(id_, kind, name, bool(enabled), json.loads(config))
                for id_, kind, name, enabled, config in rows
            ]

        return await self._run(work)

    async def save_service(self, row: ServiceRow) -> None:
        """Insert ``row``, or replace the one with its id in its place."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "insert into service (id, kind, name, enabled, config) values (?, ?, ?, ?, ?) "
                "on conflict (id) do update set kind = excluded.kind, name = excluded.name, "
                "enabled = excluded.enabled, config = excluded.config",
                (row.id, row.kind, row.name, row.enabled, json.dumps(row.config)),
            )

        await self._run(work)

    async def delete_service(self, service_id: str) -> bool:
        """Forget a service; whether there was one."""

        def work(connection: sqlite3.Connection) -> bool:
            cursor = connection.execute("delete from service where id = ?", (service_id,))
            return cursor.rowcount > 0

        return await self._run(work)

    async def get_value(self, key: str) -> str | None:
        """The value stored under ``key``."""

        def work(connection: sqlite3.Connection) -> str | None:
            row = connection.execute("select value from value where key = ?", (key,)).fetchone()
            return None if row is None else str(row[0])

        return await self._run(work)

    async def set_value(self, key: str, value: str | None) -> None:
        """Store ``value`` under ``key``; ``None`` forgets it."""

        def work(connection: sqlite3.Connection) -> None:
            if value is None:
                connection.execute("delete from value where key = ?", (key,))
            else:
                connection.execute("insert or replace into value values (?, ?)", (key, value))

        await self._run(work)

    async def load_uses(self) -> dict[str, tuple[float, float]]:
        """Per path: the decayed count of uses, and when the last one was (unix seconds)."""

        def work(connection: sqlite3.Connection) -> dict[str, tuple[float, float]]:
            rows = connection.execute("select path, count, last_used_at from file_use")
            return {
                path.decode("utf-8", "surrogateescape"): (count, at) for path, count, at in rows
            }

        return await self._run(work)

    async def save_use(self, path: str, count: float, last_used_at: float) -> None:
        """Remember how often and when a file was used."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "insert or replace into file_use values (?, ?, ?)",
                (path.encode("utf-8", "surrogateescape"), count, last_used_at),
            )

        await self._run(work)


def is_sound(path: Path) -> bool:
    """Whether the database at ``path`` can be read and its structure is right."""
    try:
        with closing(sqlite3.connect(path, timeout=10)) as connection:
            return bool(connection.execute("pragma quick_check").fetchone() == ("ok",))
    except sqlite3.OperationalError:
        # Locked, or not to be opened: that is no damage, and opening it in earnest will tell.
        return True
    except sqlite3.DatabaseError:
        return False


def list_backups(directory: Path) -> list[Path]:
    """The copies of ``state.db``, newest first."""
    return sorted(directory.glob("state-*.db"), reverse=True)


def recover(path: Path, backups_dir: Path) -> str:
    """Put the newest good backup in the place of a damaged file; say what was done.

    For whoever holds the instance lock.
    """
    if not path.exists() or is_sound(path):
        return ""
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    for backup in list_backups(backups_dir):
        if is_sound(backup):
            path.touch(mode=0o600)
            path.write_bytes(backup.read_bytes())
            return f"state.db was damaged: restored {backup.name}; the old file is {aside.name}"
    return (
        f"state.db was damaged and no backup is good: started afresh; the old file is {aside.name}"
    )


def _back_up(connection: sqlite3.Connection, backups_dir: Path) -> None:
    newest = next(iter(list_backups(backups_dir)), None)
    if newest is not None and time.time() - newest.stat().st_mtime < BACKUP_AGE_SECONDS:
        return
    backups_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = backups_dir / f"state-{time.strftime('%Y%m%d-%H%M%S')}.db"
    partial = target.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    with closing(sqlite3.connect(partial)) as copy:
        connection.backup(copy)
    partial.rename(target)
    for old in list_backups(backups_dir)[KEPT_BACKUPS:]:
        old.unlink()


async def _back_up_if_due(database: Database, backups_dir: Path) -> None:
    try:
        await database.run(lambda connection: _back_up(connection, backups_dir))
    except (OSError, sqlite3.Error) as error:
        log.warning("state.db could not be backed up: %s", error)


async def _back_up_daily(database: Database, backups_dir: Path) -> None:
    while True:
        await asyncio.sleep(BACKUP_AGE_SECONDS / 24)
        await _back_up_if_due(database, backups_dir)


@asynccontextmanager
async def open_state(path: Path, backups_dir: Path) -> AsyncGenerator[State]:
    """Open ``state.db``, repairing a damaged file from its backups and backing it up daily.

    Raises:
        StartupError: The file was written by a newer version; it is left untouched.
    """
    recovery = await asyncio.to_thread(recover, path, backups_dir)
    if recovery:
        log.error("%s", recovery)
    async with open_database(path, STEPS) as database:
        await _back_up_if_due(database, backups_dir)
        async with background(backup=_back_up_daily(database, backups_dir)):
            yield State(database, recovery)
