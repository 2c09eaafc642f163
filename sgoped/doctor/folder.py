"""Examines the memory folder: can it be read and written, is there space, what is odd in it."""

from __future__ import annotations

import os
import re
import shlex
import stat
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from sgoped.doctor.finding import Finding, Severity, Topic, counted, few
from sgoped.doctor.subject import Subject, Walk
from sgoped.memory import network_filesystem, shown
from sgoped.paths import default_memory_dir

_finding = partial(Finding, Topic.FOLDER)

TIGHT_BYTES, FULL_BYTES = 512 * 2**20, 64 * 2**20
TIGHT_INODES = 2000
FUTURE_SECONDS = 300.0
_MIB = 2**20
_TRIED_NAMES = 50
_CONFLICT = re.compile(
    r"\.sync-conflict-\d{8}-\d{6}"  # Syncthing
    r"|\((?:[^()]* )?conflicted copy[^()]*\)"  # Dropbox, Nextcloud
    r"|\(Case Conflict[^()]*\)"
)


def check_folder(subject: Subject) -> Iterator[Finding]:
    """That the folder is there, and may be read and written."""
    folder = subject.paths.memory_dir
    if not folder.is_dir():
        own = folder == default_memory_dir(subject.paths.data_dir)
        yield _finding(
            "folder_missing",
            Severity.NOTE if own and not subject.instance.running else Severity.PROBLEM,
            "the memory folder is not there yet; a start makes it"
            if own
            else "the memory folder is not there",
            str(folder),
            "" if own else "create it, mount its drive, or change memory_dir",
        )
        return
    may = _permissions(folder)
    if "r" not in may or "x" not in may:
        yield _finding(
            "folder_unreadable",
            Severity.PROBLEM,
            "the memory folder cannot be read",
            str(folder),
            f"chmod u+rx {shlex.quote(str(folder))}",
        )
    elif "w" not in may:
        yield _finding(
            "folder_read_only",
            Severity.WARNING,
            "nothing can be saved in the memory folder",
            str(folder),
            f"chmod u+w {shlex.quote(str(folder))}, or mount its drive for writing",
        )
    network = network_filesystem(folder)
    if network:
        yield _finding(
            "folder_on_network",
            Severity.NOTE,
            f"the memory folder is on a network drive ({network}): other machines' changes are "
            f"found by polling, every {subject.settings.poll_seconds:g} s or more",
            str(folder),
        )


def _permissions(folder: Path) -> str:
    """The letters of what is allowed here; root is held to the owner's bits, too."""
    mode = folder.stat().st_mode
    owners = {"r": stat.S_IRUSR, "w": stat.S_IWUSR, "x": stat.S_IXUSR}
    asked = {"r": os.R_OK, "w": os.W_OK, "x": os.X_OK}
    root = os.geteuid() == 0
    return "".join(
        letter
        for letter in asked
        if os.access(folder, asked[letter]) and (not root or mode & owners[letter])
    )


def check_disks(subject: Subject) -> Iterator[Finding]:
    """Free space and free inodes, once per disk."""
    paths = subject.paths
    seen: set[int] = set()
    least: int | None = None
    for path in (paths.memory_dir, paths.data_dir, paths.cache_dir):
        with suppress(OSError):
            device = path.stat().st_dev
            if device in seen:
                continue
            seen.add(device)
            found = os.statvfs(path)
            free = found.f_bavail * found.f_frsize
            least = free if least is None else min(least, free)
            yield from judge_disk(path, free, found.f_files, found.f_favail)
    if least is not None:
        # Said always, so that it can be seen that it was looked at.
        yield _finding("disk_free", Severity.OK, f"{least / 2**30:,.1f} GiB of disk are free")


def judge_disk(path: Path, free_bytes: int, inodes: int, free_inodes: int) -> Iterator[Finding]:
    """What so much space is good for; ``inodes`` is 0 where a file system has no such limit."""
    if free_bytes < TIGHT_BYTES:
        yield _finding(
            "disk_full" if free_bytes < FULL_BYTES else "disk_tight",
            Severity.PROBLEM if free_bytes < FULL_BYTES else Severity.WARNING,
            f"{free_bytes / _MIB:,.0f} MiB of disk are left; saving and indexing need some",
            str(path),
            "free some space",
        )
    if inodes and free_inodes < TIGHT_INODES:
        yield _finding(
            "inodes_tight",
            Severity.WARNING,
            f"the disk has room for {free_inodes:,} more files, however small",
            str(path),
            "delete files that nobody needs, such as old caches",
        )


def check_contents(subject: Subject, walk: Walk) -> Iterator[Finding]:
    """What in the folder cannot be read, or comes from elsewhere."""
    root = subject.paths.memory_dir
    if not walk.complete:
        yield _finding(
            "folder_large",
            Severity.NOTE,
            f"only the first {len(walk.files):,} files were looked at, in {walk.seconds:.0f} s",
            str(root),
        )
    unreadable = [*walk.unreadable, *_unreadable_files(root, walk)]
    if unreadable:
        yield _finding(
            "unreadable",
            Severity.WARNING,
            f"{counted(len(unreadable), 'file or folder', 'files and folders')} cannot be read, "
            f"and so not be found: {few([shown(path) for path in unreadable])}",
            str(root / unreadable[0]),
            "chmod u+r each file and u+rx each folder, or name them in .sgopedignore",
        )
    yield from _oddities(root, walk)
    if not unreadable:
        yield _finding(
            "folder_read",
            Severity.OK,
            f"{counted(len(walk.files), 'file')} in {counted(walk.folders, 'folder')} can be read",
            str(root),
        )


def _unreadable_files(root: Path, walk: Walk) -> list[str]:
    if os.geteuid() == 0:  # who may read everything
        return []
    return [path for path in walk.files if not os.access(root / path, os.R_OK)]


def _oddities(root: Path, walk: Walk) -> Iterator[Finding]:
    limit = (time.time() + FUTURE_SECONDS) * 1e9
    future = [path for path, entry in walk.files.items() if entry.mtime_ns > limit]
    if future:
        yield _note(
            "mtime_in_future",
            f"{counted(len(future), 'file was', 'files were')} changed in the future; this "
            f"machine's clock, or that of another, is wrong: {few(list(map(shown, future)))}",
            root / future[0],
        )
    conflicts = conflict_files(walk.files)
    if conflicts:
        yield _note(
            "sync_conflict",
            f"{counted(len(conflicts), 'conflict file')} of a file synchroniser; both versions "
            f"are indexed: {few(list(map(shown, conflicts)))}",
            root / conflicts[0],
            "compare it with the file it is named after, and keep one",
        )
    habits = name_habits(list(walk.files), lambda one, other: _same_file(root, one, other))
    if habits:
        yield _note(
            "names_folded",
            f"this file system takes names that differ in {' or '.join(habits)} for one",
            root,
        )


def conflict_files(paths: Iterable[str]) -> list[str]:
    """Files that a synchroniser made because two machines changed one."""
    return [path for path in paths if _CONFLICT.search(path.rpartition("/")[2])]


def name_habits(paths: Sequence[str], same: Callable[[str, str], bool]) -> list[str]:
    """In what names may differ that the file system takes for the same.

    Found without writing: a file is looked up under a name that no file has.

    Args:
        paths: Files that there are.
        same: Whether two paths lead to one file.
    """
    known, habits = set(paths), []
    for habit, changed in (("case", str.swapcase), ("Unicode form", _other_form)):
        others = ((path, _last_changed(path, changed)) for path in paths)
        tried = [(path, other) for path, other in others if other not in known][:_TRIED_NAMES]
        if tried and all(same(path, other) for path, other in tried):
            habits.append(habit)
    return habits


def _last_changed(path: str, change: Callable[[str], str]) -> str:
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{change(name)}"


def _other_form(name: str) -> str:
    if name.isascii():
        return name
    composed = unicodedata.normalize("NFC", name)
    return unicodedata.normalize("NFD", name) if name == composed else composed


def _same_file(root: Path, one: str, other: str) -> bool:
    try:
        return os.path.samestat((root / one).lstat(), (root / other).lstat())
    except OSError:
        return False


def _note(code: str, what: str, where: Path, mend: str = "") -> Finding:
    return _finding(code, Severity.NOTE, what, shown(str(where)), mend)
