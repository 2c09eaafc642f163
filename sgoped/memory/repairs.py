"""Remembers what is wrong with the index, and what was wrong with it and made again, and why."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Repair:
    """Something that was made again from the disk; ``at`` in unix time."""

    reason: str
    at: float


class Repairs:
    """What was made again since the start.

    Attributes:
        last: The latest; ``None`` when everything was whole.
    """

    def __init__(self) -> None:
        self.last: Repair | None = None

    def note(self, reason: str) -> None:
        """Remember, and log, that something is made again for ``reason``."""
        log.warning("%s; it is made again from the files", reason)
        self.last = Repair(reason, time.time())


class Problem:
    """What keeps the index from being whole at present.

    Attributes:
        reason: For a person; empty when all is well.
        since: Unix time; ``None`` when all is well.
    """

    def __init__(self) -> None:
        self.reason = ""
        self.since: float | None = None

    def set(self, reason: str) -> None:
        """Replace the reason; the time stays while there is one."""
        self.reason = reason
        self.since = (self.since or time.time()) if reason else None
