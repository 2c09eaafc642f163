"""Checks the indexes while they are used: all their bytes once a day, that they are there oftener.

An index over which a search stumbled is looked at the next time as well.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time

from sgoped.memory.index import IndexBrokenError, SearchIndex
from sgoped.memory.indexer import Indexer
from sgoped.memory.integrity import find_damage

CONTENTS_SECONDS = 24 * 3600.0

log = logging.getLogger(__name__)


async def check_regularly(indexer: Indexer, seconds: float) -> None:
    """Check every ``seconds`` for ever, beginning after the first scan; have damage mended."""
    await indexer.scanned.wait()
    closing = threading.Event()
    contents_at = time.monotonic()
    try:
        while True:
            contents = time.monotonic() >= contents_at
            for index in (indexer.worker.names, indexer.worker.bodies):
                suspected = index.suspicion != ""
                await _check(indexer, index, closing, contents=contents or suspected)
            await indexer.call(indexer.worker.keep_catalogue)
            if contents and not (indexer.worker.names.suspicion or indexer.worker.bodies.suspicion):
                contents_at = time.monotonic() + CONTENTS_SECONDS
                indexer.checked = True
            indexer.wake()
            await asyncio.sleep(seconds)
    finally:
        closing.set()


async def _check(
    indexer: Indexer, index: SearchIndex, closing: threading.Event, *, contents: bool
) -> None:
    class ClosingError(Exception):
        """The thread is not waited for."""

    def rest(seconds: float) -> None:
        if closing.wait(seconds):
            raise ClosingError

    def work() -> str:
        try:
            return find_damage(index.directory, contents=contents, rest=rest)
        except ClosingError:
            return ""

    suspicion, index.suspicion = index.suspicion, ""
    try:
        damage = await asyncio.to_thread(work)
    except OSError as error:
        log.warning("the index of %s cannot be checked now: %s", index.name, error)
        index.suspicion = index.suspicion or suspicion or str(error)
        return
    if damage:
        try:
            await indexer.call(lambda: indexer.worker.rebuild(index, damage))
        except IndexBrokenError as error:
            log.warning("the index of %s cannot be made again: %s", index.name, error)
