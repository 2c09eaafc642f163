"""Reads the caches without changing them, to tell whether they hold what the disk does.

A running daemon's catalogue is read beside it. An index is opened for searching only, and through
a directory of links, so that tantivy's locks lie there and not in the cache.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import tantivy
from tantivy import Occur, Query

from sgoped.database import reading
from sgoped.memory.document import Kind, shown
from sgoped.memory.index import IndexBrokenError, directory_name, is_failure
from sgoped.memory.kept import UNKNOWN_COUNT
from sgoped.memory.removal import remove_tree
from sgoped.memory.store import IndexMark, load_table
from sgoped.memory.table import FileStatus, PathTable
from sgoped.memory.words import fold

INDEX_NAMES = ("names", "bodies")


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
        sqlite3.DatabaseError, ValueError, IndexError: It is damaged.
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
        stamp: tantivy's opstamp of the last commit.
        count: Documents that can be found.
    """

    def __init__(self, index: tantivy.Index, stamp: int) -> None:
        self.stamp = stamp
        self._schema = index.schema
        self._searcher = index.searcher()
        self.count = int(self._searcher.num_docs)

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
        return ReadIndex(index, int(told["opstamp"]))
    except BaseException as error:
        if not is_failure(error):
            raise
        raise IndexBrokenError(str(error).replace(folder, str(directory))) from error


def agrees(index: ReadIndex, stamp: int, count: int) -> bool:
    """Whether an index can be used with a catalogue that knows this opstamp and count of it.

    One that is newer than the catalogue was committed just before a kill; that is mended, not
    made anew, at the next start.
    """
    if index.stamp != stamp:
        return index.stamp > stamp
    return count in (index.count, UNKNOWN_COUNT)


def foreign_directories(index_dir: Path) -> list[Path]:
    """Index directories of another format or version of tantivy, which nobody can use."""
    own = {directory_name(name) for name in INDEX_NAMES}
    found = [path for name in INDEX_NAMES for path in index_dir.glob(f"{name}-*")]
    return sorted(path for path in found if path.name not in own)
