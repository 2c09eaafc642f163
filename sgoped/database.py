"""One SQLite file, owned by one thread with one connection.

A single connection keeps clear of SQLite's WAL-reset defect, which needs two connections that
write or checkpoint, and its own thread keeps every statement off the event loop. The schema is
made and changed by sqlite-utils migrations; a database from a newer program is refused untouched.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from sgoped.errors import StartupError

if TYPE_CHECKING:
    from sqlite_utils import Database as Tables

BUSY_SECONDS = 10.0
READ_SECONDS = 5.0
_LOG = "-wal"

Result = TypeVar("Result")
Step: TypeAlias = "Callable[[Tables], None]"


class Database:
    """Runs functions against the connection, one at a time, in the database's own thread."""

    def __init__(
        self, connect: Callable[[], sqlite3.Connection], executor: ThreadPoolExecutor
    ) -> None:
        self._connect = connect
        self._executor = executor
        self._connection = connect()

    async def run(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Return ``work(connection)``; writes are committed when it returns, else rolled back."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._transact, work)

    def run_blocking(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Do as ``run`` does, for a caller that is itself in a worker thread."""
        return self._executor.submit(self._transact, work).result()

    def reopen_blocking(self, meanwhile: Callable[[], None]) -> None:
        """Close the file, do ``meanwhile``, and open it again, all in the database's own thread.

        Raises:
            sqlite3.Error, OSError: The file cannot be opened; later work fails likewise.
        """
        self._executor.submit(self._reopen, meanwhile).result()

    def _reopen(self, meanwhile: Callable[[], None]) -> None:
        self._connection.close()
        meanwhile()
        self._connection = self._connect()

    def close(self) -> None:
        """Close the file; belongs in the database's own thread."""
        self._connection.close()

    def _transact(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        with self._connection:
            return work(self._connection)


def _connect(path: Path, steps: Sequence[Step], synchronous: str) -> sqlite3.Connection:
    if not path.exists():
        path.touch(mode=0o600)
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)
    try:
        applied = _applied_steps(connection)
        _refuse_newer(applied, path, steps)
        connection.execute("pragma journal_mode = wal")
        connection.execute(f"pragma synchronous = {synchronous}")
        if any(step.__name__ not in applied for step in steps):
            _migrate(connection, steps)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def reading(
    path: Path, *, live: bool = False, copy: Path | None = None
) -> Iterator[sqlite3.Connection]:
    """A connection to a database that may be another process's; nothing of it changes.

    SQLite writes when it merely opens: it takes a write-ahead log into the file. So a file
    without a log is opened as immutable, and one with a log is looked at as a copy.

    Args:
        path: The file.
        live: Whether a daemon may have it open; it is then read beside it.
        copy: Where a copy is put, should one be needed; a kill may leave it there. Without it,
            in a temporary directory.

    Raises:
        sqlite3.Error: It cannot be read, or is damaged.
        OSError: It is missing, or cannot be copied.
    """
    path.stat()  # SQLite would call a missing file one that cannot be opened
    with ExitStack() as stack:
        if live and _beside(path, "-shm").exists():
            uri = f"{path.absolute().as_uri()}?mode=ro"
        elif not has_log(path):
            uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        else:
            if copy is None:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="sgoped-"))
                copy = Path(folder) / path.name
            remove_database(copy)
            stack.callback(remove_database, copy)
            _copy_privately(path, copy)
            _copy_privately(_beside(path, _LOG), _beside(copy, _LOG))
            uri = copy.absolute().as_uri()
        connecting = sqlite3.connect(uri, timeout=READ_SECONDS, uri=True)
        yield stack.enter_context(closing(connecting))


def has_log(path: Path) -> bool:
    """Whether something of a database is in its write-ahead log: it is open, or was killed."""
    log = _beside(path, _LOG)
    return log.exists() and log.stat().st_size > 0


def database_files(path: Path) -> list[Path]:
    """All that SQLite may keep of the database at ``path``, the file itself first."""
    return [_beside(path, suffix) for suffix in ("", _LOG, "-shm", "-journal")]


def remove_database(path: Path) -> None:
    """Remove a database with all that SQLite kept beside it.

    Raises:
        OSError: The disk refuses.
    """
    for file in database_files(path):
        file.unlink(missing_ok=True)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}{suffix}")


def _copy_privately(source: Path, target: Path) -> None:
    """It may hold keys."""
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as written, source.open("rb") as read:
        shutil.copyfileobj(read, written)


def _applied_steps(connection: sqlite3.Connection) -> list[str]:
    table = "select 1 from sqlite_master where name = '_sqlite_migrations'"
    if connection.execute(table).fetchone() is None:
        return []
    return [
        name for (name,) in connection.execute("select name from _sqlite_migrations order by id")
    ]


def _refuse_newer(applied: Sequence[str], path: Path, steps: Sequence[Step]) -> None:
    known = {step.__name__ for step in steps}
    unknown = [name for name in applied if name not in known]
    if unknown:
        message = (
            f"{path} was written by a newer sgoped (it knows {unknown[-1]!r}); "
            "nothing was touched. Install that version again, or move the file away."
        )
        raise StartupError(message, code="newer_schema", exit_code=78)


def _migrate(connection: sqlite3.Connection, steps: Sequence[Step]) -> None:
    # Imported where the schema changes, which no usual start does: it takes a tenth of a start.
    with _without_numpy():
        from sqlite_utils import Database as Tables  # noqa: PLC0415
        from sqlite_utils import Migrations  # noqa: PLC0415

    migrations = Migrations("sgoped")
    for step in steps:
        migrations(name=step.__name__)(step)
    migrations.apply(Tables(connection, execute_plugins=False))
    connection.commit()


@contextmanager
def _without_numpy() -> Iterator[None]:
    """Keep sqlite-utils from importing numpy, which it does wherever it finds it.

    It has no use for it here, and its memory and threads would stay. Who needs numpy imports it
    before a database of theirs is opened.
    """
    is_there = "numpy" in sys.modules
    if not is_there:
        sys.modules["numpy"] = None  # type: ignore[assignment] # so is an import made to fail
    try:
        yield
    finally:
        if not is_there:
            del sys.modules["numpy"]


@asynccontextmanager
async def open_database(
    path: Path, steps: Sequence[Step], *, synchronous: str = "full"
) -> AsyncGenerator[Database]:
    """Open or create the database at ``path`` and bring its schema up to date.

    Args:
        path: The file; its directory exists. Created with mode 0600.
        steps: Functions that make the present schema, oldest first; each is run once, in a
            transaction of its own, and is remembered by its name.
        synchronous: SQLite's ``synchronous`` level: ``full`` for what must survive a power cut,
            ``normal`` or ``off`` for caches.

    Raises:
        StartupError: The file was written by a newer version; it is left untouched.
        sqlite3.DatabaseError: The file is not a database or is damaged.
    """
    executor = ThreadPoolExecutor(1, thread_name_prefix=f"sqlite-{path.stem}")
    loop = asyncio.get_running_loop()
    try:
        connect = partial(_connect, path, steps, synchronous)
        database = await loop.run_in_executor(executor, Database, connect, executor)
        try:
            yield database
        finally:
            await loop.run_in_executor(executor, database.close)
    finally:
        executor.shutdown()
