"""When the commits of a backlog are due.

While there is a backlog each commit waits twice as long as the one before: small commits make
small segments, and merging those can cost more than indexing did.
"""

from __future__ import annotations

import time

FIRST_PAUSE_SECONDS = 0.2
LAST_PAUSE_SECONDS = 12.8


class Pause:
    """The time between two commits."""

    def __init__(self) -> None:
        self._seconds = FIRST_PAUSE_SECONDS
        self._ends_at = 0.0

    @property
    def over(self) -> bool:
        """Whether the next commit is due."""
        return time.monotonic() >= self._ends_at

    def begin(self, *, longer: bool) -> None:
        """Start the next pause: twice the last one, or from the first again."""
        doubled = min(2 * self._seconds, LAST_PAUSE_SECONDS)
        self._seconds = doubled if longer else FIRST_PAUSE_SECONDS
        self._ends_at = time.monotonic() + self._seconds
