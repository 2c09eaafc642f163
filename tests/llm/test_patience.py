"""One timer for all the reads of an answer."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol

from sgoped.llm.patience import Patience


def make_content() -> StreamReader:
    loop = asyncio.get_running_loop()
    protocol = Mock(spec=BaseProtocol, _reading_paused=False)
    return StreamReader(protocol, 2**16, loop=loop)


def soon() -> float:
    return asyncio.get_running_loop().time() + 0.02


def late() -> float:
    return asyncio.get_running_loop().time() + 3600


async def test_a_read_that_takes_too_long_ends() -> None:
    patience = Patience(make_content())
    with pytest.raises(TimeoutError):
        await patience.read(soon())
    patience.close()


async def test_what_comes_in_time_is_read_and_later_reads_have_their_own_time() -> None:
    content = make_content()
    patience = Patience(content)
    for number in range(3):
        content.feed_data(b"%d" % number)
        assert await patience.read(soon()) == b"%d" % number
    with pytest.raises(TimeoutError):
        await patience.read(soon())
    patience.close()


async def test_a_time_limit_that_comes_closer_counts() -> None:
    content = make_content()
    patience = Patience(content)
    content.feed_data(b"stopped")
    assert await patience.read(late()) == b"stopped"
    with pytest.raises(TimeoutError):
        await patience.read(soon())
    patience.close()


async def test_no_time_passes_between_two_reads() -> None:
    """Whoever takes the events may be slow; that is not the service's fault."""
    content = make_content()
    patience = Patience(content)
    content.feed_data(b"one")
    first_deadline = soon()
    assert await patience.read(first_deadline) == b"one"
    passed = asyncio.Event()
    asyncio.get_running_loop().call_at(first_deadline + 0.01, passed.set)
    await passed.wait()
    content.feed_data(b"two")
    assert await patience.read(late()) == b"two"
    patience.close()


async def test_the_end_is_no_bytes() -> None:
    content = make_content()
    content.feed_eof()
    patience = Patience(content)
    assert await patience.read(late()) == b""
    patience.close()
