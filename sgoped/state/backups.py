"""Good copies of ``state.db``: one from after the last change, and one of each of the last days.

A copy is made beside, checked, and on the disk before it takes its name, so a file named like a
backup is whole and was sound when it was made. Names sort by age, whatever the clock does; how old
the newest is, is told by its modification time.
"""

from __future__ import annotations

import calendar
import os
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from sgoped.database import database_files
from sgoped.state.examination import Condition, examine, is_damage
from sgoped.state.run_records import RUN_TABLES

KEPT_DAYS = 3
DAY_SECONDS = 24 * 3600
_LATEST = "state-latest.db"
_DATED = re.compile(r"state-(\d{8}-\d{6})\.db")
_TIME_FORMAT = "%Y%m%d-%H%M%S"
_PARTIAL = "state.partial"
_COPY = "-copy"


class UnsoundSourceError(Exception):
    """What is to be backed up is damaged; its copy was thrown away."""


class Backups:
    """The copies in one directory; its calls block, and belong in the database's thread.

    Args:
        directory: Made when needed.
        known_steps: The migrations that this program knows.
        clock: Unix seconds.
    """

    def __init__(
        self,
        directory: Path,
        known_steps: frozenset[str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._dir = directory
        self._known_steps = known_steps
        self._clock = clock

    @property
    def latest(self) -> Path:
        """The copy from after the last change."""
        return self._dir / _LATEST

    def newest_first(self) -> list[Path]:
        """All copies, the best one to restore first; they were sound when they were made."""
        latest = [self.latest] if self.latest.exists() else []
        return latest + self._dated()

    def newest_sound(self) -> Path | None:
        """The best copy that is still sound and that this program can read."""
        return next((path for path in self.newest_first() if self._is_sound(path)), None)

    def make(self, connection: sqlite3.Connection) -> None:
        """Copy the database, and keep the copy as the one of its day where a day has passed.

        Raises:
            UnsoundSourceError: The database is damaged; all copies are as they were.
            OSError, sqlite3.Error: The copy cannot be made; likewise.
        """
        self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.remove_partial()
        partial = self._dir / _PARTIAL
        partial.touch(mode=0o600)
        with closing(sqlite3.connect(partial)) as copy:
            copy.execute("pragma synchronous = off")  # synced as a whole, below
            connection.backup(copy)
            _leave_out_runs(copy)
            # The copy is one file, whoever looks at it.
            copy.execute("pragma journal_mode = delete")
        if examine(partial, self._known_steps) is not Condition.SOUND:
            self.remove_partial()
            raise UnsoundSourceError
        put_in_place(partial, self.latest)
        if self.is_due:
            copy_in_place(self.latest, self._next_dated())
            self._prune()

    def renew(self, connection: sqlite3.Connection) -> None:
        """Replace every copy by one of the present, in which nothing is that was deleted.

        Raises:
            UnsoundSourceError, OSError, sqlite3.Error: As ``make``; older copies may be left.
        """
        self.make(connection)
        older = self._dated()
        copy_in_place(self.latest, self._next_dated())
        for path in older:
            path.unlink(missing_ok=True)
        sync_directory(self._dir)

    @property
    def is_due(self) -> bool:
        """Whether the newest daily copy is a day old, from a future that was none, or out of reach.

        Whoever then makes one is told why it cannot be made.
        """
        try:
            dated = self._dated()
            age = self._clock() - dated[0].stat().st_mtime if dated else DAY_SECONDS
        except OSError:
            return True
        return not 0 <= age < DAY_SECONDS

    def remove_partial(self) -> None:
        """Remove what a kill left half-done."""
        remove_partial(self._dir)

    def _dated(self) -> list[Path]:
        if not self._dir.is_dir():
            return []
        found = [path for path in self._dir.iterdir() if _DATED.fullmatch(path.name)]
        return sorted(found, reverse=True)

    def _next_dated(self) -> Path:
        """A name after all others, also when the clock went back."""
        seconds = int(self._clock())
        if dated := self._dated():
            stamp = dated[0].name.removeprefix("state-").removesuffix(".db")
            with suppress(ValueError):
                seconds = max(seconds, calendar.timegm(time.strptime(stamp, _TIME_FORMAT)) + 1)
        return self._dir / f"state-{time.strftime(_TIME_FORMAT, time.gmtime(seconds))}.db"

    def _prune(self) -> None:
        """Keep the newest; one that is not sound any more takes no sound one's place."""
        kept = 0
        for path in self._dated():
            if kept == KEPT_DAYS:
                path.unlink(missing_ok=True)
            elif self._is_sound(path):
                kept += 1

    def _is_sound(self, path: Path) -> bool:
        try:
            return examine(path, self._known_steps) is Condition.SOUND
        except (OSError, sqlite3.Error):
            return False


def _leave_out_runs(copy: sqlite3.Connection) -> None:
    """What was deleted for good must not come back, and answers would make a copy large."""
    try:
        _delete_runs(copy)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise  # else the copy is found to be damaged, and told so


def _delete_runs(copy: sqlite3.Connection) -> None:
    is_there = "select count(*) from sqlite_master where type = 'table' and name = ?"
    deleted = 0
    for table in RUN_TABLES:
        if copy.execute(is_there, (table,)).fetchone()[0]:
            deleted += copy.execute(f"delete from {table}").rowcount  # noqa: S608 - a constant
    copy.commit()
    if deleted or copy.execute("pragma freelist_count").fetchone()[0]:
        copy.execute("vacuum")


def remove_partial(directory: Path) -> None:
    """Remove what a kill left half-done in a directory."""
    for file in partial_files(directory):
        file.unlink(missing_ok=True)


def partial_files(directory: Path) -> list[Path]:
    """What a kill may leave half-done in a directory."""
    partial = directory / _PARTIAL
    return [*database_files(partial), partial.with_name(f"{_PARTIAL}{_COPY}")]


def copy_in_place(source: Path, target: Path) -> None:
    """Let ``target`` become a copy of ``source``, whole or not at all, and on the disk.

    Raises:
        OSError: It cannot; ``target`` is as it was.
    """
    data = source.read_bytes()
    partial = target.with_name(f"{_PARTIAL}{_COPY}")
    partial.unlink(missing_ok=True)
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
    put_in_place(partial, target)


def put_in_place(partial: Path, target: Path) -> None:
    """Give a finished file its name, durably.

    Raises:
        OSError: It cannot be.
    """
    _sync(partial, os.O_RDONLY)
    partial.replace(target)
    sync_directory(target.parent)


def sync_directory(directory: Path) -> None:
    """Flush a directory to disk.

    Raises:
        OSError: It cannot be.
    """
    _sync(directory, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
