"""One tantivy index on disk: opening, writing, committing, and starting afresh when in doubt.

The directory's name carries our format and tantivy's version, because neither reads the other's
files. Text never reaches tantivy's query parser, which can be made to overflow its stack.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import tantivy

from sgoped.memory.integrity import META_NAME, find_damage, read_checksums
from sgoped.memory.removal import fresh_directory

# Bumped whenever a schema, a tokenizer or what is put into a field changes.
FORMAT = 4
WRITER_HEAP_BYTES = 30_000_000
IDENTITY_NAME = "sgoped-identity"
IDENTITY_BYTES = 16
# So much is read and compared in about 30 ms.
EAGER_CHECK_BYTES = 32_000_000
# tantivy 0.27 remembers each file that it ever mapped, about 1.7 kB for each commit, until its index
# is opened again.
MAX_COMMITS_OF_ONE_OPENING = 1000

Result = TypeVar("Result")

log = logging.getLogger(__name__)


class Guard(Protocol):
    """Calls something that reads the index; see ``SearchIndex.guard``."""

    def __call__(self, work: Callable[[], Result], otherwise: Result) -> Result:
        """What ``work`` returns, or ``otherwise``."""


def directory_name(name: str) -> str:
    """The directory of index ``name`` in our format and tantivy's."""
    return f"{name}-{FORMAT}-{importlib.metadata.version('tantivy')}"


class IndexBrokenError(Exception):
    """The writer is lost; what it held is gone and the index must be made again."""


def is_failure(error: BaseException) -> bool:
    """Whether tantivy failed, and not somebody ended the program."""
    return isinstance(error, Exception) or _is_panic(error)


def _is_damage(error: BaseException) -> bool:
    """Whether tantivy says so of what it reads."""
    return isinstance(error, ValueError) or _is_panic(error)


def _is_panic(error: BaseException) -> bool:
    # A Rust panic arrives as pyo3_runtime.PanicException, which is no Exception.
    return type(error).__name__ == "PanicException"


def _identity(path: Path) -> tuple[int, int]:
    """Differs after the file was replaced, also within one tick of its clock."""
    status = path.stat()
    return status.st_mtime_ns, status.st_ino


def read_identity(directory: Path) -> str:
    """The random name that an index got when it was made; empty when it has none."""
    try:
        return (directory / IDENTITY_NAME).read_text("ascii")
    except (OSError, ValueError):
        return ""


def _write_durably(path: Path, text: str) -> None:
    with path.open("x", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


class SearchIndex:
    """A tantivy index with its only writer.

    Writing belongs in one thread; ``searcher`` may be called from any.

    Attributes:
        name: What it is an index of.
        stamp: tantivy's opstamp of the last commit; 0 for a new index.
        segment_sizes: Documents in each part of the index; every look-up pays for each part.
        dirty: Whether something was added or deleted since the last commit.
        refusal: Why what was there could not be opened at the start; empty when it could.
        checksums: By the name of a file, what its end says of what it holds.
        suspicion: What went wrong in a search; empty when nothing did, or was found harmless.
        identity: A random name that this index got when it was made; empty when it has none.
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
        self.name = name
        self._directory = root / directory_name(name)
        self._analyzers = analyzers
        self._heap_bytes = heap_bytes
        self.refusal = self.suspicion = ""
        self.checksums: dict[str, int] = {}
        self._remove_others(root, name)
        try:
            self._refuse_damaged()
            self._open()
        except BaseException as error:
            if not is_failure(error):
                raise
            self.refusal = str(error)
            self.start_afresh()

    def _remove_others(self, root: Path, name: str) -> None:
        if not root.is_dir():
            fresh_directory(root)
        for other in root.glob(f"{name}-*"):
            if other != self._directory:
                shutil.rmtree(other, ignore_errors=True)

    @property
    def directory(self) -> Path:
        """Where it is kept."""
        return self._directory

    def _open(self) -> None:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        if not any(self._directory.iterdir()):
            _write_durably(self._directory / IDENTITY_NAME, secrets.token_hex(IDENTITY_BYTES))
        self.identity = read_identity(self._directory)
        self._index = tantivy.Index(self.schema, path=str(self._directory))
        for name, analyzer in self._analyzers.items():
            self._index.register_tokenizer(name, analyzer)
        self._index.config_reader("manual")
        self._writer: tantivy.IndexWriter | None = self._index.writer(self._heap_bytes, 1)
        self.dirty = False
        self._commits = 0
        self._reload()

    def _refuse_damaged(self) -> None:
        """Look at all bytes before the first use, where they are few."""
        if not (self._directory / META_NAME).exists():
            return
        with os.scandir(self._directory) as entries:
            size = sum(entry.stat().st_size for entry in entries)
        damage = size <= EAGER_CHECK_BYTES and find_damage(self._directory, rest=lambda _: None)
        if damage:
            raise IndexBrokenError(damage)

    def _reload(self) -> None:
        meta = self._directory / META_NAME
        # Looked at first: what changes after that is seen next time.
        self._seen_meta = _identity(meta)
        self.checksums = read_checksums(self._directory, self.checksums)
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

        def look() -> bool:
            with suppress(OSError):
                if _identity(self._directory / META_NAME) != self._seen_meta:
                    self._reload()
                    return True
            return False

        return self.guard(look, otherwise=False)

    def guard(self, work: Callable[[], Result], otherwise: Result) -> Result:
        """What ``work`` finds in the index, or ``otherwise`` where it stumbles over damage.

        The damage itself is looked for by ``checking``. May be called from any thread.
        """
        try:
            return work()
        except BaseException as error:
            if not _is_damage(error):
                raise
            if not self.suspicion:
                log.warning("the index of %s seems to be damaged: %s", self.name, error)
            self.suspicion = str(error) or type(error).__name__
            return otherwise

    def start_afresh(self) -> None:
        """Throw everything away and begin with an empty index.

        Raises:
            IndexBrokenError: The disk does not allow it.
        """
        self._writer = None
        self.suspicion = ""
        self.checksums = {}
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
        used = self.stamp or self.count or self.dirty
        return not used and self._writer is not None and self.identity != ""

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
            self._commits += 1
            if self._commits < MAX_COMMITS_OF_ONE_OPENING:
                self._reload()
            else:
                self._open_again(writer)

        self._write(work)
        self.dirty = False

    def _open_again(self, writer: tantivy.IndexWriter) -> None:
        """Let go of what tantivy keeps for as long as an index is open."""
        # What still merges would write beside the next writer otherwise.
        writer.wait_merging_threads()
        self._writer = None
        self._open()

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
