"""What this process holds, so that a leak can be seen from outside.

The files of ``/proc`` are made by the kernel when they are read, in some ten microseconds: no disk
is asked, so the event loop may do it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from sgoped.web.status_replies import ProcessReply

_RESIDENT = 1


def process_json() -> ProcessReply:
    """Memory, descriptors, threads and tasks at this moment; None where the system is silent."""
    return {
        "resident_bytes": _told(_resident_bytes),
        "open_files": _told(lambda: _count("/proc/self/fd")),
        "threads": _told(lambda: _count("/proc/self/task")),
        "tasks": len(asyncio.all_tasks()),
    }


def _told(ask: Callable[[], int]) -> int | None:
    try:
        return ask()
    except (OSError, ValueError, IndexError):
        return None


def _resident_bytes() -> int:
    fd = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    try:
        pages = int(os.read(fd, 200).split()[_RESIDENT])
    finally:
        os.close(fd)
    return pages * os.sysconf("SC_PAGE_SIZE")


def _count(directory: str) -> int:
    with os.scandir(directory) as entries:
        return sum(1 for _ in entries)
