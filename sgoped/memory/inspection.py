"""Reads the caches without changing them, to tell whether they hold what the disk does.

A running daemon's catalogue is read beside it. An index is opened for searching only, and through
a directory of links, so that tantivy's locks lie there and not in the cache.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import tantivy
from tantivy import Occur, Query

from sgoped.database import reading
from sgoped.memory.document import Kind, shown
from sgoped.memory.index import IndexBrokenError, directory_name, is_failure, read_identity
from sgoped.memory.integrity import find_damage, read_checksums
from sgoped.memory.removal import remove_tree
from sgoped.memory.store import IndexClaim, IndexMark, load_table
from sgoped.memory.table import FileStatus, PathTable
from sgoped.memory.words import fold

INDEX_NAMES = ("names", "bodies")


class _LateError(Exception):
    """There is no time to read on."""


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What the catalogue says of a file.

    Attributes:
        pid: Its number in the indexes.
        kind: Never a folder.
        state: ``indexed``, ``pending``, ``skipped`` or ``failed``.
        reason: Why, where there is something to say.
        size: Bytes, when it was last looked at.
        mtime_ns: Modification time then.
    """

    pid: int
    kind: Kind
    state: str
    reason: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The whole catalogue: its files by path, and what it says of the indexes."""

    files: Mapping[str, KnownFile]
    mark: IndexMark


def read_catalogue(path: Path, *, live: bool) -> Catalogue:
    """Read the catalogue at ``path``; ``live``: a daemon has it open.

    Raises:
        sqlite3.DatabaseError, ValueError, LookupError, TypeError: It is damaged.
        OSError: It is missing, or cannot be read.
    """
    table = PathTable()
    with reading(path, live=live) as connection:
        mark = load_table(connection, table)
    files = {}
    for pid in table.pids():
        kind, name = table.kind(pid), table.path(pid)
        if kind is not Kind.FOLDER and name is not None:
            state = FileStatus(table.statuses[pid]).name.lower()
            reason = table.reasons.get(pid, "")
            stat = table.sizes[pid], table.mtimes_ns[pid]
            files[name] = KnownFile(pid, kind, state, reason, *stat)
    return Catalogue(files, mark)


class ReadIndex:
    """One index, for searching only.

    Attributes:
        found: What it is, to be compared with what the catalogue knows of it.
    """

    def __init__(self, index: tantivy.Index, directory: Path, stamp: int) -> None:
        self._schema = index.schema
        self._searcher = index.searcher()
        checksums = read_checksums(directory, {})
        count = int(self._searcher.num_docs)
        self.found = IndexClaim(read_identity(directory), stamp, count, checksums)

    def holds_name(self, pid: int, path: str) -> bool:
        """Whether the names index finds the file by its whole name."""
        return self._holds(pid, "exact", fold(shown(path.rpartition("/")[2])))

    def holds_word(self, pid: int, word: str) -> bool:
        """Whether the bodies index finds the file by a lower-case word of its text."""
        return self._holds(pid, "body", word)

    def _holds(self, pid: int, field: str, text: str) -> bool:
        terms = [
            Query.term_query(self._schema, "pid", pid),
            Query.term_query(self._schema, field, text),
        ]
        query = Query.boolean_query([(Occur.Must, term) for term in terms])
        try:
            return bool(self._searcher.search(query, 1, count=False).hits)
        except BaseException as error:
            if not is_failure(error):
                raise
            raise IndexBrokenError(str(error)) from error


@contextmanager
def read_index(index_dir: Path, name: str) -> Iterator[ReadIndex]:
    """Open index ``name``, which no daemon uses, as it was committed last.

    Raises:
        IndexBrokenError: It cannot be opened.
        FileNotFoundError: There is none.
    """
    directory = index_dir / directory_name(name)
    folder = tempfile.mkdtemp(prefix="sgoped-")
    try:
        for file in directory.iterdir():
            if file.suffix != ".lock":
                (Path(folder) / file.name).symlink_to(file.absolute())
        yield _open(folder, directory)
    finally:
        remove_tree(Path(folder))


def _open(folder: str, directory: Path) -> ReadIndex:
    try:
        told = json.loads((Path(folder) / "meta.json").read_bytes())
        index = tantivy.Index.open(folder)
        index.config_reader("manual")
        index.reload()
        return ReadIndex(index, directory, int(told["opstamp"]))
    except BaseException as error:
        if not is_failure(error):
            raise
        raise IndexBrokenError(str(error).replace(folder, str(directory))) from error


def read_through(index_dir: Path, name: str, max_seconds: float) -> str:
    """Which file of index ``name`` is damaged, for a person; empty when none is that was read.

    Args:
        index_dir: Where the indexes are.
        name: Of the index.
        max_seconds: After so long no more is read.

    Raises:
        FileNotFoundError: There is none.
    """
    directory, until = index_dir / directory_name(name), time.monotonic() + max_seconds
    directory.stat()

    def look_at_clock(_: float) -> None:
        if time.monotonic() > until:
            raise _LateError

    try:
        return find_damage(directory, rest=look_at_clock)
    except _LateError:
        return ""


def foreign_directories(index_dir: Path) -> list[Path]:
    """Index directories of another format or version of tantivy, which nobody can use."""
    own = {directory_name(name) for name in INDEX_NAMES}
    found = [path for name in INDEX_NAMES for path in index_dir.glob(f"{name}-*")]
    return sorted(path for path in found if path.name not in own)
