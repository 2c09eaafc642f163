"""Changes that are made whole, whatever happens to who asked for them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


async def completed(tasks: asyncio.TaskGroup, change: Coroutine[Any, Any, _T]) -> _T:
    """Run ``change`` to its end in a task of its own, whatever happens to the caller."""
    done: asyncio.Future[_T] = asyncio.get_running_loop().create_future()

    async def run() -> None:
        try:
            result = await change
        except Exception as error:  # noqa: BLE001 - handed to the caller, who raises it
            done.set_exception(error)
            done.exception()  # a caller that left will not look
        else:
            done.set_result(result)

    tasks.create_task(run(), name="change of services")
    return await asyncio.shield(done)
