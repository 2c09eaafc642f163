"""Examines what the system allows: inotify watches, its queue, open files."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from sgoped.doctor.finding import Finding, Severity, Topic
from sgoped.doctor.subject import Subject

_finding = partial(Finding, Topic.LIMITS)

INOTIFY_DIR = Path("/proc/sys/fs/inotify")
MIN_INSTANCES = 32
MIN_QUEUED = 16_384
MIN_OPEN_FILES = 1024
ENOUGH_OPEN_FILES = 4096
_LEAST_WATCHES = 524_288
# Of the watches, which all programs of a person share.
_SHARE = 0.75
_COUNT_SECONDS = 3.0


def check_watches(subject: Subject) -> Iterator[Finding]:
    """Whether inotify can watch every folder; hidden ones are not watched, ignored ones are."""
    limits = read_limits(INOTIFY_DIR)
    if limits:
        watched = count_folders(subject.paths.memory_dir, _COUNT_SECONDS)
        yield from judge_watches(watched, limits)


def read_limits(folder: Path) -> dict[str, int]:
    """The kernel's limits by name; empty where there is no inotify."""
    limits = {}
    for name in ("max_user_watches", "max_user_instances", "max_queued_events"):
        with suppress(OSError, ValueError):
            limits[name] = int((folder / name).read_text())
    return limits


def count_folders(root: Path, max_seconds: float) -> int:
    """How many folders will be watched, or as many as were counted in time."""
    count, waiting, until = 0, [str(root)], time.monotonic() + max_seconds
    while waiting and time.monotonic() < until:
        count += 1
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            waiting += [
                entry.path
                for entry in entries
                if entry.name[0] != "." and entry.is_dir(follow_symlinks=False)
            ]
    return count + len(waiting)


def judge_watches(folders: int, limits: Mapping[str, int]) -> Iterator[Finding]:
    """Whether the limits are enough for so many folders."""
    before = len(limits)
    watches = limits.get("max_user_watches")
    if watches is not None and folders > watches * _SHARE:
        before = 0
        wanted = max(_LEAST_WATCHES, 1 << (2 * folders).bit_length())
        yield _finding(
            "watches_few",
            Severity.WARNING,
            f"{folders:,} folders are to be watched, and {watches:,} watches are all that your "
            "programs have together; without one, changes are found by polling",
            str(INOTIFY_DIR / "max_user_watches"),
            _sysctl("max_user_watches", wanted),
        )
    instances = limits.get("max_user_instances")
    if instances is not None and instances < MIN_INSTANCES:
        before = 0
        yield _finding(
            "instances_few",
            Severity.WARNING,
            f"your programs together may use inotify {instances} times; sgoped is one of many",
            str(INOTIFY_DIR / "max_user_instances"),
            _sysctl("max_user_instances", 128),
        )
    queued = limits.get("max_queued_events")
    if queued is not None and queued < MIN_QUEUED:
        yield _finding(
            "queue_short",
            Severity.NOTE,
            f"the kernel keeps {queued:,} events; after a burst of more, the whole folder is "
            "compared, which takes longer",
            str(INOTIFY_DIR / "max_queued_events"),
            _sysctl("max_queued_events", MIN_QUEUED),
        )
    if before and watches is not None:
        yield _finding(
            "watches_enough",
            Severity.OK,
            f"{folders:,} of {watches:,} inotify watches are needed",
        )


def _sysctl(name: str, value: int) -> str:
    setting = f"fs.inotify.{name}={value}"
    return f"sudo sysctl {setting} (and keep it in /etc/sysctl.d/90-sgoped.conf)"


def check_open_files(subject: Subject) -> Iterator[Finding]:
    """Whether streams and files can be open together; the daemon raises the soft limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    yield from judge_open_files(hard if hard != resource.RLIM_INFINITY else None)
    pid = subject.instance.health.get("pid")
    if isinstance(pid, int):
        yield from _used(pid)


def judge_open_files(hard: int | None) -> Iterator[Finding]:
    """What a hard limit of so many open files is good for; None is no limit."""
    if hard is None or hard >= ENOUGH_OPEN_FILES:
        yield _finding(
            "open_files_enough",
            Severity.OK,
            f"{f'{hard:,} files' if hard else 'any number of files'} may be open at once",
        )
        return
    yield _finding(
        "open_files_few",
        Severity.WARNING if hard < MIN_OPEN_FILES else Severity.NOTE,
        f"a program may have {hard:,} files open; an answer being streamed takes two",
        "ulimit -Hn",
        "raise LimitNOFILE= in the unit, or nofile in /etc/security/limits.conf",
    )


def _used(pid: int) -> Iterator[Finding]:
    """How near the running daemon is to its limit, where the system tells."""
    with suppress(OSError, ValueError, IndexError):
        used = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - only their number
        lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
        soft = next(line for line in lines if line.startswith("Max open files")).split()[3]
        if soft != "unlimited" and used > int(soft) * _SHARE:
            yield _finding(
                "open_files_used",
                Severity.WARNING,
                f"the daemon has {used:,} files open, and may have {soft}",
                f"/proc/{pid}/fd",
                "close clients that keep streams open, or raise LimitNOFILE= in the unit",
            )
