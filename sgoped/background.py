"""Owned background tasks: they live as long as a block, and the block's errors stay themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager


@asynccontextmanager
async def task_group() -> AsyncGenerator[asyncio.TaskGroup]:
    """A ``TaskGroup`` that lets an error of the block itself be raised as it is, unwrapped."""
    failure: Exception | None = None
    async with asyncio.TaskGroup() as tasks:
        try:
            yield tasks
        except Exception as error:  # noqa: BLE001 - raised again outside of the group
            failure = error
    if failure is not None:
        raise failure


@asynccontextmanager
async def background(**work: Coroutine[object, object, None]) -> AsyncGenerator[None]:
    """Run each coroutine as a task named by its keyword, and cancel it when the block is left.

    A task that fails cancels the block and is raised as an exception group; an error of the
    block itself is raised as it is, where a bare ``TaskGroup`` would wrap it.
    """
    async with task_group() as tasks:
        running = [tasks.create_task(coroutine, name=name) for name, coroutine in work.items()]
        try:
            yield
        finally:
            for task in running:
                task.cancel()
