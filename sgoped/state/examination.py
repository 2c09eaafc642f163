"""Whether a database file is sound, told without changing a byte of it."""

from __future__ import annotations

import json
import re
import sqlite3
from enum import Enum
from pathlib import Path

from sgoped.database import has_log, reading

_DAMAGE = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_MISMATCH}
)
_PRIMARY = 0xFF
_ERROR_CODE = re.compile(r"error code[ =](\d+)")
_HAS_STEPS = "select count(*) from sqlite_master where name = '_sqlite_migrations'"
_STEPS = "select name from _sqlite_migrations"


class Condition(Enum):
    """What a database file is."""

    SOUND = "sound"
    MISSING = "missing"
    EMPTY = "empty"
    DAMAGED = "damaged"
    NEWER = "newer"


def examine(
    path: Path, known_steps: frozenset[str], *, live: bool = False, copy: Path | None = None
) -> Condition:
    """Look at a database file.

    A flipped bit inside of a stored text is the one damage that cannot be seen, because SQLite
    has no checksums; one that makes a service unreadable is.

    Args:
        path: The file.
        known_steps: The migrations that this program knows; ``NEWER`` is a file with others.
        live: Whether a daemon may have it open.
        copy: Where a copy is put, should one be needed to look; see ``reading``.

    Raises:
        OSError: The file cannot be read.
        sqlite3.Error: The disk fails, which says nothing of the file.
    """
    try:
        path.lstat()
    except FileNotFoundError:  # and nothing else: what cannot be looked at is not missing
        return Condition.MISSING
    if not path.is_file():
        return Condition.DAMAGED
    if not path.stat().st_size:
        return Condition.DAMAGED if has_log(path) else Condition.EMPTY
    try:
        with reading(path, live=live, copy=copy) as connection:
            return _judge(connection, known_steps)
    except sqlite3.Error as error:
        if is_damage(error):
            return Condition.DAMAGED
        raise


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error means that the file is damaged, rather than locked or out of reach."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # sqlite3's own: a text that is no UTF-8
        return "decode" in str(error)
    return _tells_damage(code)


def _tells_damage(code: int) -> bool:
    return code & _PRIMARY in _DAMAGE or code == sqlite3.SQLITE_IOERR_SHORT_READ


def _judge(connection: sqlite3.Connection, known_steps: frozenset[str]) -> Condition:
    (verdict,) = connection.execute("pragma integrity_check(1)").fetchone()
    if verdict != "ok":
        # A page that the disk refused to read is told in the same way as a damaged one.
        code = _ERROR_CODE.search(verdict)
        if code is not None and not _tells_damage(int(code[1])):
            raise sqlite3.OperationalError(verdict)
        return Condition.DAMAGED
    if not connection.execute(_HAS_STEPS).fetchone()[0]:
        return Condition.EMPTY
    if {name for (name,) in connection.execute(_STEPS)} - known_steps:
        return Condition.NEWER
    return Condition.SOUND if _is_readable(connection) else Condition.DAMAGED


def _is_readable(connection: sqlite3.Connection) -> bool:
    """Whether the texts that a start depends on can be read; integrity_check does not look."""
    try:
        for _, _, _, config in connection.execute("select id, kind, name, config from service"):
            json.loads(config)
        connection.execute("select key, value from value").fetchall()
    except sqlite3.OperationalError as error:
        return not is_damage(error)  # a first start that was killed has no tables yet
    except ValueError:
        return False
    return True


def copy_of(path: Path) -> Path:
    """Where an examination of ``path`` that is killed leaves a copy of it."""
    return path.with_name(f"{path.name}.examined")
