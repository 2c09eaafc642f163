"""Gives every passage its vector, in the background, and takes those away that are over.

One request at a time, with a rest after each, and only while nothing waits to be indexed. What was
answered is saved at once, so that a kill costs one request. Imports numpy: imported when wanted.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sgoped.errors import TooLarge
from sgoped.memory.bodies import overlapping
from sgoped.memory.document import Kind
from sgoped.memory.nearest import Nearest, quantise
from sgoped.memory.reading import BodyReader
from sgoped.memory.table import FileStatus, PathTable
from sgoped.memory.vectors import HASH_BYTES, Place, Stat, VectorMark, VectorStore

MAX_BATCH_FILES = 64
MAX_BATCH_TEXTS = 64
MAX_VECTOR_BYTES = 512 * 2**20
LAYOUT = "passages-1"

# Pid, path, what ``stat`` said before it was read, passages.
File = tuple[int, str, Stat, list[Place]]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Batch:
    """Some files, and the texts of theirs that have no vector yet.

    Attributes:
        files: As they were read.
        texts: By hash.
    """

    files: list[File] = field(default_factory=list)
    texts: dict[bytes, str] = field(default_factory=dict)


def hash_of(text: str) -> bytes:
    """What names a text among all others."""
    data = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=HASH_BYTES).digest()


class Embedding:
    """What has a vector and what waits for one; its methods block and belong in one thread.

    Attributes:
        model: Whose vectors are held; empty when none are.
        nearest: The vectors; ``None`` likewise.
        max_bytes: How much memory the vectors may take.
    """

    def __init__(
        self, root: Path, table: PathTable, store: VectorStore, max_index_bytes: int
    ) -> None:
        self._root = root
        self._table = table
        self._store = store
        self._max_index_bytes = max_index_bytes
        self._layout = f"{LAYOUT} {max_index_bytes}"
        self._waiting: deque[int] = deque()
        self._queued: set[int] = set()
        self._known: dict[int, tuple[str, Stat]] = {}
        self._has_orphans = True
        self.model = ""
        self.nearest: Nearest | None = None
        self.max_bytes = MAX_VECTOR_BYTES

    @property
    def known_count(self) -> int:
        """Files of which every passage has its vector."""
        return len(self._known)

    @property
    def waiting_count(self) -> int:
        """Files that wait for theirs."""
        return len(self._queued)

    # -- what is kept

    def load(self) -> None:
        """Take up what is kept and still true, and queue all other files."""
        self._known.clear()
        mark = self._store.mark()
        if mark is not None:
            self.model, self.nearest = mark.model, Nearest(mark.dimensions)
            if mark.layout != self._layout:
                self._store.begin(replace(mark, layout=self._layout), keep_vectors=True)
            self._drop_files(self._load_files(self.nearest))
        self._queue(pid for pid in self._table.with_content() if pid not in self._known)

    def _load_files(self, nearest: Nearest) -> list[str]:
        """Take in the files that are as they were; the paths of the others."""
        others: list[str] = []
        some: list[File] = []
        for path, stat, places in self._store.files():
            pid = self._table.find(path)
            if pid is None or self._stat(pid) != stat:
                others.append(path)
            else:
                some.append((pid, path, stat, places))
            if len(some) == MAX_BATCH_FILES:
                self._take_in(nearest, some)
                some = []
        self._take_in(nearest, some)
        return others

    def _take_in(self, nearest: Nearest, files: Sequence[File]) -> None:
        hashes = {place.hash for _, _, _, places in files for place in places}
        vectors = self._store.vectors(hashes)
        for pid, path, stat, places in files:
            if self._put(nearest, pid, places, vectors):
                self._known[pid] = (path, stat)

    def _put(
        self, nearest: Nearest, pid: int, places: Sequence[Place], vectors: Mapping[bytes, bytes]
    ) -> bool:
        found = [(place.line_start, place.line_count, vectors.get(place.hash)) for place in places]
        sizes = {len(vector) for _, _, vector in found if vector}
        if any(vector is None for _, _, vector in found) or sizes - {nearest.dimensions}:
            return False
        nearest.put(pid, [(start, count, vector) for start, count, vector in found if vector])
        return True

    def _stat(self, pid: int) -> Stat | None:
        """What ``stat`` said of a text that can be found; ``None`` of all others."""
        table = self._table
        try:
            if table.path(pid) is None or table.kind(pid) is not Kind.TEXT:
                return None
            if table.statuses[pid] != FileStatus.INDEXED or not table.sizes[pid]:
                return None
            return table.sizes[pid], table.mtimes_ns[pid], table.ctimes_ns[pid], table.inodes[pid]
        except IndexError:
            return None

    def begin_afresh(self, model: str, dimensions: int) -> None:
        """Forget all vectors: those that come now are another model's."""
        log.info("passages are embedded with %s, in %d dimensions", model, dimensions)
        self._forget_known()
        self._store.begin(VectorMark(model, dimensions, self._layout))
        self.nearest = Nearest(dimensions)
        self.model = model

    def renew(self) -> None:
        """Forget everything: ``vectors.db`` is damaged.

        Raises:
            sqlite3.Error, OSError: The disk does not allow it.
        """
        self._forget_known()
        self.model, self.nearest = "", None
        self._store.renew()

    def _forget_known(self) -> None:
        self._known.clear()
        self._queue(self._table.with_content())

    # -- what changed

    def _queue(self, pids: Iterable[int]) -> None:
        fresh = [pid for pid in pids if pid not in self._queued]
        self._queued.update(fresh)
        self._waiting.extend(fresh)

    def look_at(self, pids: Iterable[int]) -> None:
        """Take away what is no longer true of these files, and queue what is there instead."""
        gone: list[str] = []
        for pid in pids:
            stat = self._stat(pid)
            known = self._known.get(pid)
            if known is not None and known != (self._table.path(pid), stat):
                gone.append(known[0])
                del self._known[pid]
                if self.nearest is not None:
                    self.nearest.drop(pid)
            if stat is not None and pid not in self._known:
                self._queue([pid])
        self._drop_files(gone)

    def _drop_files(self, paths: Sequence[str]) -> None:
        if paths:
            self._has_orphans = True
            self._store.drop_files(paths)

    def drop_orphans(self) -> None:
        """Forget the vectors of passages that are in no file any more; when nothing waits."""
        if self._has_orphans and self.model:
            self._store.drop_orphans()
            self._has_orphans = False

    @property
    def has_orphans(self) -> bool:
        """Whether ``drop_orphans`` may find something."""
        return self._has_orphans

    # -- what waits

    def next_batch(self) -> Batch:
        """Read the files that come next; one with every vector needs no text.

        Raises:
            TooLarge: There is no room for more vectors.
        """
        if self.nearest is not None and self.nearest.size_bytes >= self.max_bytes:
            raise TooLarge(f"the vectors of more files take more than {self.max_bytes >> 20} MiB")
        batch = Batch()
        with BodyReader(self._root, self._max_index_bytes) as reader:
            while self._waiting and len(batch.files) < MAX_BATCH_FILES:
                if len(batch.texts) >= MAX_BATCH_TEXTS:
                    break
                pid = self._waiting.popleft()
                stat, path = self._stat(pid), self._table.path(pid)
                body = None if stat is None or path is None else reader.read(path)
                if stat is None or path is None or body is None or not body.text:
                    self._queued.discard(pid)  # changed meanwhile: it is told of again
                    continue
                texts: dict[bytes, str] = {}
                places = [
                    Place(line_start, line_count, _keep(texts, text))
                    for line_start, line_count, text in overlapping(body.text)
                    if text.strip()
                ]
                if not places:
                    self._known[pid] = (path, stat)
                    self._queued.discard(pid)
                    continue
                batch.files.append((pid, path, stat, places))
                self._has_orphans = True
                have = self._have(texts)
                batch.texts |= {key: text for key, text in texts.items() if key not in have}
        return batch

    def _have(self, hashes: Collection[bytes]) -> set[bytes]:
        """Of which texts there is a vector, or that the model refuses them."""
        if self.nearest is None:
            return set()
        sizes = (0, self.nearest.dimensions)
        found = self._store.vectors(hashes)
        return {key for key, vector in found.items() if len(vector) in sizes}

    def wanted(self, batch: Batch, keys: Iterable[bytes]) -> list[bytes]:
        """Which of a batch's texts are still in a file that can be found, as it was read."""
        places = (
            place
            for pid, path, stat, places in batch.files
            if self._table.path(pid) == path and self._stat(pid) == stat
            for place in places
        )
        hashes = {place.hash for place in places}
        return [key for key in keys if key in hashes]

    def put_back(self, batch: Batch) -> None:
        """The files of a batch wait again, in front."""
        self._waiting.extendleft(pid for pid, *_ in reversed(batch.files) if pid in self._queued)

    def save(self, vectors: Mapping[bytes, Sequence[float] | None]) -> None:
        """Keep vectors by the hash of their text; ``None`` for a text that the model refuses."""
        self._store.save_vectors(
            {key: quantise(vector) if vector else b"" for key, vector in vectors.items()}
        )

    def finish(self, batch: Batch) -> None:
        """Let the files of a batch be found, of which every passage has its vector now."""
        nearest = self.nearest
        if nearest is None:
            self.put_back(batch)
            return
        vectors = self._store.vectors(
            {place.hash for *_, places in batch.files for place in places}
        )
        done: list[File] = []
        for file in batch.files:
            pid, path, stat, places = file
            is_same = self._table.path(pid) == path and self._stat(pid) == stat
            if is_same and self._put(nearest, pid, places, vectors):
                done.append(file)
        self._store.save_files(file[1:] for file in done)
        self._known.update({pid: (path, stat) for pid, path, stat, _ in done})
        self._queued.difference_update(pid for pid, *_ in done)
        others = [pid for pid, *_ in batch.files if pid in self._queued]
        self._queued.difference_update(pid for pid in others if self._stat(pid) is None)
        self._waiting.extend(pid for pid in others if pid in self._queued)


def _keep(texts: dict[bytes, str], text: str) -> bytes:
    key = hash_of(text)
    texts[key] = text
    return key
