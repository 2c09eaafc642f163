"""Examines what killed processes of ours left half-way: never what the person wrote."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sgoped.doctor.finding import Finding, Severity, Topic, counted
from sgoped.doctor.subject import Subject, Walk
from sgoped.memory import Files, Versions, shown
from sgoped.paths import Paths
from sgoped.state import unfinished_copies

# What is younger may be a save in progress.
STALE_SECONDS = 60.0


def check_leftovers(subject: Subject) -> Iterator[Finding]:
    """Versions and copies of ``state.db`` that were never finished."""
    paths, before = subject.paths, time.time() - STALE_SECONDS
    versions = _versions(subject)
    yield from _found(
        subject,
        "version_leftover",
        "half a version, of a save that did not happen",
        list(versions.leftovers(before)),
        lambda: versions.remove_leftovers(before),
    )
    copies = _unfinished_copies(paths, before)
    yield from _found(
        subject,
        "backup_leftover",
        "a copy of state.db that was not finished",
        copies,
        lambda: _remove(copies),
    )


def _found(
    subject: Subject, code: str, what: str, files: list[Path], remove: Callable[[], object]
) -> Iterator[Finding]:
    if not files:
        return
    running = subject.instance.running
    how = "stop sgoped first, then use --fix" if running else "use --fix, which removes only that"
    yield Finding(
        Topic.LEFTOVERS,
        code,
        Severity.WARNING,
        f"{counted(len(files), 'file')} left by a killed process: {what}",
        str(files[0]),
        how,
        None if running else remove,
    )


def check_temporary_files(subject: Subject, walk: Walk) -> Iterator[Finding]:
    """Unfinished saves in the memory folder; whoever is writing one holds a lock on it."""
    root, limit = subject.paths.memory_dir, time.time() - STALE_SECONDS
    stale = [
        (folder, name) for folder, name in walk.temporary if _is_older(root / folder / name, limit)
    ]
    if not stale:
        return
    files = Files(root, _versions(subject), subject.settings.max_file_bytes)
    yield Finding(
        Topic.LEFTOVERS,
        "save_leftover",
        Severity.WARNING,
        f"{counted(len(stale), 'file')} left by a killed process: a save that did not happen",
        shown(str(root / stale[0][0] / stale[0][1])),
        "use --fix, or restart sgoped, which removes it",
        lambda: files.sweep_temporary_files(stale),
    )


def _unfinished_copies(paths: Paths, limit: float) -> list[Path]:
    copies = unfinished_copies(paths.state_db, paths.backups_dir)
    linked = paths.backups_dir if paths.backups_dir.is_symlink() else None
    return [copy for copy in copies if copy.parent != linked and _is_older(copy, limit)]


def _remove(files: list[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _versions(subject: Subject) -> Versions:
    return Versions(subject.paths.versions_dir, subject.settings.max_versions_bytes)


def _is_older(path: Path, limit: float) -> bool:
    try:
        return path.lstat().st_mtime < limit
    except OSError:
        return False
