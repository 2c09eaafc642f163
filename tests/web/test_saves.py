"""What is begun is finished, whoever stops waiting."""

from __future__ import annotations

import asyncio
import logging

import pytest

from sgoped.errors import Conflict
from sgoped.web.saves import open_saves


async def test_a_result_and_a_failure_come_back() -> None:
    async def good() -> int:
        return 5

    async def bad() -> int:
        raise Conflict("changed")

    async with open_saves() as saves:
        assert await saves.run(good()) == 5
        with pytest.raises(Conflict):
            await saves.run(bad())
        assert await saves.run(good()) == 5, "one failure does not take the others down"


async def test_a_cancelled_caller_leaves_the_work_running() -> None:
    begun, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await go_on.wait()
        done.set()

    async with asyncio.timeout(10), open_saves() as saves, asyncio.TaskGroup() as group:
        caller = group.create_task(saves.run(work()))
        await begun.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        go_on.set()
        await done.wait()


async def test_leaving_waits_for_what_has_begun() -> None:
    begun, finished = asyncio.Event(), False

    async def work() -> None:
        nonlocal finished
        begun.set()
        for _ in range(5):
            await asyncio.sleep(0)
        finished = True

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        async with open_saves() as saves:
            caller = group.create_task(saves.run(work()))
            await begun.wait()
            caller.cancel()
        assert finished


async def test_a_failure_nobody_waits_for_is_logged_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await go_on.wait()
        raise Conflict("private text")

    with caplog.at_level(logging.DEBUG):
        async with asyncio.timeout(10), asyncio.TaskGroup() as group, open_saves() as saves:
            caller = group.create_task(saves.run(work()))
            await begun.wait()
            caller.cancel()
            with pytest.raises(asyncio.CancelledError):
                await caller
            go_on.set()
    assert "Conflict" in caplog.text
    assert "private text" not in caplog.text
