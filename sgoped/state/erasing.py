"""Deleting for good: not a byte of what was deleted stays in the file, its log and the backups.

SQLite leaves what is deleted in its pages, its log keeps the pages of before, and the backups are
from before, too. So a deletion is noted in its own transaction, and the note goes when all of these
are made anew; after a kill in between the next start goes on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from sgoped.errors import StorageError

_NOTE = "erasing"


def note_deletion(connection: sqlite3.Connection) -> None:
    """Say, in the transaction that deletes, that there is something to wipe."""
    connection.execute("pragma secure_delete = on")
    connection.execute("insert or replace into value values (?, 'yes')", (_NOTE,))


def is_due(connection: sqlite3.Connection) -> bool:
    """Whether something was deleted that is not wiped yet."""
    found = connection.execute("select 1 from value where key = ?", (_NOTE,)).fetchone()
    return found is not None


def erase(connection: sqlite3.Connection, renew_backups: Callable[[], None]) -> None:
    """Write the whole file anew, empty its log, and make the backups again.

    Args:
        connection: Outside of a transaction; the only one that writes.
        renew_backups: Replaces every backup.

    Raises:
        StorageError: Somebody else reads the file, so that its log cannot be emptied.
        OSError, sqlite3.Error: The disk refuses. In all cases it can be done again.
    """
    connection.execute("vacuum")
    (is_busy, _, _) = connection.execute("pragma wal_checkpoint(truncate)").fetchone()
    if is_busy:
        raise StorageError("another program reads state.db, whose log cannot be emptied")
    renew_backups()
    connection.execute("delete from value where key = ?", (_NOTE,))
