"""``Keeper``: writes runs into ``state.db`` while they are made, and finds them again.

A run is written when it starts, then at most about twice a second together with all others that
live, and when it ends; so a kill costs about half a second of text. Runs that lived then are found as
``live`` by the next start, which gives them their end.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass

from sgoped.chat.run import Run
from sgoped.chat.stored import RunSummary, change_of, interrupted, restored, summary_of
from sgoped.errors import StorageError
from sgoped.state import LIVE, RunRecords
from sgoped.unexpected import log_unexpected

SAVE_SECONDS = 0.5
# What is asked at this moment comes first: its first token does not wait for ours.
PAUSE_SECONDS = 0.1
MAX_UNSAVED_BYTES = 16 * 1024 * 1024
MAX_UNSAVED_RUNS = 50

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Held:
    """A run in memory, and up to which event it is on the disk, in pages and altogether.

    What is not to be kept never gets there.
    """

    run: Run
    base: int = 0
    last: int = -1
    keep: bool = True


class Keeper:
    """Holds the runs that live, and those that ended and are not written yet.

    Args:
        records: Where runs are written to; None keeps a few in memory alone.
        max_runs: How many ended ones stay; 0 writes none, and forgets those that were.
    """

    def __init__(self, records: RunRecords | None, max_runs: int) -> None:
        self._records = records if max_runs else None
        self._unwanted = None if max_runs else records
        self._max_runs = max_runs
        self._held: dict[str, _Held] = {}
        self._due = asyncio.Event()
        self._failing = False

    async def recover(self) -> list[str]:
        """Give an end to what a kill interrupted; the ids of these runs."""
        try:
            if self._unwanted is not None:
                await self._unwanted.clear()
            return [] if self._records is None else await self._end_interrupted(self._records)
        except StorageError as error:
            self._note_failure(error)
            return []

    def hold(self, run: Run, *, keep: bool = True) -> None:
        """A run begins: it can be found, and is written soon, or never unless ``keep``."""
        self._held[run.id] = _Held(run, keep=keep)
        self.note_end()

    def note_end(self) -> None:
        """Some run ended: it is written soon."""
        self._shed()
        self._due.set()

    async def keep(self) -> None:
        """Write for ever what is due."""
        while True:
            timeout = SAVE_SECONDS if self._held and self._records is not None else None
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._due.wait()
            await asyncio.sleep(PAUSE_SECONDS)
            self._due.clear()
            try:
                await self.save()
            except Exception as error:  # noqa: BLE001 - what is not kept must not end the daemon
                log_unexpected("keeping runs", error)

    async def save(self) -> None:
        """Write everything that changed, in one transaction."""
        due = [
            (each, each.run.kept(each.base), each.run.end is not None)
            for each in self._held.values()
            if each.keep and each.last != each.run.last_event_id
        ]
        if self._records is None or not due:
            return
        changes = [change_of(each.run, kept) for each, kept, _ in due]
        try:
            await self._records.save(changes, self._max_runs)
        except StorageError as error:
            self._note_failure(error)
            return
        self._failing = False
        for each, kept, ended in due:
            each.base, each.last = kept.base, kept.last
            if ended:
                self._held.pop(each.run.id, None)

    async def find(self, run_id: str) -> Run | None:
        """A run that lives or is kept.

        Raises:
            StorageError: Those that are kept cannot be read.
        """
        held = self._held.get(run_id)
        if held is not None or self._records is None:
            return held.run if held is not None else None
        stored = await self._records.load(run_id)
        return None if stored is None else restored(stored)

    async def listed(self, limit: int, state: str = "") -> list[RunSummary]:
        """The newest runs first, those in ``state`` alone unless it is empty.

        Raises:
            StorageError: Those that are kept cannot be read.
        """
        # Before anything is awaited: what is written meanwhile is forgotten here, and rows are old.
        held = [each.run for each in self._held.values()]
        rows = [] if self._records is None else await self._records.listed(limit, state)
        found = await asyncio.to_thread(lambda: {row.id: summary_of(row) for row in rows})
        for run in held:
            found.pop(run.id, None)
            if state in ("", run.state):
                found[run.id] = RunSummary(run.info, run.state, run.end, run.last_event_id)
        readable = [summary for summary in found.values() if summary is not None]
        return sorted(readable, key=lambda each: each.info.started_at, reverse=True)[:limit]

    async def forget(self, run_id: str) -> bool:
        """Forget an ended run for good; whether there was one.

        Raises:
            StorageError: It cannot be deleted.
        """
        held = self._held.pop(run_id, None)
        deleted = self._records is not None and await self._records.delete(run_id)
        return deleted or held is not None

    def let_go(self, conversation_id: str) -> None:
        """Forget the runs of a conversation that is about to be deleted, and write none of them."""
        for run_id in self._ids_of(conversation_id):
            del self._held[run_id]

    def write_anew(self, conversation_id: str) -> None:
        """Write what began in a conversation while it was deleted, with what was written of it."""
        for run_id in self._ids_of(conversation_id):
            held = self._held[run_id]
            self._held[run_id] = _Held(held.run, keep=held.keep)
        self._due.set()

    def _ids_of(self, conversation_id: str) -> list[str]:
        return [
            run_id
            for run_id, each in self._held.items()
            if each.run.info.conversation_id == conversation_id
        ]

    async def _end_interrupted(self, records: RunRecords) -> list[str]:
        ids = [row.id for row in await records.listed(-1, LIVE)]
        for run_id in ids:
            stored = await records.load(run_id)
            change = None if stored is None else await asyncio.to_thread(interrupted, stored)
            if change is None:
                await records.delete(run_id)
            else:
                await records.save([change], self._max_runs)
        return ids

    def _shed(self) -> None:
        """Forget ended runs that are not to be kept, and the oldest of too many unwritten ones."""
        for each in list(self._held.values()):
            if not each.keep and each.run.end is not None:
                del self._held[each.run.id]
        ended = [each.run for each in self._held.values() if each.run.end is not None]
        total = sum(run.kept_bytes for run in ended)
        for number, run in enumerate(ended):
            if total <= MAX_UNSAVED_BYTES and len(ended) - number <= MAX_UNSAVED_RUNS:
                break
            total -= run.kept_bytes
            del self._held[run.id]

    def _note_failure(self, error: StorageError) -> None:
        if not self._failing:
            log.warning("answers cannot be kept: %s", error.message)
        self._failing = True
