"""``Memory``: everything the rest of the program may ask of the short-term memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from sgoped.errors import NotFound, NotText
from sgoped.memory.answers import Counts, SavedFile, TextFile
from sgoped.memory.checks import etag_of, refuse_ignored
from sgoped.memory.document import (
    Document,
    Kind,
    document_id,
    path_from_id,
    safe_relative_path,
    shown,
)
from sgoped.memory.embedder import EmbeddingStatus
from sgoped.memory.files import Files, Saved
from sgoped.memory.finder import Finder, PathHit, Recents
from sgoped.memory.indexer import Indexer, IndexStatus
from sgoped.memory.labels import label, resolve
from sgoped.memory.searcher import Passage, Searcher, SimilarTo
from sgoped.memory.snippets import SNIPPET_LINES
from sgoped.memory.states import FileState, list_states
from sgoped.memory.textual import decode_text, encode_text
from sgoped.memory.uses import Uses
from sgoped.memory.version_files import Version
from sgoped.memory.versions import Versions
from sgoped.memory.watcher import WatcherStatus

# A write has succeeded once its bytes are on the disk; the index may lag behind under load.
INDEX_WAIT_SECONDS = 2.0


class Memory:
    """The short-term memory: its documents, and reading, writing and searching them.

    Attributes:
        root: The watched folder.
        indexer: Keeps the index equal to it; for the parts of the memory.
    """

    def __init__(
        self,
        *,
        root: Path,
        files: Files,
        versions: Versions,
        indexer: Indexer,
        uses: Uses,
        executor: ThreadPoolExecutor,
        max_index_bytes: int,
    ) -> None:
        self.root = root
        self._files = files
        self._versions = versions
        self.indexer = indexer
        self._uses = uses
        self._executor = executor
        self._table = indexer.worker.table
        self._finder = Finder(indexer.worker, uses, executor)
        self._recents = Recents(indexer.worker, uses)
        self._searcher = Searcher(root, indexer.worker, executor, max_index_bytes)
        self._watcher_status = WatcherStatus("degraded", "starting", time.time())
        self._embedding_status: Callable[[], EmbeddingStatus] = EmbeddingStatus

    # -- what there is

    def counts(self) -> Counts:
        """How many files, folders and images there are."""
        table = self._table
        files, folders, images = map(table.count, (Kind.TEXT, Kind.FOLDER, Kind.IMAGE))
        return Counts(files + folders + images, files, folders, images)

    def watcher_status(self) -> WatcherStatus:
        """How changes on disk are noticed at present."""
        return self._watcher_status

    def index_status(self) -> IndexStatus:
        """How far the index is."""
        return self.indexer.status()

    def embedding_status(self) -> EmbeddingStatus:
        """How far finding by meaning is."""
        return self._embedding_status()

    def file_states(
        self,
        state: str = "",
        path: str = "",
        limit: int = 100,
        after: str = "",
        *,
        hidden: bool = True,
    ) -> tuple[dict[str, int], list[FileState]]:
        """Counts by state, and the files in ``state`` (all when empty), by path.

        Takes a while for many files: call it in a thread.

        Args:
            state: ``indexed``, ``pending``, ``skipped`` or ``failed``.
            path: Only paths that contain this.
            limit: How many files at most.
            after: Only paths that sort after this one.
            hidden: Whether hidden files are wanted, which are known by their names only.
        """
        return list_states(self._table, state, path, limit, after, hidden=hidden)

    async def documents(self, limit: int = 1000) -> tuple[list[Document], int]:
        """The ``limit`` documents used or changed last, newest first, and the number of all."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._recents.newest, limit)

    def label(self, document: Document) -> str:
        """What identifies a document to a person; see ``labels``."""
        return label(self._table, document.path)

    @property
    def stamp(self) -> Hashable:
        """Equal as long as the same query for paths has the same answer."""
        return self._finder.stamp

    def find_now(self, query: str, limit: int = 10) -> list[PathHit] | None:
        """As ``find``, or ``None`` where that has to look in a thread."""
        return self._finder.find_now(query, limit)

    async def find(self, query: str, limit: int = 10) -> list[PathHit]:
        """The paths that were probably meant by what was typed so far, best first."""
        return await self._finder.find(query, limit)

    async def search(
        self,
        query: str,
        limit: int = 10,
        path: str = "",
        ext: str = "",
        *,
        per_file: int = 1,
        max_lines: int = SNIPPET_LINES,
    ) -> list[Passage]:
        """The passages that speak of the query's words, best first; see ``Searcher.search``."""
        return await self._searcher.search(
            query, limit, path=path, ext=ext, per_file=per_file, max_lines=max_lines
        )

    def may_mention(self, query: str) -> bool:
        """Whether ``content_hits`` may find anything, told without looking into files."""
        return self._searcher.may_mention(query)

    async def content_hits(
        self, query: str, limit: int = 5, skip_pids: Collection[int] = ()
    ) -> list[Passage]:
        """The files that speak of the words typed so far; see ``Searcher.content_hits``."""
        return await self._searcher.content_hits(query, limit, skip_pids)

    async def resolve(self, reference: str) -> Document:
        """The document that an id, a path or a label names.

        Of several files that a label could mean, the one used or changed last is taken.

        Raises:
            NotFound: Nothing is named so.
        """
        found = resolve(self._table, reference, self._prefer)
        document = None if found is None else self._table.document(found[0])
        if document is None:
            raise NotFound(f"there is no {shown(reference)[:200]!r} in the memory folder")
        return document

    def _prefer(self, paths: Sequence[str]) -> str:
        def recency(path: str) -> tuple[float, str]:
            pid = self._table.find(path)
            changed = 0.0 if pid is None else self._table.mtimes_ns[pid] / 1e9
            return max(changed, self._uses.last_used_at(path)), path

        return max(paths, key=recency)

    async def record_use(self, path: str) -> None:
        """Count that a person used a file: referred to it, opened it, saved it."""
        await self._uses.record(path)

    def note_use(self, path: str) -> None:
        """As ``record_use``, without waiting until it is written."""
        self._uses.note(path)

    # -- reading

    async def read_text(self, reference: str) -> TextFile:
        """A whole text file, by path, id or label.

        Raises:
            NotFound: There is no such file.
            NotText: It is binary, or a folder.
            PathRefused: The path leaves the memory folder, is hidden or ignored.
            TooLarge: It is larger than ``max_file_bytes``.
            StorageError: The disk refused.
        """
        path = await self._readable_path(reference)

        def work() -> TextFile:
            data, _ = self._files.read(path)
            decoded = decode_text(data)
            if decoded is None:
                raise NotText(f"{shown(path)} is not a text file")
            return TextFile(path, decoded.text, len(data), etag_of(data), decoded.encoding)

        return await asyncio.to_thread(work)

    async def _readable_path(self, reference: str) -> str:
        found = resolve(self._table, reference, self._prefer)
        document = None if found is None else self._table.document(found[0])
        if document is None:
            path = path_from_id(reference)
            return await self._checked_path(reference if path is None else path, for_reading=True)
        if document.kind is Kind.FOLDER:
            raise NotText(f"{document.shown_path} is a folder")
        return document.path

    async def _checked_path(self, text: str, *, for_reading: bool = False) -> str:
        path = safe_relative_path(text, for_reading=for_reading)
        await asyncio.to_thread(refuse_ignored, self.root, path)
        return path

    # -- writing

    async def write_text(
        self, path: str, content: str, *, if_match: str | None = None
    ) -> SavedFile:
        """Replace or create a file; an existing one keeps its encoding, and a version is kept.

        Raises:
            Conflict: ``if_match`` is not the present etag.
            PathRefused: The path leaves the memory folder, is hidden, ignored, or a folder.
            TooLarge: The content is larger than ``max_file_bytes``.
            InvalidInput: The content cannot be stored as text.
            StorageError: The disk refused; the old content is still there.
        """
        path = await self._writable_path(path)

        def work() -> SavedFile:
            data = encode_text(content, self._encoding_of(path))
            return _saved(self._files.write(path, data, if_match=if_match))

        saved = await asyncio.to_thread(work)
        await self._index_now([saved.path])
        return saved

    async def _writable_path(self, reference: str) -> str:
        """An existing file may be named by its id, so that odd names can be saved too."""
        path = path_from_id(reference)
        pid = None if path is None else self._table.find(path)
        if path is not None and pid is not None and self._table.kind(pid) is not Kind.HIDDEN:
            return path
        return await self._checked_path(path or reference)

    def _encoding_of(self, path: str) -> str:
        try:
            decoded = decode_text(self._files.read(path)[0])
        except NotFound:
            return "utf-8"
        if decoded is None:
            raise NotText(f"{shown(path)} is not a text file; it was left alone")
        return decoded.encoding

    async def add_text(self, name: str, content: str) -> SavedFile:
        """Create a file in the memory folder under ``name``, or ``name_2`` where that is taken.

        Raises:
            PathRefused: The name is no plain, visible file name.
            TooLarge, InvalidInput, StorageError: As for ``write_text``.
        """
        name = await self._checked_path(name)

        def work() -> SavedFile:
            return _saved(self._files.create_unique(name, encode_text(content, "utf-8")))

        saved = await asyncio.to_thread(work)
        await self._index_now([saved.path])
        return saved

    async def delete(self, path: str, *, if_match: str | None = None) -> SavedFile:
        """Delete a file; its content is kept as a version.

        Raises:
            NotFound, Conflict, PathRefused, StorageError: As for ``write_text``.
        """
        path = await self._writable_path(path)
        version = await asyncio.to_thread(self._files.delete, path, if_match=if_match)
        await self._index_now([path])
        return SavedFile(path, 0, "", created=False, version=version)

    async def rename(self, path: str, to: str) -> SavedFile:
        """Rename or move a file within the memory folder; never onto another one.

        Raises:
            NotFound, Conflict, PathRefused, StorageError: As for ``write_text``.
        """
        path = await self._writable_path(path)
        to = await self._checked_path(path_from_id(to) or to)
        saved = await asyncio.to_thread(self._files.rename, path, to)
        await self._index_now([path, to])
        return _saved(saved)

    async def versions(self, path: str) -> list[Version]:
        """What is kept of a file's earlier contents, newest first; none for an unknown path."""
        path = path_from_id(path) or safe_relative_path(path)
        return await asyncio.to_thread(self._versions.list, path)

    async def newest_versions(self, limit: int) -> Sequence[Version]:
        """The last changes over the API that can be undone, over all files, newest first.

        Raises:
            StorageError: They cannot be read.
        """
        return await asyncio.to_thread(self._versions.newest, limit)

    async def restore(self, path: str, version: str) -> SavedFile:
        """Bring an earlier content back, or an earlier name; the present one is kept in turn.

        Raises:
            NotFound: There is no such version.
            PathRefused, StorageError: As for ``write_text``.
            Conflict: Of a rename: the earlier name is taken.
        """
        path = path_from_id(path) or safe_relative_path(path)
        kept = await asyncio.to_thread(self._versions.find, path, version)
        if kept.former_path:
            return await self.rename(document_id(path), document_id(kept.former_path))
        await asyncio.to_thread(refuse_ignored, self.root, path)

        saved = await asyncio.to_thread(self._files.restore, path, version)
        await self._index_now([saved.path])
        return _saved(saved)

    # -- keeping up

    async def refresh(self) -> None:
        """Compare the whole folder again; returns once the index equals the disk.

        Raises:
            StorageError: The folder cannot be read.
        """
        await self.indexer.refresh()

    async def _index_now(self, paths: Sequence[str]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(INDEX_WAIT_SECONDS):
                await self.indexer.index_now(paths)

    def use_meaning(
        self, similar_to: SimilarTo | None, status: Callable[[], EmbeddingStatus]
    ) -> None:
        """Find by meaning from now on, or by words alone; see ``meaning``."""
        self._searcher.similar_to = similar_to
        self._embedding_status = status

    def note_watcher(self, status: WatcherStatus) -> None:
        """Remember what the watcher says of itself."""
        self._watcher_status = status


def _saved(saved: Saved) -> SavedFile:
    return SavedFile(saved.path, saved.size, saved.etag, saved.created, saved.version)
