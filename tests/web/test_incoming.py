"""Whether another message has arrived already, over a real socket."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import WSMsgType, web  # noqa: TID251 - serves what the module reads
from aiohttp.test_utils import TestClient, TestServer

from sgoped.web.incoming import Incoming


async def test_messages_come_in_order_whether_they_were_looked_for_or_not() -> None:
    seen: list[tuple[str, bool]] = []
    ended = asyncio.Event()

    async def read(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        incoming = Incoming(socket)
        while (message := await incoming.next()).type is WSMsgType.TEXT:
            looked = len(seen) % 3 != 0
            seen.append((message.data, looked and incoming.has_next))
            if message.data.endswith("last"):
                await socket.send_str("all seen")
        incoming.close()
        ended.set()
        return socket

    app = web.Application()
    app.router.add_get("/", read)
    async with asyncio.timeout(20), TestClient[Any, Any](TestServer(app)) as client:
        async with client.ws_connect("/") as socket:
            for burst in range(3):
                for n in range(10):
                    await socket.send_str(f"{burst}.{n}")
                await socket.send_str(f"{burst} last")
                assert await socket.receive_str() == "all seen"
        await ended.wait()
    names = [f"{n}" for n in range(10)]
    assert [text for text, _ in seen] == [
        text for burst in range(3) for text in [*(f"{burst}.{n}" for n in names), f"{burst} last"]
    ]
    assert any(had_next for _, had_next in seen)
    assert not any(had_next for text, had_next in seen if text.endswith("last"))


async def test_a_reader_that_is_cancelled_while_it_waits_leaves_nothing_behind() -> None:
    waiting, ended = asyncio.Event(), asyncio.Event()

    async def read(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        incoming = Incoming(socket)
        assert not incoming.has_next
        waiting.set()
        try:
            async with asyncio.timeout(0.01):
                await incoming.next()
        except TimeoutError:
            incoming.close()
            ended.set()
        return socket

    app = web.Application()
    app.router.add_get("/", read)
    async with (
        asyncio.timeout(20),
        TestClient[Any, Any](TestServer(app)) as client,
        client.ws_connect("/"),
    ):
        await waiting.wait()
        await ended.wait()
