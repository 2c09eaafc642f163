"""What must survive: services, chosen values, use counts and conversations, in ``state.db``.

Other modules keep tables of their own there, through ``State.run``.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from sgoped.database import Database
from sgoped.errors import StorageError
from sgoped.state import erasing
from sgoped.state.backups import UnsoundSourceError
from sgoped.state.conversation_rows import create_conversations
from sgoped.state.conversations import ConversationRows
from sgoped.state.enrichments import add_may_leave, create_enrichments
from sgoped.state.examination import is_damage
from sgoped.state.run_records import create_runs

if TYPE_CHECKING:
    from sqlite_utils import Database as Tables

_DAMAGED = (
    "state.db is damaged; restart sgoped, and its newest good backup takes its place (the damaged "
    "file is kept)"
)
_CODES = (("full", "storage_full"), ("readonly", "read_only"))

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


STEPS = (create_services, create_conversations, create_runs, create_enrichments, add_may_leave)


class State:
    """Durable facts; every write is on the disk when its coroutine returns.

    Args:
        database: Where they are.
        recovery: What was done about a lost or damaged file at start, or an empty string.
        renew_backups: Replaces every backup by a copy of what is there now.

    Attributes:
        recovery: As given.
        problem: Why the file cannot be used now; empty when all is well.
        changed: Set when services or chosen values changed since the last backup.
        grown: Whether conversations did, for which a backup can wait.
        conversations: What is kept of them.
    """

    def __init__(
        self,
        database: Database,
        recovery: str,
        renew_backups: Callable[[sqlite3.Connection], None],
    ) -> None:
        self._database = database
        self._renew_backups = renew_backups
        self.recovery = recovery
        self.problem = ""
        self.changed = asyncio.Event()
        self.grown = False
        self.conversations = ConversationRows(self._run, self._note_growth)

    def _note_growth(self) -> None:
        self.grown = True

    def note_damage(self) -> None:
        """The file turned out to be damaged while it is in use."""
        if not self.problem:
            log.error("%s", _DAMAGED)
        self.problem = _DAMAGED

    async def run(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Do ``work`` in the database's thread, in one transaction, for who has tables of its own.

        Raises:
            StorageError: The disk refuses, or the file is damaged.
        """
        return await self._run(work)

    async def _run(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        try:
            return await self._database.run(work)
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                self.note_damage()
                raise StorageError(_DAMAGED) from error
            code = next((code for word, code in _CODES if word in str(error)), None)
            raise StorageError(f"state.db cannot be used: {error}", code=code) from error
        except ValueError as error:  # a stored text that is not what was stored
            self.note_damage()
            raise StorageError(_DAMAGED) from error

    async def erase(self, *, only_if_due: bool = False) -> None:
        """Let nothing of what was deleted stay in the file, its log and the backups.

        Args:
            only_if_due: Do nothing where all that was deleted is wiped.

        Raises:
            StorageError: Something is left; the next start tries again.
        """

        def work(connection: sqlite3.Connection) -> None:
            if not only_if_due or erasing.is_due(connection):
                erasing.erase(connection, lambda: self._renew_backups(connection))

        try:
            await self._run(work)
        except UnsoundSourceError as error:
            self.note_damage()
            raise StorageError(_DAMAGED) from error
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise StorageError(f"a backup of state.db cannot be made again: {reason}") from error

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
        self.changed.set()

    async def delete_service(self, service_id: str) -> bool:
        """Forget a service; whether there was one."""

        def work(connection: sqlite3.Connection) -> bool:
            cursor = connection.execute("delete from service where id = ?", (service_id,))
            return cursor.rowcount > 0

        deleted = await self._run(work)
        self.changed.set()
        return deleted

    async def get_value(self, key: str) -> str | None:
        """The value stored under ``key``."""

        def work(connection: sqlite3.Connection) -> str | None:
            row = connection.execute("select value from value where key = ?", (key,)).fetchone()
            return None if row is None else str(row[0])

        return await self._run(work)

    async def set_value(self, key: str, value: str | None, *, worth_backup: bool = True) -> None:
        """Store ``value`` under ``key``; ``None`` forgets it.

        Args:
            key: Its name.
            value: What to store.
            worth_backup: Whether a backup is made soon; not of what is found out again by itself.
        """

        def work(connection: sqlite3.Connection) -> None:
            if value is None:
                connection.execute("delete from value where key = ?", (key,))
            else:
                connection.execute("insert or replace into value values (?, ?)", (key, value))

        await self._run(work)
        if worth_backup:
            self.changed.set()

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
