"""Names in a table and an index, without a folder: what a look-up needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from sgoped.memory.document import Kind
from sgoped.memory.finder import Finder
from sgoped.memory.haystack import PathHaystack
from sgoped.memory.names import NameIndex
from sgoped.memory.scanner import Entry
from sgoped.memory.table import FileStatus, PathTable
from sgoped.memory.uses import Uses


class Named:
    """A finder over given paths; those that end in ``/`` are folders."""

    def __init__(self, directory: Path, paths: Sequence[str]) -> None:
        self.table = PathTable()
        self.names = NameIndex(directory)
        self.haystack = PathHaystack()
        self.haystack_filled = True
        self.generation = 0
        for path in paths:
            folder, _, name = path.rstrip("/").rpartition("/")
            kind = Kind.FOLDER if path.endswith("/") else Kind.TEXT
            entry = Entry(name, "folder" if kind is Kind.FOLDER else "file", 1, 1, 1, 1)
            self.table.add(folder, entry, kind, FileStatus.INDEXED)
        for pid in self.table.pids():
            known = self.table.path(pid) or ""
            namesakes = self.table.count_namesakes(known.rpartition("/")[2])
            folder_too = self.table.kind(pid) is Kind.FOLDER
            self.names.add_path(pid, known, namesakes, folder=folder_too)
            self.haystack.update([(pid, known)], [])
        self.names.commit()
        self.uses = Uses(cast("Any", SimpleNamespace(save_use=_forget)), {}, clock=lambda: 1e9)
        self._executor = ThreadPoolExecutor(1)
        self._finder = Finder(cast("Any", self), self.uses, self._executor)

    async def find(self, query: str, limit: int = 10) -> list[str]:
        """The paths found, best first."""
        return [hit.document.path for hit in await self._finder.find(query, limit)]

    async def why(self, query: str) -> dict[str, str]:
        """Why each path was found."""
        return {hit.document.path: hit.why for hit in await self._finder.find(query, 10)}

    def close(self) -> None:
        """Let go of the index."""
        self._executor.shutdown()
        self.names.close()


async def _forget(path: str, count: float, at: float) -> None:
    """Uses are kept in memory only."""


@contextmanager
def named(directory: Path, paths: Sequence[str]) -> Iterator[Named]:
    """A finder over ``paths``."""
    world = Named(directory, paths)
    try:
        yield world
    finally:
        world.close()
