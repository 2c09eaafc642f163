"""When the commits of a backlog are due, and when what failed is tried again.

While there is a backlog each commit waits twice as long as the one before: small commits make
small segments, and merging those can cost more than indexing did.
"""

from __future__ import annotations

import time

FIRST_PAUSE_SECONDS = 0.2
LAST_PAUSE_SECONDS = 12.8
FIRST_RETRY_SECONDS = 1.0
LAST_RETRY_SECONDS = 300.0


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


class Retry:
    """When files that could not be read are tried again: soon at first, then ever later."""

    def __init__(self) -> None:
        self._failed = 0
        self._seconds = FIRST_RETRY_SECONDS
        self._at = 0.0

    def due(self, failed: int, now: float) -> float | None:
        """Seconds until ``failed`` files are tried again, at least 0; ``None`` when there are none.

        One more than before begins anew, since it may fail for a moment only.
        """
        if failed > self._failed:
            self._seconds = FIRST_RETRY_SECONDS
            self._at = now + self._seconds
        self._failed = failed
        return max(0.0, self._at - now) if failed else None

    def begin(self, now: float) -> None:
        """Wait twice as long for the next one."""
        self._seconds = min(2 * self._seconds, LAST_RETRY_SECONDS)
        self._at = now + self._seconds
