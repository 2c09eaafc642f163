"""One tantivy index on disk: opening, writing, committing, and starting afresh when in doubt.

The directory's name carries our format and tantivy's version, because neither reads the other's
files. Text never reaches tantivy's query parser, which can be made to overflow its stack.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import tantivy

# Bumped whenever a schema, a tokenizer or what is put into a field changes.
FORMAT = 4
WRITER_HEAP_BYTES = 30_000_000

log = logging.getLogger(__name__)


def fresh_directory(path: Path) -> None:
    """Make ``path`` an empty directory, whatever it was."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.mkdir(mode=0o700, parents=True)


def directory_name(name: str) -> str:
    """The directory of index ``name`` in our format and tantivy's."""
    return f"{name}-{FORMAT}-{importlib.metadata.version('tantivy')}"


class IndexBrokenError(Exception):
    """The writer is lost; what it held is gone and the index must be made again."""


def is_failure(error: BaseException) -> bool:
    """Whether tantivy failed, and not somebody ended the program."""
    # A Rust panic arrives as pyo3_runtime.PanicException, which is no Exception.
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _identity(path: Path) -> tuple[int, int]:
    """Differs after the file was replaced, also within one tick of its clock."""
    status = path.stat()
    return status.st_mtime_ns, status.st_ino


class SearchIndex:
    """A tantivy index with its only writer.

    Writing belongs in one thread; ``searcher`` may be called from any.

    Attributes:
        stamp: tantivy's opstamp of the last commit; 0 for a new index.
        segment_sizes: Documents in each part of the index; every look-up pays for each part.
        dirty: Whether something was added or deleted since the last commit.
    """

    def __init__(
        self,
        root: Path,
        name: str,
        schema: tantivy.Schema,
        analyzers: Mapping[str, tantivy.TextAnalyzer],
        heap_bytes: int = WRITER_HEAP_BYTES,
    ) -> None:
        self.schema = schema
        self._directory = root / directory_name(name)
        self._analyzers = analyzers
        self._heap_bytes = heap_bytes
        self._remove_others(root, name)
        try:
            self._open()
        except BaseException as error:
            if not is_failure(error):
                raise
            log.warning("the %s index cannot be opened and is made again: %s", name, error)
            self.start_afresh()

    def _remove_others(self, root: Path, name: str) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for other in root.glob(f"{name}-*"):
            if other != self._directory:
                shutil.rmtree(other, ignore_errors=True)

    def _open(self) -> None:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._index = tantivy.Index(self.schema, path=str(self._directory))
        for name, analyzer in self._analyzers.items():
            self._index.register_tokenizer(name, analyzer)
        self._index.config_reader("manual")
        self._writer: tantivy.IndexWriter | None = self._index.writer(self._heap_bytes, 1)
        self.dirty = False
        self._reload()

    def _reload(self) -> None:
        meta = self._directory / "meta.json"
        # Looked at first: what changes after that is seen next time.
        self._seen_meta = _identity(meta)
        self._index.reload()
        self._searcher = self._index.searcher()
        told = json.loads(meta.read_bytes())
        self.stamp = int(told["opstamp"])
        self.segment_sizes = [int(segment["max_doc"]) for segment in told["segments"]]

    def catch_up(self) -> bool:
        """Search in what was merged since the last commit; whether there was anything.

        tantivy merges its segments some time after a commit, in threads of its own; every look-up
        pays for each segment until then.
        """
        if self._writer is None:
            return False
        with suppress(OSError, ValueError):
            if _identity(self._directory / "meta.json") != self._seen_meta:
                self._reload()
                return True
        return False

    def start_afresh(self) -> None:
        """Throw everything away and begin with an empty index.

        Raises:
            IndexBrokenError: The disk does not allow it.
        """
        self._writer = None
        try:
            fresh_directory(self._directory)
            self._open()
        except BaseException as error:
            if not is_failure(error):
                raise
            raise IndexBrokenError(str(error)) from error

    def close(self) -> None:
        """Give up the writer; uncommitted changes are lost."""
        self._writer = None

    def searcher(self) -> tantivy.Searcher:
        """What was committed last."""
        return self._searcher

    @property
    def count(self) -> int:
        """Documents that can be found."""
        return int(self._searcher.num_docs)

    @property
    def untouched(self) -> bool:
        """Whether nothing was ever written to this index, or lost by it."""
        return not (self.stamp or self.count or self.dirty) and self._writer is not None

    def add(self, document: dict[str, Any]) -> None:
        """Add a document.

        Raises:
            IndexBrokenError: The writer failed.
        """
        self.dirty = True
        self._write(
            lambda writer: writer.add_document(tantivy.Document.from_dict(document, self.schema))
        )

    def delete(self, field: str, value: int) -> None:
        """Delete the documents whose ``field`` is ``value``.

        Raises:
            IndexBrokenError: The writer failed.
        """
        # delete_documents_by_term takes a Python int for a signed term and, on an unsigned
        # field, deletes nothing without a word.
        query = tantivy.Query.term_query(self.schema, field, value)
        self.dirty = True
        self._write(lambda writer: writer.delete_documents_by_query(query))

    def delete_from(self, field: str, lowest: int) -> None:
        """Delete the documents whose ``field`` is ``lowest`` or greater.

        Raises:
            IndexBrokenError: The writer failed.
        """
        query = tantivy.Query.range_query(
            self.schema, field, tantivy.FieldType.Unsigned, lowest, 2**63
        )
        self.dirty = True
        self._write(lambda writer: writer.delete_documents_by_query(query))

    def commit(self) -> None:
        """Make what was added visible and durable; does nothing when nothing changed.

        Raises:
            IndexBrokenError: The writer failed.
        """
        if not self.dirty:
            return

        def work(writer: tantivy.IndexWriter) -> None:
            writer.commit()
            self._reload()

        self._write(work)
        self.dirty = False

    def pids(self) -> set[int]:
        """What the documents that can be found have in their field ``pid``.

        Raises:
            IndexBrokenError: The index cannot be read.
        """
        searcher = self._searcher
        try:
            hits = searcher.search(tantivy.Query.all_query(), max(1, self.count), count=False).hits
            pids = searcher.fast_field_values("pid", [address for _, address in hits])
        except BaseException as error:
            if not is_failure(error):
                raise
            raise IndexBrokenError(str(error)) from error
        return {int(pid) for pid in pids if pid is not None}

    def _write(self, work: Callable[[tantivy.IndexWriter], object]) -> None:
        if self._writer is None:
            raise IndexBrokenError("the index has no writer")
        try:
            work(self._writer)
        except BaseException as error:
            if not is_failure(error):
                raise
            self._writer = None
            raise IndexBrokenError(str(error)) from error
