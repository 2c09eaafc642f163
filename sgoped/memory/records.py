"""Keeps the catalogue in line with the path table: what is unsaved, and what is saved at last."""

from __future__ import annotations

import logging
import sqlite3

from sgoped.memory.repairs import Repairs
from sgoped.memory.store import IndexMark, Store
from sgoped.memory.table import PathTable

log = logging.getLogger(__name__)


class Records:
    """Loads and saves the catalogue, for the indexing thread.

    A catalogue that cannot be read or written costs time at the next start, nothing else.

    Attributes:
        unsaved: Directories whose rows are older than the table.
    """

    def __init__(self, store: Store, repairs: Repairs) -> None:
        self._store = store
        self._repairs = repairs
        self._failed = False
        self.unsaved: set[str] = set()

    @property
    def waiting(self) -> bool:
        """Whether there is something to save, and a chance that it can be."""
        return bool(self.unsaved) and not self._failed

    def load(self) -> tuple[PathTable, IndexMark]:
        """The table and the mark saved last, or empty ones where they are damaged."""
        table = PathTable()
        try:
            return table, self._store.load(table)
        except Exception as error:  # noqa: BLE001 - whatever a flipped bit may lead to
            self._begin_anew(f"the catalogue is damaged: {error}")
            return PathTable(), IndexMark()

    def save(self, table: PathTable, mark: IndexMark) -> None:
        """Write the unsaved directories and the mark."""
        directories = set(self.unsaved)
        self.unsaved.clear()
        try:
            self._store.save(table, directories, mark)
        except sqlite3.OperationalError as error:
            log.warning("the catalogue cannot be saved: %s", error)
            self.unsaved |= directories
            self._failed = True
        except sqlite3.Error as error:
            self.renew(table, f"the catalogue is damaged: {error}")
        else:
            self._failed = False

    def flush(self) -> bool:
        """Put all that was saved on the disk; whether that could be done."""
        try:
            self._store.flush()
        except sqlite3.Error as error:
            log.debug("the catalogue cannot be flushed: %s", error)
            return False
        return True

    def renew(self, table: PathTable, reason: str) -> None:
        """Begin an empty catalogue, and have all of the table saved into it."""
        self._begin_anew(reason)
        self.unsaved.update(table.directories())

    @property
    def vanished(self) -> bool:
        """Whether the catalogue's file was taken away."""
        return self._store.vanished

    def _begin_anew(self, reason: str) -> None:
        self._repairs.note(reason)
        try:
            self._store.clear()
        except (sqlite3.Error, OSError) as error:
            log.warning("the catalogue cannot be made again: %s", error)
            self._failed = True
        else:
            self._failed = False
