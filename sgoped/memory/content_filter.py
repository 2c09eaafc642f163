"""Which files a content search may find: the path and suffix filters, and what the table says."""

from __future__ import annotations

from sgoped.memory.content_query import ContentQuery
from sgoped.memory.document import Kind
from sgoped.memory.table import PathTable
from sgoped.memory.words import fold


class ContentFilter:
    """The filters of one query over the path table."""

    def __init__(self, table: PathTable, query: ContentQuery) -> None:
        self._table = table
        self._paths = tuple(map(fold, query.paths))
        self._not_paths = tuple(map(fold, query.not_paths))
        self._ends = tuple(f".{fold(suffix)}" for suffix in query.suffixes)
        self._not_ends = tuple(f".{fold(suffix)}" for suffix in query.not_suffixes)

    def accepts(self, pid: int) -> bool:
        """Whether a file is there, is text, and passes every filter."""
        path = self._table.path(pid)
        return path is not None and self._table.kind(pid) is Kind.TEXT and self._passes(fold(path))

    def _passes(self, path: str) -> bool:
        if self._ends and not path.endswith(self._ends):
            return False
        if not all(part in path for part in self._paths):
            return False
        if self._not_ends and path.endswith(self._not_ends):
            return False
        return not any(part in path for part in self._not_paths)

    def accepted(self) -> list[int]:
        """The pids of all files that pass; takes about 0.5 s for a million paths."""
        return [pid for pid in self._table.pids() if self.accepts(pid)]
