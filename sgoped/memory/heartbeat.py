"""Proves that the system's file notifications arrive, by touching a file of our own now and then.

The file lies in a directory of our own, watched through the same kernel queue and the same threads
as the memory folder, in which nothing is touched. A notification that does not come back in time
means that others do not come either, though every thread lives.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

FILE_NAME = "beat"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often the heart beats.

    Attributes:
        period_seconds: From one notification to the next touch.
        patience_seconds: How long a notification may take while no other arrives either.
    """

    period_seconds: float = 30.0
    patience_seconds: float = 10.0


class Heartbeat:
    """Touches ``folder / FILE_NAME``, and knows whether that is overdue; lives on the event loop.

    Without a folder that can be written there is no heartbeat, and nothing is ever late: that
    tells nothing of the notifications.
    """

    def __init__(self, folder: Path | None, rhythm: Rhythm) -> None:
        self._folder = folder
        self._rhythm = rhythm
        self._waiting_since: float | None = None
        self._due_at = 0.0
        self._arrived = asyncio.Event()

    async def begin(self) -> Path | None:
        """Make the folder ready for new watching; ``None`` where there is no heartbeat."""
        self._waiting_since, self._due_at = None, 0.0
        if self._folder is not None:
            try:
                await asyncio.to_thread(_prepare, self._folder)
            except OSError as error:
                log.warning("file notifications are not tested: %s", error)
                self._folder = None
        return self._folder

    async def is_felt(self) -> bool:
        """Beat now; whether it is felt before patience ends."""
        await self.beat()
        if self._waiting_since is None:
            return True
        try:
            async with asyncio.timeout(self._rhythm.patience_seconds):
                await self._arrived.wait()
        except TimeoutError:
            return False
        return True

    async def beat(self) -> None:
        """Touch the file, if it is time and no touch is being waited for."""
        if self._folder is None or self._waiting_since is not None or not self._is_due():
            return
        self._arrived.clear()
        self._waiting_since = time.monotonic()
        try:
            await asyncio.to_thread(_touch, self._folder)
        except OSError as error:
            log.debug("the heartbeat cannot be made: %s", error)
            self.arrived()
        if self._waiting_since is not None:
            # The time that it took to get a thread, or the disk, is not the notification's.
            self._waiting_since = time.monotonic()

    def _is_due(self) -> bool:
        return time.monotonic() >= self._due_at

    def arrived(self) -> None:
        """The touch was told."""
        self._waiting_since = None
        self._due_at = time.monotonic() + self._rhythm.period_seconds
        self._arrived.set()

    def heard(self, *, lost: bool) -> None:
        """Something else was told: the queue moves; ``lost`` when the touch may have been dropped."""
        if self._waiting_since is not None:
            self._waiting_since = None if lost else time.monotonic()

    @property
    def is_late(self) -> bool:
        """Whether the touch should have been told long ago."""
        since = self._waiting_since
        return since is not None and time.monotonic() - since > self._rhythm.patience_seconds


def _prepare(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / FILE_NAME).touch(mode=0o600)


def _touch(folder: Path) -> None:
    os.utime(folder / FILE_NAME)
