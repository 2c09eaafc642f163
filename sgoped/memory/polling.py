"""Finds changed directories by looking, where the system cannot tell.

Stands in for watchdog's own polling observer, which follows links out of the folder, recurses
once per level, and holds a full status for every file: here one number per directory is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from sgoped.memory.ignore import IgnoreReader
from sgoped.memory.scanner import Entry, scan_tree


class Poller:
    """Compares the tree below ``root`` with what it was at the last look."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._reader = IgnoreReader()
        self._seen: dict[str, int] | None = None
        self.took_seconds = 0.0

    def poll(self, should_stop: Callable[[], bool]) -> set[str]:
        """Directories whose entries changed, ``""`` being the root; none at the first look.

        Raises:
            OSError: The root cannot be opened.
        """
        started = time.monotonic()
        unreadable: list[str] = []
        seen = {
            directory: hash(tuple(map(_trait, entries)))
            for directory, entries in scan_tree(
                self._root,
                ignore=self._reader,
                should_stop=should_stop,
                on_error=lambda path, _error: unreadable.append(path),
            )
        }
        if should_stop():
            return set()
        before, self._seen = self._seen, seen
        self.took_seconds = time.monotonic() - started
        if before is None:
            return set()
        for path in unreadable:
            if path in before:
                seen[path] = before[path]
        return {path for path, trait in seen.items() if before.get(path) != trait}


def _trait(entry: Entry) -> tuple[object, ...]:
    """What makes an entry changed; a folder's times change with what is in it, told there."""
    if entry.mode_kind == "folder":
        return entry.name, entry.inode
    return tuple(entry)
