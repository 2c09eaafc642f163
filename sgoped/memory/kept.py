"""Keeps one index whole: whether it can be trusted, what it may hold, and making it again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from sgoped.memory.index import IndexBrokenError, SearchIndex
from sgoped.memory.repairs import Repairs
from sgoped.memory.store import IndexClaim

MAX_REBUILDS = 3
REBUILD_PAUSE_SECONDS = 60.0
UNKNOWN_COUNT = -1


def disagreement(claim: IndexClaim, found: IndexClaim) -> str:
    """Why an index cannot be the one that the catalogue was saved with; empty when it can.

    An index newer than the catalogue means that a kill came between the two commits.

    Args:
        claim: What the catalogue knows of the index.
        found: What the index is.
    """
    if found.identity != claim.identity:
        return "it is another one than the catalogue knows"
    if found.stamp < claim.stamp:
        return "it is older than the catalogue"
    for name, checksum in claim.checksums.items():
        if found.checksums.get(name, checksum) != checksum:
            return f"{name} is another file than the catalogue knows"
    if found.stamp == claim.stamp and claim.count not in (found.count, UNKNOWN_COUNT):
        return f"it holds {found.count:,} documents, not the {claim.count:,} it should"
    return ""


class KeptIndex:
    """Changes one index, for the indexing thread.

    Deleting costs as much as adding, so it is only done for pids that may be there; in a first
    indexing none is.

    Attributes:
        mended: Whether the index was found to be newer than the catalogue, or incomplete.
    """

    def __init__(
        self, index: SearchIndex, start_over: Callable[[], None], repairs: Repairs
    ) -> None:
        self._index = index
        self._repairs = repairs
        self._start_over = start_over
        self._held = bytearray()
        self.mended = False
        self._rebuilds = 0
        self._rebuilt_at = 0.0

    @property
    def claim(self) -> IndexClaim:
        """What the catalogue must know of the index as it was committed last."""
        index = self._index
        return IndexClaim(index.identity, index.stamp, index.count, index.checksums)

    # -- at the start

    def agree(self, claim: IndexClaim, next_pid: int) -> bool:
        """Compare the index with what the catalogue says of it.

        An index newer than the catalogue means that a kill came between the two commits, and one
        of unknown size that a backlog was left: pids that the catalogue never heard of are
        deleted, and ``missing`` tells what else was lost.

        Args:
            claim: What the catalogue knows of the index.
            next_pid: No pid from here on was ever given out.

        Returns:
            Whether the index can be used; if not, it must be made anew.
        """
        if next_pid == 0:
            return False
        index = self._index
        reason = index.refusal or disagreement(claim, self.claim)
        if not reason and (index.stamp > claim.stamp or claim.count == UNKNOWN_COUNT):
            reason = self._mend(next_pid)
        elif not reason:
            self._held = bytearray(b"\1" * next_pid)
        if reason:
            self._repairs.note(f"the index of {index.name} cannot be used: {reason}")
        return not reason

    def _mend(self, next_pid: int) -> str:
        """Have an index hold nothing that the catalogue never heard of; why that failed."""
        try:
            self._index.delete_from("pid", next_pid)
            self._index.commit()
            pids = self._index.pids()
        except IndexBrokenError as error:
            return str(error)
        self._held = bytearray(next_pid)
        for pid in pids:
            self._held[pid] = 1
        self.mended = True
        return ""

    def missing(self, pids: Iterable[int]) -> list[int]:
        """Which of ``pids``, that should be held, are not; all are, unless a kill was mended."""
        return [pid for pid in pids if not self.may_hold(pid)] if self.mended else []

    def drop_others(self, pids: Iterable[int]) -> None:
        """After a kill was mended, remove all but ``pids``: what lacked its commit when it came.

        Nobody is shown them, but they would take the places of what can be shown.
        """
        if self.mended:
            wanted = set(pids)
            for pid in range(len(self._held)):
                if pid not in wanted:
                    self.drop(pid)

    def may_hold(self, pid: int) -> bool:
        """Whether the index may hold something under ``pid``."""
        return pid < len(self._held) and self._held[pid] == 1

    def start_afresh(self) -> None:
        """Empty the index.

        Raises:
            IndexBrokenError: The disk does not allow it.
        """
        if not self._index.untouched:
            self._index.start_afresh()
        self._held.clear()

    # -- changes; all return whether the index is still whole, or else it is being made again

    def put(self, pid: int, add: Callable[[], None]) -> bool:
        """Replace what is held under ``pid`` by what ``add`` adds.

        What breaks may have broken before, so it is tried once more in the new index.
        """
        self.drop(pid)
        return self._add(pid, add) or self._add(pid, add)

    def _add(self, pid: int, add: Callable[[], None]) -> bool:
        # Before adding, because what breaks may have been added in part.
        missing = pid + 1 - len(self._held)
        if missing > 0:
            self._held.extend(bytes(missing))
        self._held[pid] = 1
        return self._guarded(add)

    def drop(self, pid: int) -> bool:
        """Remove what is held under ``pid``."""
        if not self.may_hold(pid):
            return True

        def work() -> None:
            self._index.delete("pid", pid)
            self._held[pid] = 0

        return self._guarded(work)

    def commit(self) -> bool:
        """Make the changes visible and durable."""
        return self._guarded(self._index.commit)

    def _guarded(self, work: Callable[[], None]) -> bool:
        try:
            work()
        except IndexBrokenError as error:
            self.rebuild(str(error))
            return False
        return True

    def rebuild(self, reason: str) -> None:
        """Make the index anew.

        Raises:
            IndexBrokenError: It broke too often.
        """
        self._repairs.note(f"the index of {self._index.name} broke: {reason}")
        now = time.monotonic()
        self._rebuilds += 1
        if self._rebuilds > MAX_REBUILDS and now - self._rebuilt_at < REBUILD_PAUSE_SECONDS:
            raise IndexBrokenError("the index breaks again and again; see the log")
        self._rebuilt_at = now
        self._start_over()

    def note_settled(self) -> None:
        """All is committed: what broke before does not count any more."""
        self._rebuilds = 0
