"""Brings the path table in line with what a scan saw, and tells what that changes in the index.

Disk is the truth: whatever a directory's listing does not hold is forgotten, whatever is new or
has another stat is queued for reading. Nothing is concluded from a directory that could not be
read. Used in the indexer's thread only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sgoped.memory.document import Kind
from sgoped.memory.hidden import is_hidden
from sgoped.memory.scanner import Entry
from sgoped.memory.table import FileStatus, PathTable
from sgoped.memory.textual import is_image

# Not read to be named: until its content says otherwise, such a file is taken for binary, so
# that a first listing of a folder does not suggest what reading it will take away again.
# fmt: off
PRESUMED_BINARY = frozenset({
    "7z", "a", "avi", "bin", "bz2", "class", "db", "dll", "dylib", "exe", "flac", "gz", "iso",
    "jar", "lib", "mkv", "mo", "mov", "mp3", "mp4", "o", "obj", "odt", "ogg", "otf", "pdf", "pyc",
    "pyd", "pyo", "rar", "rlib", "so", "sqlite", "tar", "tgz", "ttf", "wasm", "wav", "webm",
    "whl", "woff", "woff2", "xz", "zip", "zst", "docx", "xlsx", "pptx",
})
# fmt: on


@dataclass(slots=True)
class Difference:
    """What the index must learn.

    Attributes:
        added: Pids whose names are new.
        removed: Pids that are gone, with the paths they had.
        unread: Pids of files whose content must be read; a hidden one's never is.
        directories: Directories whose catalogue row changed.
    """

    added: list[int] = field(default_factory=list)
    removed: list[tuple[int, str]] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)
    directories: set[str] = field(default_factory=set)


def presumed_kind(name: str) -> Kind:
    """What a file probably is, by its name alone."""
    if is_hidden(name):
        return Kind.HIDDEN
    if is_image(name):
        return Kind.IMAGE
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    return Kind.BINARY if suffix in PRESUMED_BINARY else Kind.TEXT


class Reconciler:
    """Compares listings with ``table`` and gathers the difference.

    Attributes:
        table: What was seen last.
        difference: What was found since it was last taken.
    """

    def __init__(self, table: PathTable) -> None:
        self.table = table
        self.difference = Difference()

    def take(self) -> Difference:
        """Return the difference gathered so far, and start a new one."""
        taken, self.difference = self.difference, Difference()
        return taken

    def see_directory(self, directory: str, entries: Sequence[Entry]) -> None:
        """Take ``entries`` as all that is in ``directory`` now."""
        table = self.table
        if not table.status_counts[FileStatus.FAILED] and table.holds_exactly(directory, entries):
            return
        known = table.children(directory)
        for entry in entries:
            pid = known.pop(entry.name, None)
            if pid is None:
                self._add(directory, entry)
            elif table.differs(pid, entry) or table.statuses[pid] == FileStatus.FAILED:
                self._change(directory, pid, entry)
        for pid in known.values():
            self.forget(directory, pid)

    def see_entry(self, directory: str, entry: Entry) -> None:
        """Take ``entry`` as what is at its name in ``directory`` now."""
        pid = self.table.children(directory).get(entry.name)
        if pid is None:
            self._add(directory, entry)
        elif self.table.differs(pid, entry) or self.table.statuses[pid] == FileStatus.FAILED:
            self._change(directory, pid, entry)

    def see_nothing(self, path: str) -> None:
        """Take it that there is nothing at ``path`` now."""
        pid = self.table.find(path)
        if pid is not None:
            self.forget(path.rpartition("/")[0], pid)

    def forget(self, directory: str, pid: int) -> None:
        """Remove a path and all below it."""
        table = self.table
        path = table.path(pid)
        below = [path] if path is not None and table.kind(pid) is Kind.FOLDER else []
        while below:
            folder = below.pop()
            self.difference.directories.add(folder)
            for child in table.children(folder).values():
                child_path = table.path(child)
                if child_path is not None:
                    self.difference.removed.append((child, child_path))
                    if table.kind(child) is Kind.FOLDER:
                        below.append(child_path)
        if path is not None:
            self.difference.removed.append((pid, path))
        table.remove(pid)
        self.difference.directories.add(directory)

    def _add(self, directory: str, entry: Entry) -> None:
        if entry.mode_kind == "folder":
            pid = self.table.add(directory, entry, Kind.FOLDER, FileStatus.INDEXED)
        elif (kind := presumed_kind(entry.name)) is Kind.HIDDEN:
            pid = self.table.add(directory, entry, kind, FileStatus.SKIPPED)
        else:
            pid = self.table.add(directory, entry, kind)
            self.difference.unread.append(pid)
        if self.table.kind(pid) is not Kind.BINARY:
            self.difference.added.append(pid)
        self.difference.directories.add(directory)

    def _change(self, directory: str, pid: int, entry: Entry) -> None:
        was_folder = self.table.kind(pid) is Kind.FOLDER
        if was_folder != (entry.mode_kind == "folder"):
            self.forget(directory, pid)
            self._add(directory, entry)
            return
        self.table.touch(pid, entry)
        if was_folder:
            return
        self.difference.directories.add(directory)
        if self.table.kind(pid) is not Kind.HIDDEN:
            self.table.settle(pid, self.table.kind(pid), FileStatus.PENDING)
            self.difference.unread.append(pid)
