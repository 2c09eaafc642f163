"""Whether a database file is sound, told without changing a byte of it.

SQLite writes when it merely opens: it takes a write-ahead log into the file. So a file without a
log is opened as immutable, and one with a log (its daemon was killed) is looked at as a copy.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from enum import Enum
from pathlib import Path
from urllib.parse import quote

_LOG_SUFFIX = "-wal"
_COPY_SUFFIXES = ("", "-wal", "-shm", "-journal")
_DAMAGE = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_MISMATCH}
)
_PRIMARY = 0xFF
_ERROR_CODE = re.compile(r"error code[ =](\d+)")
_HAS_STEPS = "select count(*) from sqlite_master where name = '_sqlite_migrations'"
_STEPS = "select name from _sqlite_migrations"


class Finding(Enum):
    """What a database file is."""

    SOUND = "sound"
    MISSING = "missing"
    EMPTY = "empty"
    DAMAGED = "damaged"
    NEWER = "newer"


def examine(path: Path, known_steps: frozenset[str]) -> Finding:
    """Look at a database file.

    A flipped bit inside of a stored text is the one damage that cannot be seen, because SQLite
    has no checksums; one that makes a service unreadable is.

    Args:
        path: The file.
        known_steps: The migrations that this program knows; ``NEWER`` is a file with others.

    Raises:
        OSError: The file cannot be read.
        sqlite3.Error: The disk fails, which says nothing of the file.
    """
    try:
        path.lstat()
    except FileNotFoundError:  # and nothing else: what cannot be looked at is not missing
        return Finding.MISSING
    if not path.is_file():
        return Finding.DAMAGED
    if not path.stat().st_size:
        return Finding.DAMAGED if _has_log(path) else Finding.EMPTY
    try:
        with _unchanged(path) as connection:
            return _judge(connection, known_steps)
    except sqlite3.Error as error:
        if is_damage(error):
            return Finding.DAMAGED
        raise


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error means that the file is damaged, rather than locked or out of reach."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # sqlite3's own: a text that is no UTF-8
        return "decode" in str(error)
    return _tells_damage(code)


def _tells_damage(code: int) -> bool:
    return code & _PRIMARY in _DAMAGE or code == sqlite3.SQLITE_IOERR_SHORT_READ


def _judge(connection: sqlite3.Connection, known_steps: frozenset[str]) -> Finding:
    (verdict,) = connection.execute("pragma integrity_check(1)").fetchone()
    if verdict != "ok":
        # A page that the disk refused to read is told in the same way as a damaged one.
        code = _ERROR_CODE.search(verdict)
        if code is not None and not _tells_damage(int(code[1])):
            raise sqlite3.OperationalError(verdict)
        return Finding.DAMAGED
    if not connection.execute(_HAS_STEPS).fetchone()[0]:
        return Finding.EMPTY
    if {name for (name,) in connection.execute(_STEPS)} - known_steps:
        return Finding.NEWER
    return Finding.SOUND if _is_readable(connection) else Finding.DAMAGED


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


@contextmanager
def _unchanged(path: Path) -> Iterator[sqlite3.Connection]:
    if not _has_log(path):
        uri = f"file:{quote(os.fsencode(path))}?mode=ro&immutable=1"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            yield connection
        return
    copy = path.with_name(f"{path.name}.examined")
    remove_copy(path)
    try:
        _copy_privately(path, copy)
        _copy_privately(_log_of(path), _log_of(copy))
        with closing(sqlite3.connect(copy)) as connection:
            yield connection
    finally:
        remove_copy(path)


def remove_copy(path: Path) -> None:
    """Remove what an examination of ``path`` that was killed may have left."""
    copy = path.with_name(f"{path.name}.examined")
    for suffix in _COPY_SUFFIXES:
        copy.with_name(copy.name + suffix).unlink(missing_ok=True)


def _copy_privately(source: Path, target: Path) -> None:
    """It may hold keys."""
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as written, source.open("rb") as read:
        shutil.copyfileobj(read, written)


def _has_log(path: Path) -> bool:
    log = _log_of(path)
    return log.exists() and log.stat().st_size > 0


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + _LOG_SUFFIX)
