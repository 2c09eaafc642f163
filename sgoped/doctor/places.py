"""Examines what sgoped keeps: that it is there, ours, and nobody else's to read."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sgoped.doctor.finding import Finding, Severity, Topic, counted
from sgoped.doctor.subject import Subject
from sgoped.paths import Paths

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_PRIVATE_FOLDER, _PRIVATE_FILE = 0o700, 0o600
_MAX_LOOKED_AT = 50_000
# tantivy makes the files in an index readable; the directory above lets nobody in.
_FOLDERS_ONLY = "index"


@dataclass(frozen=True, slots=True)
class _Seen:
    path: Path
    status: os.stat_result

    @property
    def mode(self) -> int:
        return stat.S_IMODE(self.status.st_mode)

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)


def check_settings(subject: Subject) -> Iterator[Finding]:
    """What reading the settings found and did not use."""
    for warning in subject.warnings:
        exposed = warning.endswith("others can read it: chmod 600 it")
        yield Finding(
            Topic.SETTINGS,
            "key_readable" if exposed else "setting_unused",
            Severity.PROBLEM if exposed else Severity.WARNING,
            warning,
            mend="" if exposed else "correct or remove it",
        )
    yield from _writable_settings(subject.paths)
    yield from _newer_settings(subject)
    if not subject.warnings:
        yield Finding(Topic.SETTINGS, "settings_good", Severity.OK, "all settings can be used")


def _writable_settings(paths: Paths) -> Iterator[Finding]:
    for path in (paths.config_dir, paths.config_file, paths.env_file):
        with suppress(OSError):
            if path.stat().st_mode & _OTHERS_WRITE:
                yield Finding(
                    Topic.SETTINGS,
                    "settings_writable",
                    Severity.PROBLEM,
                    "others can change what sgoped does and shows",
                    str(path),
                    f"chmod go-w {shlex.quote(str(path))}",
                )


def _newer_settings(subject: Subject) -> Iterator[Finding]:
    """A running daemon has read them at its start."""
    started_at = subject.instance.announced.get("started_at")
    if subject.instance.daemon is None or not isinstance(started_at, int | float):
        return
    for path in (subject.paths.config_file, subject.paths.env_file):
        with suppress(OSError):
            if path.stat().st_mtime > started_at:
                yield Finding(
                    Topic.SETTINGS,
                    "settings_newer",
                    Severity.NOTE,
                    "this was changed after sgoped started, which uses what it said then",
                    str(path),
                    "restart sgoped",
                )


def check_places(subject: Subject) -> Iterator[Finding]:
    """That the directories are there, and everything in them is private and ours."""
    paths = subject.paths
    found = list(_missing(paths))
    yield from found
    seen = _everything(paths)
    foreign = [each for each in seen if each.status.st_uid != os.getuid()]
    if foreign:
        yield _foreign(foreign)
    own = [each for each in seen if each.status.st_uid == os.getuid()]
    exposed = list(_exposed(own))
    yield from exposed
    if not (found or foreign or exposed):
        yield Finding(
            Topic.PLACES,
            "places_private",
            Severity.OK,
            f"{counted(len(seen), 'file or directory', 'files and directories')} of sgoped's "
            "are there, yours, and private",
            str(paths.data_dir),
        )


def _missing(paths: Paths) -> Iterator[Finding]:
    missing, wrong = [], []
    for path in (paths.data_dir, paths.state_dir, paths.cache_dir, paths.runtime_dir):
        if not path.exists():
            missing.append(path)
        elif not path.is_dir():
            wrong.append(path)
    for path in wrong:
        yield Finding(
            Topic.PLACES,
            "place_taken",
            Severity.PROBLEM,
            "a file is where a directory must be",
            str(path),
            "move it away",
        )
    if missing:
        yield Finding(
            Topic.PLACES,
            "place_missing",
            Severity.NOTE,
            f"{counted(len(missing), 'directory is', 'directories are')} not there yet; "
            "a start makes them",
            str(missing[0]),
        )


def _everything(paths: Paths) -> list[_Seen]:
    """All that must be private: never the person's own files, and no link is followed."""
    roots = (paths.data_dir, paths.state_dir, paths.cache_dir, paths.runtime_dir)
    seen = [_Seen(path, path.stat()) for path in roots if path.is_dir()]
    files = [paths.lock_file, paths.server_file, paths.socket_file]
    for directory, names in (
        (paths.data_dir, "state.db*"),
        (paths.data_dir, "state.partial*"),
        (paths.cache_dir, "catalogue.db*"),
        (paths.cache_dir, "vectors.db*"),
    ):
        files += sorted(directory.glob(names))
    for path in files:
        seen += _look(path)
    for path in (paths.backups_dir, paths.versions_dir, paths.index_dir, paths.heartbeat_dir):
        seen += _below(path, folders_only=path.name == _FOLDERS_ONLY)
    return [each for each in seen if not stat.S_ISLNK(each.status.st_mode)]


def _look(path: Path) -> list[_Seen]:
    with suppress(OSError):
        return [_Seen(path, path.lstat())]
    return []


def _below(path: Path, *, folders_only: bool) -> list[_Seen]:
    seen = _look(path)
    waiting = [path] if seen and seen[0].is_folder else []
    while waiting and len(seen) < _MAX_LOOKED_AT:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=False)
                if is_folder:
                    waiting.append(Path(entry.path))
                if is_folder or not folders_only:
                    seen.append(_Seen(Path(entry.path), entry.stat(follow_symlinks=False)))
    return seen


def _foreign(foreign: Sequence[_Seen]) -> Finding:
    return Finding(
        Topic.PLACES,
        "place_foreign",
        Severity.PROBLEM,
        f"{counted(len(foreign), 'file or directory belongs', 'files and directories belong')} "
        f"to another user (uid {foreign[0].status.st_uid}), perhaps since sgoped was run as root",
        str(foreign[0].path),
        f"give them back: sudo chown -R {os.getuid()} {shlex.quote(str(foreign[0].path))}",
    )


def _exposed(own: Sequence[_Seen]) -> Iterator[Finding]:
    """Files tell what is in them; directories only what they are called."""
    for is_folder, code, severity, noun in (
        (False, "file_exposed", Severity.PROBLEM, "file"),
        (True, "folder_exposed", Severity.WARNING, "directory"),
    ):
        exposed = [each for each in own if each.is_folder == is_folder and each.mode & _OTHERS]
        if exposed:
            many = "directories" if is_folder else "files"
            mode = _PRIVATE_FOLDER if is_folder else _PRIVATE_FILE
            others = " and the others" if len(exposed) > 1 else ""
            yield Finding(
                Topic.PLACES,
                code,
                severity,
                f"{counted(len(exposed), noun, many)} of sgoped's can be opened by others "
                f"(mode {exposed[0].mode:04o})",
                str(exposed[0].path),
                f"chmod {mode:o} {shlex.quote(str(exposed[0].path))}{others}",
                _closing(exposed, mode),
            )


def _closing(exposed: Sequence[_Seen], mode: int) -> Callable[[], None]:
    def close() -> None:
        for each in exposed:
            _make_private(each, mode)

    return close


def _make_private(seen: _Seen, mode: int) -> None:
    """Take the others' bits away from what was looked at, and from nothing else.

    Raises:
        OSError: It was replaced meanwhile, has another name that may be the person's, or cannot
            be changed.
    """
    found = seen.path.stat() if seen.is_folder else seen.path.lstat()
    if not os.path.samestat(found, seen.status):
        raise OSError(f"{seen.path} changed meanwhile")
    if not seen.is_folder and found.st_nlink != 1:
        raise OSError(f"{seen.path} has another name (a hard link), so it is left alone")
    if stat.S_ISSOCK(found.st_mode):
        seen.path.chmod(mode)
        return
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if seen.is_folder else os.O_NOFOLLOW)
    fd = os.open(seen.path, flags)
    try:
        if os.path.samestat(os.fstat(fd), seen.status):
            os.fchmod(fd, seen.mode & mode)
    finally:
        os.close(fd)
