"""Opens ``state.db``: recovered when it was damaged, and backed up for as long as it is open."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from sgoped.background import background
from sgoped.database import Database, database_files, open_database
from sgoped.errors import StartupError, StorageError
from sgoped.state.backups import Backups, UnsoundSourceError, partial_files
from sgoped.state.examination import Condition, copy_of, examine, is_damage
from sgoped.state.facts import STEPS, State
from sgoped.state.recovery import recover

_KNOWN_STEPS = frozenset(step.__name__ for step in STEPS)
# One change seldom comes alone: a page edits a service by removing and adding it.
QUIET_SECONDS = 2.0
MIN_INTERVAL_SECONDS = 60.0
LOOK_SECONDS = 3600.0

log = logging.getLogger(__name__)


def list_backups(backups_dir: Path) -> list[Path]:
    """The copies of ``state.db``, the best one to restore first."""
    return Backups(backups_dir, _KNOWN_STEPS).newest_first()


def examine_state(path: Path, *, live: bool = False) -> Condition:
    """Look at ``state.db`` or a backup of it, which does not change; see ``examine``.

    Args:
        path: The file.
        live: Whether a daemon may have it open.

    Raises:
        OSError, sqlite3.Error: It cannot be looked at.
    """
    return examine(path, _KNOWN_STEPS, live=live)


def unfinished_copies(path: Path, backups_dir: Path) -> list[Path]:
    """Where kills may leave copies of ``state.db``; the next start removes what is there."""
    folders = [path.parent, backups_dir]
    partial = [file for folder in folders for file in partial_files(folder)]
    return [*partial, *database_files(copy_of(path))]


def recover_state(path: Path, backups_dir: Path) -> str:
    """Do what a start does about a lost or damaged ``state.db``; for who holds the instance lock.

    Returns:
        What was done, for a person; empty when there was nothing to do.

    Raises:
        StartupError: A newer version wrote it; nothing was touched.
        OSError, sqlite3.Error: It cannot be looked at, or the disk refuses.
    """
    return recover(path, Backups(backups_dir, _KNOWN_STEPS), _KNOWN_STEPS)


class _BackingUp:
    """Makes backups: soon after a change, and once a day."""

    def __init__(self, state: State, database: Database, backups: Backups) -> None:
        self._state = state
        self._database = database
        self._backups = backups
        self._made_at = -MIN_INTERVAL_SECONDS

    async def run(self) -> None:
        """Go on for ever."""
        changed = self._state.changed
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await changed.wait()
            if changed.is_set():
                pause = self._made_at + MIN_INTERVAL_SECONDS - time.monotonic()
                await asyncio.sleep(max(QUIET_SECONDS, pause))
                await self.make()
            elif self._state.grown or await asyncio.to_thread(lambda: self._backups.is_due):
                await self.make()

    async def make(self) -> None:
        """Make one now; a failure is told and costs nothing else."""
        self._state.changed.clear()
        self._state.grown = False
        self._made_at = time.monotonic()
        try:
            await self._database.run(self._backups.make)
        except UnsoundSourceError:
            self._state.note_damage()
        except (OSError, sqlite3.Error) as error:
            if isinstance(error, sqlite3.Error) and is_damage(error):
                self._state.note_damage()
            log.warning("state.db could not be backed up: %s", error)


@asynccontextmanager
async def open_state(path: Path, backups_dir: Path) -> AsyncGenerator[State]:
    """Open ``state.db``, restoring a lost or damaged file from its backups.

    Raises:
        StartupError: The file was written by a newer version and is left untouched, or it cannot
            be used.
    """
    backups = Backups(backups_dir, _KNOWN_STEPS)
    async with AsyncExitStack() as stack:
        try:
            await asyncio.to_thread(_refuse_unwritable, path)
            recovery = await asyncio.to_thread(recover, path, backups, _KNOWN_STEPS)
            is_stale = await asyncio.to_thread(_is_stale, path, backups)
            database = await stack.enter_async_context(open_database(path, STEPS))
        except (OSError, sqlite3.Error) as error:
            raise _unusable(path, error) from error
        if recovery:
            log.error("%s", recovery)
        state = State(database, recovery, backups.renew)
        backing_up = _BackingUp(state, database, backups)
        if is_stale:
            state.changed.set()
        try:
            await state.erase(only_if_due=True)
        except StorageError as error:
            log.warning("what was deleted may still be in state.db: %s", error.message)
        async with background(backup=backing_up.run()):
            yield state
        if (state.changed.is_set() or state.grown) and not state.problem:
            await backing_up.make()


def _is_stale(path: Path, backups: Backups) -> bool:
    """Whether the file may hold what no backup does, such as after a kill."""
    if backups.is_due or not backups.latest.exists():
        return True
    backed_up_at = backups.latest.stat().st_mtime
    files = (path, path.with_name(f"{path.name}-wal"))
    return any(file.exists() and file.stat().st_mtime > backed_up_at for file in files)


def _refuse_unwritable(path: Path) -> None:
    """SQLite would open it for reading, and leave a log behind that nobody can write either."""
    for file in database_files(path):
        if file.exists() and not os.access(file, os.R_OK | os.W_OK):
            raise StartupError(f"{file} cannot be read and written; change its permissions")


def _unusable(path: Path, error: Exception) -> StartupError:
    reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
    return StartupError(
        f"{path} cannot be used: {reason}. See that its folder can be written, that the disk is "
        "not full, and that no other program has the file open"
    )
