"""Brings back a ``state.db`` that was lost or damaged, before it is opened."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from sgoped.database import database_files, remove_database
from sgoped.errors import StartupError
from sgoped.state.backups import Backups, copy_in_place, remove_partial, sync_directory
from sgoped.state.examination import Condition, copy_of, examine


def recover(path: Path, backups: Backups, known_steps: frozenset[str]) -> str:
    """Put the newest good backup in the place of a lost or damaged file; say what was done.

    The damaged file is kept under another name. A kill on the way leaves the file missing or
    whole, and a missing one is restored at the next start.

    Returns:
        What was done, for a person; empty when the file is sound, or a first one can be made.

    Raises:
        StartupError: The file was written by a newer version; nothing was touched.
        OSError, sqlite3.Error: The file cannot be looked at, or the disk refuses.
    """
    condition = examine(path, known_steps, copy=copy_of(path))
    if condition is Condition.NEWER:
        raise StartupError(
            f"{path} was written by a newer sgoped; nothing was touched. Install that version "
            "again, or move the file and the folder of its backups away.",
            code="newer_schema",
            exit_code=78,
        )
    _clean_up(path, backups)
    if condition is Condition.SOUND:
        return ""
    backup = backups.newest_sound()
    if condition is Condition.EMPTY and backup is None:
        return ""
    aside = _move_aside(path)
    told = f"state.db was {condition.value}" + (
        f" (what was there is {aside} now)" if aside else ""
    )
    if backup is not None:
        copy_in_place(backup, path)
        return f"{told}: restored {backup.name}, which is from {_when(backup)}"
    return f"{told}, and no backup is good: started afresh" if aside else ""


def _clean_up(path: Path, backups: Backups) -> None:
    with suppress(OSError):  # whoever writes there next will say what is wrong
        remove_database(copy_of(path))
        remove_partial(path.parent)
        backups.remove_partial()


def _move_aside(path: Path) -> str:
    """Keep what is at ``path``, and its log, which must not meet another file; its new name."""
    present = [file for file in database_files(path) if os.path.lexists(file)]
    if not present:
        return ""
    aside = _free_name(path)
    # The file itself first: a log without its file is moved away at the next start, whereas a file
    # without its log might pass for sound.
    for file in present:
        file.rename(aside.with_name(aside.name + file.name.removeprefix(path.name)))
    sync_directory(path.parent)
    return aside.name


def _free_name(path: Path) -> Path:
    stem = f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}"
    name, number = stem, 1
    while any(path.parent.glob(f"{name}*")):
        number += 1
        name = f"{stem}-{number}"
    return path.with_name(name)


def _when(backup: Path) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(backup.stat().st_mtime))
