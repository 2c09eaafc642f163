"""Compares what the watcher, or a save, named with the table: single files or whole subtrees."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from sgoped.memory.document import shown
from sgoped.memory.ignore import IgnoreReader
from sgoped.memory.reconciler import Reconciler
from sgoped.memory.scanner import Entry, find_entry, scan_tree

log = logging.getLogger(__name__)


def compare_paths(
    root: Path, paths: Iterable[str], reconciler: Reconciler, ignore: IgnoreReader
) -> None:
    """Have ``reconciler`` see what is at ``paths`` now.

    Raises:
        OSError: The memory folder itself cannot be opened; nothing was concluded.
    """
    for path in paths:
        try:
            entry = find_entry(root, path, ignore=ignore)
        except OSError:
            if not root.is_dir():
                raise
            log.warning("cannot look at %s", shown(path))
            continue
        if entry is None:
            reconciler.see_nothing(path)
        else:
            _see(root, path, entry, reconciler, ignore)


def _see(root: Path, path: str, entry: Entry, reconciler: Reconciler, ignore: IgnoreReader) -> None:
    directory = path.rpartition("/")[0]
    _see_parents(root, directory, reconciler, ignore)
    reconciler.see_entry(directory, entry)
    if entry.mode_kind == "folder":
        for below, entries in scan_tree(root, path, ignore=ignore):
            reconciler.see_directory(below, entries)


def _see_parents(root: Path, directory: str, reconciler: Reconciler, ignore: IgnoreReader) -> None:
    """A file may be reported before the folders that were made for it."""
    parts = directory.split("/") if directory else []
    for depth in range(1, len(parts) + 1):
        path = "/".join(parts[:depth])
        if reconciler.table.find(path) is None:
            entry = find_entry(root, path, ignore=ignore)
            if entry is not None:
                reconciler.see_entry("/".join(parts[: depth - 1]), entry)
