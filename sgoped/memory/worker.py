"""The indexing thread's work, in steps short enough that changes can come between them.

Order makes it safe to be killed anywhere: the indexes are committed first, then the catalogue
row of every directory concerned, with the opstamps of those commits. A newer index than the
catalogue knows of means a kill in between: what changed is found by its stat and read again, and
what the index lost is added again. Any other disagreement means damage: that index is made anew.
"""

from __future__ import annotations

import errno
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from sgoped.memory.bodies import BodyIndex
from sgoped.memory.deferred import DeferredHaystack
from sgoped.memory.document import Kind
from sgoped.memory.haystack import PathHaystack
from sgoped.memory.ignore import IgnoreReader
from sgoped.memory.index import IndexBrokenError, SearchIndex
from sgoped.memory.kept import UNKNOWN_COUNT, KeptIndex
from sgoped.memory.looking import compare_paths
from sgoped.memory.names import NameIndex
from sgoped.memory.outcome import StepOutcome
from sgoped.memory.pacing import Pause
from sgoped.memory.portions import Portions
from sgoped.memory.presence import Presence
from sgoped.memory.reading import Body, BodyReader
from sgoped.memory.reconciler import Reconciler
from sgoped.memory.records import Records
from sgoped.memory.release import release_memory
from sgoped.memory.repairs import Repairs
from sgoped.memory.scanner import Entry, scan_tree
from sgoped.memory.store import IndexMark, Store
from sgoped.memory.table import FileStatus

STEP_SECONDS = 0.2
MERGE_SECONDS = 15.0  # for so long after a commit its segments may still be merged with others
MERGE_POLL_SECONDS = 0.02
_UNREAD = frozenset({FileStatus.PENDING, FileStatus.FAILED})


class IndexWorker:
    """Owns the path table and both indexes; every method but the constructor blocks.

    Attributes:
        table: The path table.
        names: The names index.
        bodies: The bodies index.
        generation: Rises with every change that can be seen.
        verified: Whether the disk was compared with the catalogue since the start.
        repairs: Which caches were made again since the start.
        presence: Whether the folder's drive is there.
    """

    def __init__(self, root: Path, index_dir: Path, store: Store, max_index_bytes: int) -> None:
        self._root = root
        self.presence = Presence(root)
        self.repairs = Repairs()
        self._records = Records(store, self.repairs)
        self._max_index_bytes = max_index_bytes
        self._ignore = IgnoreReader()
        self._scan: Iterator[tuple[str, list[Entry]]] | None = None
        self._unnamed: deque[int] = deque()
        self._unread: deque[int] = deque()
        self._recognised: list[int] = []
        self._queued: set[int] = set()
        self._unsaved = self._records.unsaved
        self._uncommitted = 0
        self._portions = Portions()
        self._committed_at = 0.0
        self._pause = Pause()
        self._outcome = StepOutcome()
        self.generation = 0
        self.verified = False
        self.names = NameIndex(index_dir)
        self.bodies = BodyIndex(index_dir)
        self._kept_names = KeptIndex(self.names, self._rename_all, self.repairs)
        self._kept_bodies = KeptIndex(self.bodies, self._reread_all, self.repairs)
        self._load()
        self._deferred = DeferredHaystack(self.table)
        self._reconciler = Reconciler(self.table)

    # -- opening

    def _load(self) -> None:
        self.table, mark = self._records.load()
        self.generation = mark.generation
        self.presence.mounted = mark.mounted
        self._saved = self._index_stamps
        if self._kept_names.agree(mark.names, mark.next_pid):
            self._unnamed.extend(self._kept_names.missing(self.table.named()))
            self._kept_names.drop_others(self.table.named())
        else:
            self._rename_all()
        if self._kept_bodies.agree(mark.bodies, mark.next_pid):
            self._reread(self._kept_bodies.missing(self.table.with_content()))
            self._kept_bodies.drop_others(self.table.pids())
        else:
            self._reread_all()
        mended = self._kept_names.mended or self._kept_bodies.mended
        # Otherwise an index may still hold something under a pid that is free; or it may hold the
        # new path's under one that a power cut, which takes back what was saved, gives to the old.
        if not mended and self._records.flush():
            self.table.reclaim()
        self._queue(self.table.pending())

    def _rename_all(self) -> None:
        self._kept_names.start_afresh()
        self._unnamed = deque(self.table.named())

    def _reread_all(self) -> None:
        self._kept_bodies.start_afresh()
        self._reread(pid for pid in self.table.pids() if self.table.kind(pid) is Kind.TEXT)
        self._queue(self.table.pending())

    def _reread(self, pids: Iterable[int]) -> None:
        for pid in pids:
            self.table.settle(pid, Kind.TEXT, FileStatus.PENDING)
            # Saved soon: a stop on the way must not leave rows that call them indexed.
            self._unsaved.add(self.table.directory(pid))

    @property
    def haystack(self) -> PathHaystack:
        """The paths, for subsequence search; in a big folder this may wait for the first scan."""
        return self._deferred.wait()

    @property
    def haystack_filled(self) -> bool:
        """Whether ``haystack`` is there at once."""
        return self._deferred.filled

    # -- seeing what is on the disk

    def begin_scan(
        self,
        on_error: Callable[[str, OSError], None],
        on_hidden: Callable[[str, str], None] | None = None,
    ) -> None:
        """Start comparing the whole folder with the table; see ``scan_tree`` for both calls.

        Nothing is looked at before ``continue_scan``, so this may be called on the event loop.
        """
        self._scan = self.presence.observed(
            scan_tree(self._root, ignore=self._ignore, on_error=on_error, on_hidden=on_hidden)
        )

    def continue_scan(self, seconds: float = STEP_SECONDS) -> bool:
        """Go on for about ``seconds``; whether the scan is finished.

        Raises:
            OSError: The memory folder itself cannot be opened; nothing was concluded.
        """
        deadline = time.monotonic() + seconds
        try:
            self.presence.check()
            for directory, entries in self._scan or ():
                self._reconciler.see_directory(directory, entries)
                if time.monotonic() > deadline:
                    self._take_difference(urgent=False)
                    return False
        except OSError:
            self._take_difference(urgent=False)
            self._deferred.fill()
            raise
        self._scan = None
        self._take_difference(urgent=False)
        self.verified = True
        self._deferred.fill()
        return True

    def look_at(self, paths: Iterable[str]) -> None:
        """Compare single files or whole subtrees with the table.

        Raises:
            OSError: The memory folder itself cannot be opened; nothing was concluded.
        """
        self.presence.check()
        try:
            compare_paths(self._root, paths, self._reconciler, self._ignore)
        finally:
            self._take_difference(urgent=True)

    def _take_difference(self, *, urgent: bool) -> None:
        difference, seen = self._reconciler.take(), self.table.shown_candidate
        self._unsaved |= difference.directories
        if not (difference.added or difference.removed or difference.unread):
            return
        for pid, path in difference.removed:
            self._kept_names.drop(pid)
            self._kept_bodies.drop(pid)
            self._outcome.tell_removed(pid, path)
        added = [(pid, found[0]) for pid in difference.added if (found := seen(pid))]
        self._deferred.update(added, [pid for pid, _ in difference.removed])
        if urgent:
            self._unnamed.extendleft(reversed(difference.added))
        else:
            self._unnamed.extend(difference.added)
        self._queue(difference.unread, urgent=urgent)

    def _queue(self, pids: Iterable[int], *, urgent: bool = False) -> None:
        fresh = [pid for pid in pids if pid not in self._queued or urgent]
        self._queued.update(fresh)
        if urgent:
            self._unread.extendleft(reversed(fresh))
        else:
            self._unread.extend(fresh)

    def retry_failed(self) -> None:
        """Try again to read what could not be read."""
        statuses = self.table.statuses
        self._queue(pid for pid in self.table.pids() if statuses[pid] == FileStatus.FAILED)

    # -- indexing

    @property
    def has_work(self) -> bool:
        """Whether ``step`` has something to do."""
        queued = bool(self.pending_names or self._unread)
        return queued or self._records.waiting or self.names.dirty

    @property
    def pending(self) -> int:
        """Files of which the name or the present content cannot be found yet."""
        contents = self.table.status_counts[FileStatus.PENDING] + self._uncommitted
        return max(self.pending_names, contents, int(self.names.dirty))

    @property
    def pending_names(self) -> int:
        """Files and folders that cannot be suggested yet."""
        return len(self._unnamed) + len(self._recognised)

    def is_left_over(self, paths: Iterable[str]) -> bool:
        """Whether an urgent step had no time for all of ``paths``, which then wait in front."""
        pids = {pid for path in paths if (pid := self.table.find(path)) is not None}
        return any(queue and queue[0] in pids for queue in (self._unnamed, self._unread))

    def step(self, seconds: float = STEP_SECONDS, *, urgent: bool = False) -> StepOutcome:
        """Index for about ``seconds``: names first, then contents; commit when it pays.

        What ``look_at`` found stands first in both queues; an ``urgent`` step reads it however
        many names wait, and commits, so that it can be found when the step is over.
        """
        if self._recognised and (urgent or not self._unread):
            # All in one commit: names that turn out to be worth one come in ones and twos.
            self._unnamed.extend(self._recognised)
            self._recognised.clear()
        held = not urgent and bool(self._unnamed) and self._must_wait_for_merge()
        if (self._unnamed or self.names.dirty) and not held:
            self._index_names(seconds, urgent=urgent)
        if urgent or held or not self._unnamed:
            self._index_bodies(seconds)
            if held and not self._unread:
                time.sleep(MERGE_POLL_SECONDS)
        idle = not (self._unnamed or self._recognised or self._unread)
        if urgent or idle or self._pause.over:
            self._commit()
            self._pause.begin(longer=not (urgent or idle))
        outcome, self._outcome = self._outcome, StepOutcome()
        outcome.more = self.has_work
        return outcome

    def _must_wait_for_merge(self) -> bool:
        self.names.catch_up()
        return self._portions.must_wait(self.names.segment_sizes, time.monotonic())

    def _index_names(self, seconds: float, *, urgent: bool) -> None:
        deadline = time.monotonic() + seconds
        self._portions.begin(len(self._unnamed))
        complete = False
        while self._unnamed and not complete and time.monotonic() < deadline:
            pid = self._unnamed.popleft()
            complete = self._portions.take()
            path = self.table.path(pid)
            if path is not None and self.table.kind(pid) is not Kind.BINARY:
                self._kept_names.put(pid, partial(self._name, pid, path))
        if not self._unnamed:
            self._portions.end()
        if complete or urgent or not self._unnamed:
            self._kept_names.commit()
            self.generation += 1

    def _name(self, pid: int, path: str) -> None:
        namesakes, kind = self.table.count_namesakes(path.rpartition("/")[2]), self.table.kind(pid)
        self.names.add_path(pid, path, namesakes, folder=kind is Kind.FOLDER)

    def _index_bodies(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        with BodyReader(self._root, self._max_index_bytes) as reader:
            while self._unread and time.monotonic() < deadline:
                pid = self._unread.popleft()
                self._queued.discard(pid)
                path = self.table.path(pid)
                if path is None or self.table.statuses[pid] not in _UNREAD:
                    continue
                body = reader.read(path)
                if body.status is FileStatus.FAILED and not self._root.is_dir():
                    self._queue([pid], urgent=True)
                    raise OSError(errno.ENOENT, "the memory folder is away")
                self._settle(pid, path, body)

    def _settle(self, pid: int, path: str, body: Body) -> None:
        if (self.table.statuses[pid], self.table.reasons.get(pid)) == (body.status, body.reason):
            return  # it fails as it did before
        self._unsaved.add(path.rpartition("/")[0])
        was_visible = self.table.kind(pid) is not Kind.BINARY
        self.table.settle(pid, body.kind, body.status, body.reason)
        if not body.text:
            self._kept_bodies.drop(pid)
        elif not self._kept_bodies.put(pid, partial(self.bodies.add_text, pid, path, body.text)):
            # Not FAILED, which is tried again: this text would break the next index as well.
            self.table.settle(pid, body.kind, FileStatus.SKIPPED, "cannot be indexed")
        self._uncommitted += 1
        if body.kind is Kind.BINARY and was_visible:
            self._kept_names.drop(pid)
            self._deferred.update((), [pid])
        elif body.kind is not Kind.BINARY and not was_visible:
            self._recognised.append(pid)
            self._deferred.update([(pid, path)], ())
        self._outcome.tell_read(pid, path, found=body.status is not FileStatus.FAILED)

    def _commit(self) -> None:
        dirty = self.names.dirty or self.bodies.dirty
        if not (dirty or self._unsaved or self._saved != self._index_stamps):
            return
        committed = bool(self._unnamed) or self._kept_names.commit()
        committed = self._kept_bodies.commit() and committed
        self._uncommitted = 0
        self._committed_at = time.monotonic()
        self.generation += 1
        if committed:
            if not (self._unnamed or self._unread):
                self._kept_names.note_settled()
                self._kept_bodies.note_settled()
            self._save()

    def tidy(self) -> bool:
        """Search in what was merged meanwhile; whether more may come."""
        self.names.catch_up()
        self.bodies.catch_up()
        if time.monotonic() - self._committed_at < MERGE_SECONDS:
            return True
        release_memory()
        return False

    @property
    def _index_stamps(self) -> tuple[object, ...]:
        """What the catalogue must know of both indexes."""
        return tuple((index.identity, index.stamp) for index in (self.names, self.bodies))

    def _save(self) -> None:
        self._saved = self._index_stamps
        names = self._kept_names.claim
        if self._unnamed or self._recognised:
            # Names that wait are in no directory's row: without them the index is not whole.
            names = replace(names, count=UNKNOWN_COUNT)
        bodies, next_pid = self._kept_bodies.claim, self.table.next_pid
        mark = IndexMark(names, bodies, next_pid, self.generation, self.presence.mounted)
        self._records.save(self.table, mark)

    def recover(self) -> None:
        """After an unforeseen failure: queue again whatever it may have swallowed.

        Raises:
            IndexBrokenError: It failed too often.
        """
        self._scan = None
        self._queued.clear()
        self._unread.clear()
        self._unsaved.update(self.table.directories())
        self._queue(self.table.pending())
        self._kept_names.rebuild("indexing failed; see the log")

    def rebuild(self, index: SearchIndex, reason: str) -> None:
        """Make one of the indexes anew, which was found damaged.

        Raises:
            IndexBrokenError: The disk does not allow it.
        """
        (self._kept_names if index is self.names else self._kept_bodies).rebuild(reason)

    def keep_catalogue(self) -> None:
        """Make the catalogue again if somebody took it away."""
        if self._records.vanished:
            self._records.renew(self.table, "the catalogue was taken away")

    def close(self) -> None:
        """Commit what is done and let go of the index."""
        self._scan = None
        with suppress(IndexBrokenError):
            self._commit()
        self.names.close()
        self.bodies.close()
