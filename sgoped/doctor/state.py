"""Examines ``state.db``, which cannot be made again, and its backups."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from sgoped.database import reading, unknown_steps
from sgoped.doctor.finding import Finding, Severity, Topic, counted, few
from sgoped.doctor.subject import Subject
from sgoped.memory import network_filesystem
from sgoped.paths import Paths
from sgoped.state import STEPS, list_backups, recover_state

_finding = partial(Finding, Topic.STATE)

# A daemon backs up daily; a machine may sleep over a weekend.
FIRST_BACKUP_SECONDS = 60.0
OLD_BACKUP_DAYS = 4.0


def check_state(subject: Subject) -> Iterator[Finding]:
    """That it is sound, of a version we know, and backed up."""
    path, live = subject.paths.state_db, subject.instance.running
    aside = sorted(file.name for file in path.parent.glob(f"{path.name}.damaged-*[0-9]"))
    if aside:
        yield _finding(
            "state_was_damaged",
            Severity.NOTE,
            f"it was damaged before and kept aside as {few(aside)}",
            str(path.with_name(aside[0])),
            "delete it once nothing is missing",
        )
    if not path.exists():
        yield _finding("state_none", Severity.NOTE, "no state.db yet; a start makes it", str(path))
        return
    network = network_filesystem(path.parent)
    if network:
        yield _finding(
            "state_on_network",
            Severity.WARNING,
            f"the data directory is on a network drive ({network}), where SQLite's log is not safe",
            str(path.parent),
            "give sgoped a --home on a disk of this machine",
        )
    sound = [backup for backup in list_backups(subject.paths.backups_dir) if _fault(backup) == ""]
    fault = _fault(path, live=live)
    if fault:
        yield _damaged(subject, fault, sound)
    else:
        yield from _version(path, live=live)
    backups = list(_backups(subject, sound))
    yield from backups
    if not fault and not any(each.severity is not Severity.NOTE for each in backups):
        yield _finding(
            "state_sound",
            Severity.OK,
            f"state.db is sound; {counted(len(sound), 'good backup')}, the newest "
            f"{_days(sound[0]):.0f} days old"
            if sound
            else "state.db is sound",
            str(path),
        )


def _days(path: Path) -> float:
    return max(time.time() - path.stat().st_mtime, 0.0) / 86_400


def _fault(path: Path, *, live: bool = False) -> str:
    """What is wrong with a database, in a few words; empty when it is sound."""
    try:
        with reading(path, live=live) as connection:
            found = [row[0] for row in connection.execute("pragma integrity_check(3)")]
    except (sqlite3.Error, OSError) as error:
        return str(error)
    return "" if found == ["ok"] else "; ".join(map(str, found))


def _damaged(subject: Subject, fault: str, sound: list[Path]) -> Finding:
    paths = subject.paths
    outcome = f"restores {sound[0].name}" if sound else "starts with none, as no backup is good"
    running = subject.instance.running
    how = "restart sgoped: it" if running else "start sgoped, or use --fix: either"
    return Finding(
        Topic.STATE,
        "state_damaged",
        Severity.PROBLEM,
        f"state.db (services, keys, use counts) is damaged: {fault}",
        str(paths.state_db),
        f"{how} keeps it aside and {outcome}",
        None if running else lambda: _restore(paths),
    )


def _restore(paths: Paths) -> None:
    """What a start does; see ``recover_state``.

    Raises:
        OSError: A start would do nothing, or the disk refused.
    """
    if not recover_state(paths.state_db, paths.backups_dir):
        raise OSError(f"a quick look finds no fault in {paths.state_db}, so it is left alone")


def _version(path: Path, *, live: bool) -> Iterator[Finding]:
    with reading(path, live=live) as connection:
        newer = unknown_steps(connection, STEPS)
    if newer:
        yield _finding(
            "state_newer",
            Severity.PROBLEM,
            f"a newer sgoped wrote state.db (it knows {newer[-1]!r}); this one does not start "
            "with it, and leaves it alone",
            str(path),
            "install that version again, or move the file away",
        )


def _backups(subject: Subject, sound: list[Path]) -> Iterator[Finding]:
    folder = subject.paths.backups_dir
    every = list_backups(folder)
    broken = [backup.name for backup in every if backup not in sound]
    if broken:
        yield _finding(
            "backup_damaged",
            Severity.WARNING,
            f"{counted(len(broken), 'backup is', 'backups are')} damaged: {few(broken)}",
            str(folder / broken[0]),
            "delete it; a running sgoped makes a new one every day",
        )
    if not sound:
        yield _finding(
            "backup_none",
            Severity.WARNING if _had_time_for_one(subject) else Severity.NOTE,
            "there is no good backup of state.db",
            str(folder),
            "restart sgoped: it makes one soon after it starts",
        )
        return
    if _days(sound[0]) > OLD_BACKUP_DAYS and subject.instance.running:
        yield _finding(
            "backup_old",
            Severity.WARNING,
            f"the newest backup of state.db is {_days(sound[0]):.0f} days old, though sgoped runs",
            str(sound[0]),
            "look into its log for why; the disk may be full",
        )


def _had_time_for_one(subject: Subject) -> bool:
    uptime = subject.instance.health.get("uptime_seconds", FIRST_BACKUP_SECONDS)
    return subject.instance.running and uptime >= FIRST_BACKUP_SECONDS


def stale_partials(folder: Path, before: float) -> list[Path]:
    """Backups that were never finished."""
    found: list[Path] = []
    if folder.is_symlink():
        return found
    for path in folder.glob("state.partial*"):
        with suppress(OSError):
            if path.lstat().st_mtime < before:
                found.append(path)
    return found
