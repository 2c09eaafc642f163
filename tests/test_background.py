from __future__ import annotations

import asyncio

import pytest

from sgoped.background import background


async def forever(log: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        log.append("ended")


async def test_a_task_ends_with_its_block() -> None:
    log: list[str] = []
    async with background(work=forever(log)):
        await asyncio.sleep(0)
        assert log == []
    assert log == ["ended"]


async def test_an_error_of_the_block_is_raised_as_it_is() -> None:
    log: list[str] = []
    with pytest.raises(KeyError):
        async with background(work=forever(log)):
            await asyncio.sleep(0)
            raise KeyError("block")
    assert log == ["ended"]


async def test_a_task_that_fails_ends_the_block() -> None:
    async def fail() -> None:
        raise RuntimeError("task")

    with pytest.raises(ExceptionGroup) as failure:
        async with background(work=fail()):
            await asyncio.Event().wait()
    assert [type(error) for error in failure.value.exceptions] == [RuntimeError]
