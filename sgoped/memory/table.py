"""The path table: every catalogued path in memory, in columns, keyed by a small number (pid).

Columns of machine integers beside one dict per directory hold 100,000 paths in about 40 MB. One
thread (the indexer's) changes it; any thread may read, since every read is a single look-up or
works on a copy made in one step.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from sgoped.memory.document import Document, Kind
from sgoped.memory.scanner import Entry

# Stored by their place: new ones come last.
KINDS = (Kind.TEXT, Kind.IMAGE, Kind.BINARY, Kind.FOLDER, Kind.HIDDEN)
_KIND_CODES = {kind: code for code, kind in enumerate(KINDS)}
_BINARY = _KIND_CODES[Kind.BINARY]
_HIDDEN = _KIND_CODES[Kind.HIDDEN]
_UNSEEN = frozenset({_BINARY, _HIDDEN})


class FileStatus(IntEnum):
    """Where a path stands on its way into the index."""

    PENDING = 0
    INDEXED = 1
    SKIPPED = 2
    FAILED = 3


@dataclass(slots=True)
class TableColumns:
    """A whole table as it is stored; the columns are indexed by pid and of the same length.

    Attributes:
        names: ``None`` where a pid is not in use.
        directory_of: Indices into ``directories``.
        stats: Sizes, modification times, change times and inodes.
        kinds: Indices into ``KINDS``.
        statuses: ``FileStatus`` numbers.
        directories: Paths.
        children: For each directory, pids by name.
    """

    names: list[str | None] = field(default_factory=list)
    directory_of: array[int] = field(default_factory=lambda: array("I"))
    stats: tuple[array[int], ...] = field(
        default_factory=lambda: tuple(array(code) for code in "QqqQ")
    )
    kinds: bytearray = field(default_factory=bytearray)
    statuses: bytearray = field(default_factory=bytearray)
    directories: list[str] = field(default_factory=list)
    children: list[dict[str, int]] = field(default_factory=list)


class PathTable:
    """Paths by pid and by name, with what ``stat`` said when they were last looked at.

    Attributes:
        version: Rises when a path comes or goes, or becomes visible or invisible.
    """

    def __init__(self) -> None:
        self.names: list[str | None] = []
        self.sizes = array("Q")
        self.mtimes_ns = array("q")
        self.ctimes_ns = array("q")
        self.inodes = array("Q")
        self.kinds = bytearray()
        self.statuses = bytearray()
        self.reasons: dict[int, str] = {}
        self._directory_of = array("I")
        self._directories: list[str] = []
        self._children: list[dict[str, int]] = []
        self._number_of: dict[str, int] = {}
        self._namesakes: dict[str, int | list[int]] = {}
        self._free = array("I")
        self._nothing: dict[str, int] = {}  # of every directory that is gone
        self.version = 0
        self.kind_counts = [0] * len(KINDS)
        self.status_counts = [0] * len(FileStatus)

    def __len__(self) -> int:
        """Number of paths, folders and binaries too."""
        return sum(self.kind_counts)

    @property
    def visible_count(self) -> int:
        """Number of paths that are suggested to anyone: all but binaries and hidden files."""
        return len(self) - sum(self.kind_counts[code] for code in _UNSEEN)

    def count(self, kind: Kind) -> int:
        """Number of paths of one kind."""
        return self.kind_counts[_KIND_CODES[kind]]

    @property
    def next_pid(self) -> int:
        """No pid from here on was ever given out."""
        return len(self.names)

    # -- reading

    def path(self, pid: int) -> str | None:
        """The path of a pid, or ``None`` when it is gone."""
        try:
            name = self.names[pid]
        except IndexError:
            return None
        if name is None:
            return None
        directory = self._directories[self._directory_of[pid]]
        return f"{directory}/{name}" if directory else name

    def directory(self, pid: int) -> str:
        """The path of the directory that a living pid lies in."""
        return self._directories[self._directory_of[pid]]

    def kind(self, pid: int) -> Kind:
        """The kind of a living pid."""
        return KINDS[self.kinds[pid]]

    def document(self, pid: int) -> Document | None:
        """The document of a pid, or ``None`` when it is gone."""
        path = self.path(pid)
        if path is None:
            return None
        return self.document_at(pid, path)

    def document_at(self, pid: int, path: str) -> Document:
        """The document of a pid whose path is known."""
        return Document(pid, path, KINDS[self.kinds[pid]], self.sizes[pid], self.mtimes_ns[pid])

    def shown_candidate(self, pid: int) -> tuple[str, int] | None:
        """The path of a pid that is suggested to anyone, and how many paths have its name.

        One call, because a look-up asks this of each candidate.
        """
        try:
            name = self.names[pid]
        except IndexError:
            return None
        if name is None or self.kinds[pid] in _UNSEEN:
            return None
        found = self._namesakes.get(name, 0)
        directory = self._directories[self._directory_of[pid]]
        path = f"{directory}/{name}" if directory else name
        return path, 1 if isinstance(found, int) else len(found)

    def hidden_path(self, pid: int) -> str | None:
        """The path of a pid that is suggested to whoever types its dot, and to nobody else."""
        path = self.path(pid)
        return path if path is not None and self.kinds[pid] == _HIDDEN else None

    def find(self, path: str) -> int | None:
        """The pid of an exact path."""
        directory, _, name = path.rpartition("/")
        number = self._number_of.get(directory)
        return None if number is None else self._children[number].get(name)

    def children(self, directory: str) -> dict[str, int]:
        """A copy of name -> pid for what lies directly in a directory."""
        number = self._number_of.get(directory)
        return {} if number is None else dict(self._children[number])

    def directories(self) -> list[str]:
        """Every directory that holds or held something."""
        return list(self._directories)

    def namesakes(self, name: str) -> list[int]:
        """The pids whose last component is ``name``."""
        found = self._namesakes.get(name, ())
        return [found] if isinstance(found, int) else list(found)

    def count_namesakes(self, name: str) -> int:
        """How many paths end in ``name``."""
        found = self._namesakes.get(name, ())
        return 1 if isinstance(found, int) else len(found)

    def pids(self) -> Iterator[int]:
        """Every living pid, ascending."""
        return (pid for pid, name in enumerate(list(self.names)) if name is not None)

    def visible(self) -> Iterator[int]:
        """Every pid that is suggested to anyone: all but binaries and hidden files."""
        return (pid for pid in self.pids() if self.kinds[pid] not in _UNSEEN)

    def named(self) -> Iterator[int]:
        """Every pid of which the name can be found: all but binaries."""
        return (pid for pid in self.pids() if self.kinds[pid] != _BINARY)

    def pending(self) -> Iterator[int]:
        """Every pid whose content is to be read."""
        if not self.status_counts[FileStatus.PENDING]:
            return iter(())
        return (pid for pid in self.pids() if self.statuses[pid] == FileStatus.PENDING)

    def with_content(self) -> Iterator[int]:
        """Every pid of a text that is indexed and not empty."""
        text = _KIND_CODES[Kind.TEXT]
        return (
            pid
            for pid in self.pids()
            if self.kinds[pid] == text
            and self.statuses[pid] == FileStatus.INDEXED
            and self.sizes[pid]
        )

    def differs(self, pid: int, entry: Entry) -> bool:
        """Whether ``entry`` is not what was last seen; clocks may jump, so any change counts."""
        return (
            self.mtimes_ns[pid] != entry.mtime_ns
            or self.ctimes_ns[pid] != entry.ctime_ns
            or self.sizes[pid] != entry.size
            or self.inodes[pid] != entry.inode
        )

    def holds_exactly(self, directory: str, entries: Sequence[Entry]) -> bool:
        """Whether ``entries`` are what was last seen in ``directory``, all of it and no more.

        Nearly all directories that a scan compares did not change, so this is written for speed.
        """
        number = self._number_of.get(directory)
        children = {} if number is None else self._children[number]
        if len(children) != len(entries):
            return False
        sizes, mtimes_ns, ctimes_ns, inodes = (
            self.sizes,
            self.mtimes_ns,
            self.ctimes_ns,
            self.inodes,
        )
        pid_of = children.get
        for name, _, size, mtime_ns, ctime_ns, inode in entries:
            pid = pid_of(name)
            if (
                pid is None
                or mtimes_ns[pid] != mtime_ns
                or ctimes_ns[pid] != ctime_ns
                or sizes[pid] != size
                or inodes[pid] != inode
            ):
                return False
        return True

    # -- writing (the indexer's thread only)

    def add(
        self,
        directory: str,
        entry: Entry,
        kind: Kind,
        status: FileStatus = FileStatus.PENDING,
    ) -> int:
        """Add a path that is not there yet; returns its pid.

        No pid is used twice while the program runs, since a search that found the old path would
        tell the new one; only those that ``reclaim`` found are used again.
        """
        code, number = _KIND_CODES[kind], self._number(directory)
        pid = self._free.pop() if self._free else self._new_row()
        self.touch(pid, entry)
        self._directory_of[pid] = number
        self.kinds[pid] = code
        self.statuses[pid] = status
        self.kind_counts[code] += 1
        self.status_counts[status] += kind is not Kind.FOLDER
        # The name last: it is what makes the pid a living one to other threads.
        self.names[pid] = entry.name
        self._children[number][entry.name] = pid
        self._add_namesake(entry.name, pid)
        self.version += 1
        return pid

    def _new_row(self) -> int:
        for column in (self.sizes, self.mtimes_ns, self.ctimes_ns, self.inodes):
            column.append(0)
        self._directory_of.append(0)
        self.kinds.append(0)
        self.statuses.append(0)
        self.names.append(None)
        return len(self.names) - 1

    def load(self, columns: TableColumns) -> None:
        """Make an empty table hold ``columns``, which it takes over.

        Raises:
            IndexError: A kind or status is unknown.
        """
        self.names = columns.names
        self.sizes, self.mtimes_ns, self.ctimes_ns, self.inodes = columns.stats
        self.kinds, self.statuses = columns.kinds, columns.statuses
        self._directory_of = columns.directory_of
        self._directories, self._children = columns.directories, columns.children
        self._number_of = {path: number for number, path in enumerate(columns.directories)}
        pairs = Counter(zip(columns.kinds, columns.statuses, strict=True))
        pairs[0, 0] -= columns.names.count(None)
        for (kind, status), count in pairs.items():
            self.kind_counts[kind] += count
            if KINDS[kind] is not Kind.FOLDER:
                self.status_counts[status] += count
        for pid, name in enumerate(columns.names):
            if name is not None:
                self._add_namesake(name, pid)

    def reclaim(self) -> None:
        """Let new paths have the pids that are free now, while nobody searches yet."""
        self._free = array("I", (pid for pid, name in enumerate(self.names) if name is None))
        self._free.reverse()  # the lowest first, so that new paths of a directory are a run

    def touch(self, pid: int, entry: Entry) -> None:
        """Remember what ``stat`` says now."""
        self.sizes[pid] = entry.size
        self.mtimes_ns[pid] = entry.mtime_ns
        self.ctimes_ns[pid] = entry.ctime_ns
        self.inodes[pid] = entry.inode

    def settle(self, pid: int, kind: Kind, status: FileStatus, reason: str = "") -> None:
        """Record what reading the file showed."""
        if kind is not Kind.FOLDER:
            self.status_counts[self.statuses[pid]] -= 1
            self.status_counts[status] += 1
        self.kind_counts[self.kinds[pid]] -= 1
        self.kind_counts[_KIND_CODES[kind]] += 1
        was_binary = self.kinds[pid] == _BINARY
        self.kinds[pid] = _KIND_CODES[kind]
        self.version += was_binary != (kind is Kind.BINARY)
        self.statuses[pid] = status
        if reason:
            self.reasons[pid] = reason
        else:
            self.reasons.pop(pid, None)

    def remove(self, pid: int) -> list[int]:
        """Forget a path and all below it; returns the pids that are gone, deepest last."""
        waiting, gone = [pid], []
        while waiting:
            one = waiting.pop()
            path = self.path(one)
            if path is not None:
                if self.kind(one) is Kind.FOLDER:
                    waiting.extend(self.children(path).values())
                gone.append(one)
        for one in reversed(gone):
            self._remove_one(one)
        return gone

    def _remove_one(self, pid: int) -> None:
        name = self.names[pid]
        if name is None:
            return
        if self.kind(pid) is Kind.FOLDER:
            self._forget_directory(self.path(pid) or "")
        self.names[pid] = None
        self._children[self._directory_of[pid]].pop(name, None)
        self._drop_namesake(name, pid)
        self.kind_counts[self.kinds[pid]] -= 1
        self.status_counts[self.statuses[pid]] -= self.kind(pid) is not Kind.FOLDER
        self.reasons.pop(pid, None)
        self.version += 1

    def _number(self, directory: str) -> int:
        number = self._number_of.get(directory)
        if number is None:
            number = len(self._directories)
            self._directories.append(directory)
            self._children.append({})
            self._number_of[directory] = number
        return number

    def _forget_directory(self, directory: str) -> None:
        """Let go of what an empty directory holds; its number and path stay, for other threads."""
        number = self._number_of.get(directory)
        if number is not None and not self._children[number]:
            del self._number_of[directory]
            self._children[number] = self._nothing

    def _add_namesake(self, name: str, pid: int) -> None:
        found = self._namesakes.get(name)
        if found is None:
            self._namesakes[name] = pid
        elif isinstance(found, int):
            self._namesakes[name] = [found, pid]
        else:
            found.append(pid)

    def _drop_namesake(self, name: str, pid: int) -> None:
        found = self._namesakes.get(name)
        if isinstance(found, list):
            found.remove(pid)
            if len(found) == 1:
                self._namesakes[name] = found[0]
        elif found == pid:
            del self._namesakes[name]
