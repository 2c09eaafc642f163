"""Services that are no services: rebound names, floods, drips, bombs, keys with line ends."""

from __future__ import annotations

import asyncio
import gzip
import socket
import tracemalloc
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import aiohttp
import pytest

from sgoped.errors import InvalidInput, ServiceError
from sgoped.llm import faults
from sgoped.llm.kinds import load_kinds
from sgoped.llm.openai import OpenAIConfig, OpenAIService
from sgoped.llm.service import Timeouts
from sgoped.llm.transport import MAX_BODY_BYTES, open_session
from sgoped.llm.types import Message
from tests.fakes.upstream import FakeUpstream

MIB = 2**20
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BOMB_BYTES = 128 * MIB
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncGenerator[str]:
    """The address of a server that answers each connection with ``serve``."""

    finished = asyncio.Semaphore(0)
    begun = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal begun
        begun += 1
        try:
            await reader.readuntil(b"\r\n\r\n")
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            finished.release()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        for _ in range(begun):
            await finished.acquire()


def service_at(url: str, session: aiohttp.ClientSession, timeouts: Timeouts) -> OpenAIService:
    return OpenAIService(OpenAIConfig(base_url=url), session, timeouts)


async def test_only_addresses_that_were_judged_are_connected_to(
    monkeypatch: pytest.MonkeyPatch, upstream: FakeUpstream, timeouts: Timeouts
) -> None:
    """A name that means another address at every look-up, as a rebinding one does."""
    answers = [["127.0.0.1"], ["169.254.169.254"], ["169.254.169.254", "127.0.0.1"]]
    asked: list[str] = []
    reached: list[str] = []

    def look_up(host: str, port: int, *rest: Any, **more: Any) -> list[tuple[Any, ...]]:
        found = answers[len(asked) % len(answers)]
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    connect = asyncio.SelectorEventLoop.sock_connect

    async def watched(loop: Any, sock: socket.socket, address: Any) -> None:
        reached.append(address[0])
        await connect(loop, sock, address)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", watched)
    outcomes: list[int | str] = []
    for _ in range(6):
        async with open_session(timeouts) as session:  # nothing is remembered of the last look-up
            service = service_at(f"http://rebound.example:{upstream.port}/v1", session, timeouts)
            try:
                outcomes.append(len(await service.models()))
            except ServiceError as failure:
                outcomes.append(failure.code)
    assert outcomes == [2, "service_unreachable", 2] * 2
    assert set(asked) == {"rebound.example"}
    assert set(reached) == {"127.0.0.1"}


@pytest.mark.parametrize(
    "place",
    ["http://169.254.169.254/latest/meta-data", "//169.254.169.254/", "/v1/models", "file:///x"],
)
async def test_no_redirect_is_followed(
    session: aiohttp.ClientSession, timeouts: Timeouts, place: str
) -> None:
    asked = 0

    async def redirect(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        head = f"HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n"
        writer.write(head.encode())
        await writer.drain()

    async with serving(redirect) as url:
        with pytest.raises(ServiceError) as raised:
            await service_at(url, session, timeouts).models()
    assert raised.value.code == "service_redirects"
    assert asked == 1


@pytest.mark.parametrize(
    "key",
    [
        "zqj\r\nX-Injected: 1",
        "zqj\nX-Injected: 1",
        "zqj\rX-Injected: 1",
        "zqj\r\n\r\nGET /injected HTTP/1.1",
        "zqj\x00",
        "zqj\x0bmore",
        "zqj\x85more",
        "zqj\u2028more",
        "zqj\u010d\u010amore",  # line ends, for who drops the upper byte
        "zqj more",
        "zqj\u00e9",
    ],
)
def test_a_key_with_anything_but_one_word_is_refused_unshown(key: str) -> None:
    kinds = load_kinds()
    for kind, where in (("openai", "base_url"), ("ollama", "host")):
        with pytest.raises(InvalidInput) as raised:
            kinds.bind(kind, {where: "http://127.0.0.1:9", "api_key": key})
        assert "api_key" in raised.value.message
        assert key[:3] not in raised.value.message


async def test_a_path_with_escaped_line_ends_stays_one_line(
    session: aiohttp.ClientSession, timeouts: Timeouts
) -> None:
    lines: list[bytes] = []

    async def listen() -> str:
        async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            lines.extend((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n"))
            writer.close()

        server = await asyncio.start_server(read, "127.0.0.1", 0)
        await server.start_serving()
        servers.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    servers: list[asyncio.Server] = []
    url = f"{await listen()}/v1%0d%0aX-Injected:%201%0d%0a"
    with pytest.raises(ServiceError):
        await service_at(url, session, timeouts).models()
    servers[0].close()
    await servers[0].wait_closed()
    assert lines[0].startswith(b"GET /v1%0D%0AX-Injected:%201%0D%0A/models HTTP/1.1")
    assert not [line for line in lines if line.startswith(b"X-Injected")]


async def test_an_endless_list_of_models_is_left_unread(
    session: aiohttp.ClientSession, timeouts: Timeouts
) -> None:
    sent = 0

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(HEAD + b'\r\n{"data": [')
        while sent < BOMB_BYTES:
            writer.write(b'{"id": "model"},' * 4096)
            sent += 65_536
            await writer.drain()

    async with serving(flood) as url:
        with pytest.raises(ServiceError) as raised:
            await service_at(url, session, timeouts).models()
    assert raised.value.message == faults.TOO_LARGE[1]
    assert sent < 8 * MAX_BODY_BYTES


@pytest.mark.parametrize("part", ["headers", "body"])
async def test_an_answer_that_drips_is_given_up(part: str) -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + (b"\r\n" if part == "body" else b""))
        while True:
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(0.01)

    timeouts = Timeouts(request_seconds=0.3)
    async with asyncio.timeout(30), serving(drip) as url, open_session(timeouts) as session:
        with pytest.raises(ServiceError) as raised:
            await service_at(url, session, timeouts).models()
    assert raised.value.message == faults.REQUEST_TIMEOUT[1]


@pytest.mark.parametrize("line", [b"X-Flood: 1\r\n", b"X" * 1024])
async def test_endless_headers_are_given_up(
    session: aiohttp.ClientSession, timeouts: Timeouts, line: bytes
) -> None:
    sent = 0

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(HEAD)
        while sent < BOMB_BYTES:
            writer.write(line * 64)
            sent += len(line) * 64
            await writer.drain()

    async with serving(flood) as url:
        with pytest.raises(ServiceError) as raised:
            await service_at(url, session, timeouts).models()
    assert raised.value.message == faults.NOT_A_SERVICE[1]
    assert sent < BOMB_BYTES


@pytest.mark.parametrize("question", ["models", "chat"])
async def test_a_compressed_bomb_is_not_blown_up(
    session: aiohttp.ClientSession, timeouts: Timeouts, question: str
) -> None:
    """It was asked not to compress; what it sends all the same costs no more than any answer."""
    bomb = gzip.compress(b"data: " + b" " * BOMB_BYTES, 6)
    assert len(bomb) < MIB

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
        writer.write(HEAD + length.encode() + bomb)
        await writer.drain()

    async with serving(serve) as url:
        service = service_at(url, session, timeouts)
        tracemalloc.start()
        try:
            with pytest.raises(ServiceError) as raised:
                if question == "models":
                    await service.models()
                else:
                    async with aclosing(service.stream("m", [Message("user", "hi")])) as batches:
                        async for _ in batches:
                            pass
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert raised.value.message == faults.TOO_LARGE[1]
    assert peak < 48 * MIB
