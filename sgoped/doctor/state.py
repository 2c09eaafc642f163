"""Examines ``state.db``, which cannot be made again, and its backups."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from sgoped.doctor.finding import Finding, Severity, Topic, counted, few
from sgoped.doctor.subject import Subject
from sgoped.memory import network_filesystem
from sgoped.paths import Paths
from sgoped.state import Condition, examine_state, list_backups, recover_state

_finding = partial(Finding, Topic.STATE)

# A running daemon backs up daily; a machine may sleep over a weekend.
OLD_BACKUP_DAYS = 4.0
# By then a daemon has made its first backup.
FRESH_SECONDS = 60.0

Conditions = Mapping[Path, Condition | None]


def check_state(subject: Subject) -> Iterator[Finding]:
    """That it is sound, of a version we know, and backed up."""
    path = subject.paths.state_db
    yield from _surroundings(path)
    every = list_backups(subject.paths.backups_dir)
    backups = {backup: _condition(backup) for backup in every}
    sound = [backup for backup, condition in backups.items() if condition is Condition.SOUND]
    try:
        condition = examine_state(path, live=subject.instance.running)
    except (OSError, sqlite3.Error) as error:
        yield _finding(
            "state_unreadable",
            Severity.PROBLEM,
            f"state.db cannot be read: {error}",
            str(path),
            "see that it can be read and written, and that no other program has it open",
        )
        return
    told = [*_told(subject, condition), *_backups(subject, backups, sound)]
    own = _judge(subject, condition, sound)
    if own is not None:
        yield own
    yield from told
    if own is None and not any(each.severity is not Severity.NOTE for each in told):
        yield _finding(
            "state_sound",
            Severity.OK,
            f"state.db is sound; {counted(len(sound), 'good backup')}, the newest "
            f"{_days(sound[0]):.0f} days old"
            if sound
            else "state.db is sound",
            str(path),
        )


def _surroundings(path: Path) -> Iterator[Finding]:
    aside = sorted(file.name for file in path.parent.glob(f"{path.name}.damaged-*[0-9]"))
    if aside:
        yield _finding(
            "state_was_damaged",
            Severity.NOTE,
            f"it was damaged before and kept aside as {few(aside)}",
            str(path.with_name(aside[0])),
            "delete it once nothing is missing",
        )
    network = network_filesystem(path.parent)
    if network:
        yield _finding(
            "state_on_network",
            Severity.WARNING,
            f"the data directory is on a network drive ({network}), where SQLite's log is not safe",
            str(path.parent),
            "give sgoped a --home on a disk of this machine",
        )


def _condition(backup: Path) -> Condition | None:
    """None: it cannot be read."""
    try:
        return examine_state(backup)
    except (OSError, sqlite3.Error):
        return None


def _days(path: Path) -> float:
    return max(time.time() - path.stat().st_mtime, 0.0) / 86_400


def _judge(subject: Subject, condition: Condition, sound: list[Path]) -> Finding | None:
    """What is to be said of the file itself; None when it is sound."""
    paths, running = subject.paths, subject.instance.running
    if condition is Condition.SOUND:
        return None
    if condition is Condition.NEWER:
        return _finding(
            "state_newer",
            Severity.PROBLEM,
            "a newer sgoped wrote state.db; this one does not start with it, and leaves it alone",
            str(paths.state_db),
            "install that version again, or move the file and its backups away",
        )
    is_damaged = condition is Condition.DAMAGED
    if not (is_damaged or sound or running):
        what = "no state.db yet; a start makes it"
        return _finding("state_none", Severity.NOTE, what, str(paths.state_db))
    kept = "keeps it aside and " if is_damaged else ""
    outcome = f"restores {sound[0].name}" if sound else "starts with none, as no backup is good"
    how = "restart sgoped: it" if running else "start sgoped, or use --fix: either"
    return _finding(
        "state_damaged" if is_damaged else "state_lost",
        Severity.PROBLEM,
        f"state.db (services, keys, use counts) is {condition.value}",
        str(paths.state_db),
        f"{how} {kept}{outcome}",
        None if running else lambda: _restore(paths),
    )


def _restore(paths: Paths) -> None:
    """What a start does; see ``recover_state``.

    Raises:
        OSError: A start would do nothing, or the disk refused.
    """
    if not recover_state(paths.state_db, paths.backups_dir):
        raise OSError(f"a second look finds no fault in {paths.state_db}, so it is left alone")


def _told(subject: Subject, condition: Condition) -> Iterator[Finding]:
    """What a running daemon says of it."""
    told, where = subject.instance.health.get("state", {}), str(subject.paths.state_db)
    if told.get("recovery"):
        yield _finding(
            "state_recovered",
            Severity.NOTE,
            f"at its last start sgoped found this: {told['recovery']}",
            where,
        )
    if told.get("problem") and condition is not Condition.DAMAGED:
        what = f"the daemon cannot use it: {told['problem']}"
        yield _finding("state_problem", Severity.PROBLEM, what, where, "restart sgoped")


def _backups(subject: Subject, backups: Conditions, sound: list[Path]) -> Iterator[Finding]:
    folder, instance = subject.paths.backups_dir, subject.instance
    usable = (Condition.SOUND, Condition.NEWER)
    broken = [backup.name for backup, condition in backups.items() if condition not in usable]
    if broken:
        yield _finding(
            "backup_damaged",
            Severity.WARNING,
            f"{counted(len(broken), 'backup is', 'backups are')} damaged: {few(broken)}",
            str(folder / broken[0]),
            "delete it; a running sgoped makes a new one every day",
        )
    if not sound:
        fresh = instance.health.get("uptime_seconds", 0.0) < FRESH_SECONDS
        yield _finding(
            "backup_none",
            Severity.WARNING if instance.running and not fresh else Severity.NOTE,
            "there is no good backup of state.db",
            str(folder),
            "a running sgoped makes one within a minute; if it does not, its log says why",
        )
    elif _days(sound[0]) > OLD_BACKUP_DAYS and instance.running:
        yield _finding(
            "backup_old",
            Severity.WARNING,
            f"the newest backup of state.db is {_days(sound[0]):.0f} days old, though sgoped runs",
            str(sound[0]),
            "look into its log for why; the disk may be full",
        )
