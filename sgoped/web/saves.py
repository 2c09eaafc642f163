"""Work that must be finished once begun, even when the client who asked for it leaves.

Handlers are cancelled when their client goes (otherwise an unwatched model would go on burning
tokens), so whatever writes runs in a task of its own, owned by the application, and the handler
merely waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)


class Saves:
    """Runs coroutines to their end, whoever stops waiting for them."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what ``work`` returns, or raise what it raises.

        Cancelling the caller leaves ``work`` running; its failure is then logged.
        """
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._group.create_task(_settle(work, outcome))
        try:
            return await asyncio.shield(outcome)
        except asyncio.CancelledError:
            outcome.add_done_callback(_log_failure)
            raise


async def _settle(work: Coroutine[Any, Any, T], outcome: asyncio.Future[T]) -> None:
    """Move the result into ``outcome``, so that a failure never takes the whole group down."""
    try:
        result = await work
    except asyncio.CancelledError:
        outcome.cancel()
        raise
    except Exception as error:  # noqa: BLE001 - handed to whoever waits, or logged
        outcome.set_exception(error)
    else:
        outcome.set_result(result)


def _log_failure(outcome: asyncio.Future[T]) -> None:
    if not outcome.cancelled() and (error := outcome.exception()) is not None:
        log.warning("a save failed after its client had left: %s", type(error).__name__)


@asynccontextmanager
async def open_saves() -> AsyncGenerator[Saves]:
    """Own the tasks; leaving the block waits for every save that has begun."""
    async with asyncio.TaskGroup() as group:
        yield Saves(group)
