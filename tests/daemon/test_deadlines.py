"""Requests that never come whole, and answers that nobody takes, are not waited for."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any, Literal, Self

import aiohttp
import pytest
from aiohttp import web  # noqa: TID251 - a server of the tests' own

from sgoped.daemon.connection import Deadlines, TimedConnection
from sgoped.daemon.entrance import accepting
from sgoped.daemon.peers import FOREIGN_PEER, Peers, Refused
from sgoped.daemon.sockets import listen
from sgoped.redaction import Redactor
from sgoped.web import protocol_options
from sgoped.web.keys import REDACTOR
from sgoped.web.middlewares import errors
from sgoped.web.wire import read_bytes, reply
from tests.conftest import StartDaemon
from tests.processes import DaemonProcess

SHORT, LONG = 0.2, 60.0
HEAD = b"GET /quick HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
BIG = 64 * 2**20


class Server:
    """A small application behind the daemon's own entrance."""

    def __init__(self) -> None:
        self.port = 0
        self.go_on = asyncio.Event()
        self.lost = asyncio.Event()
        self.slow_started = asyncio.Event()

    def app(self) -> web.Application:
        app = web.Application(middlewares=[errors])
        app[REDACTOR] = Redactor()
        app.router.add_get("/quick", self.quick)
        app.router.add_get("/slow", self.slow)
        app.router.add_get("/big", self.big)
        app.router.add_post("/body", self.body)
        app.router.add_post("/late", self.late)
        return app

    async def quick(self, request: web.Request) -> web.StreamResponse:
        return reply("quick")

    async def slow(self, request: web.Request) -> web.StreamResponse:
        self.slow_started.set()
        await self.go_on.wait()
        return reply("slow")

    async def big(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=bytes(BIG))

    async def body(self, request: web.Request) -> web.StreamResponse:
        return reply(len(await read_bytes(request, BIG)))

    async def late(self, request: web.Request) -> web.StreamResponse:
        await self.go_on.wait()
        return reply(len(await read_bytes(request, BIG)))


@pytest.fixture
def deadlines() -> Deadlines:
    return Deadlines(head=SHORT, body=SHORT, write=SHORT)


@pytest.fixture
def max_connections() -> int:
    return 100


@pytest.fixture
async def server(deadlines: Deadlines, max_connections: int) -> AsyncIterator[Server]:
    served = Server()
    runner = web.AppRunner(served.app(), handler_cancellation=True, **protocol_options())
    await runner.setup()
    assert runner.server is not None
    connection_lost = runner.server.connection_lost

    def lost(*arguments: Any) -> None:
        connection_lost(*arguments)
        served.lost.set()

    runner.server.connection_lost = lost  # type: ignore[method-assign,assignment]  # to hear of it
    with listen("127.0.0.1", 0) as listening:
        served.port = listening.port
        async with accepting(
            listening.sockets,
            runner.server,
            deadlines=deadlines,
            check_peer_uid=True,
            max_connections=max_connections,
        ):
            yield served
    served.go_on.set()
    await runner.cleanup()


class Client:
    """Byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, server: Server) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", server.port))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, object]:
        """Status and JSON of the next answer."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        return int(head.split()[1]), json.loads(await self.reader.readexactly(size))

    async def trickle(self, data: bytes) -> None:
        """Sends one byte of it after another, until the other side has had enough."""
        with suppress(ConnectionError):
            for byte in data:
                self.send(bytes([byte]))
                await self.writer.drain()
                await asyncio.sleep(SHORT / 10)

    async def closed(self) -> None:
        """Returns when the server has closed, and fails if it answers once more."""
        with suppress(ConnectionError):
            assert await self.reader.read() == b""


@pytest.mark.parametrize("half", [b"G", HEAD[:-2], b"GET /quick HTTP/1.1\r\nX: " + b"x" * 5000])
async def test_half_a_head_is_not_waited_for(server: Server, half: bytes) -> None:
    async with await Client.connect(server) as client:
        client.send(half)
        status, answer = await client.answer()
        assert (status, answer["code"]) == (408, "request_timeout")  # type: ignore[index]
        await client.closed()


async def test_a_head_that_trickles_is_not_waited_for(server: Server) -> None:
    async with await Client.connect(server) as client, asyncio.TaskGroup() as tasks:
        trickling = tasks.create_task(client.trickle(b"GET /quick HTTP/1.1\r\nX: " + b"x" * 10_000))
        assert (await client.answer())[0] == 408
        trickling.cancel()


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01 secret\r\n\r\n", HEAD[:-2] + b"secret : x\r\n\r\n", b"GET / secret\r\n\r\n"],
)
async def test_what_is_no_http_is_told_so_and_not_repeated(
    server: Server, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with await Client.connect(server) as client:
        client.send(sent)
        status, answer = await client.answer()
        assert (status, answer["code"]) == (400, "bad_request")  # type: ignore[index]
        assert "secret" not in str(answer)
        await client.closed()
    assert "secret" not in caplog.text


@pytest.mark.parametrize("together", [True, False])
async def test_the_next_head_has_its_deadline_too(server: Server, together: bool) -> None:
    """Also where its first bytes come with the request before."""
    async with await Client.connect(server) as client:
        client.send(HEAD + HEAD[:9] if together else HEAD)
        assert await client.answer() == (200, "quick")
        if not together:
            client.send(HEAD[:9])
        assert (await client.answer())[0] == 408
        await client.closed()


async def test_an_answer_that_is_being_made_is_not_cut_by_the_next_head(server: Server) -> None:
    async with await Client.connect(server) as client:
        client.send(HEAD.replace(b"quick", b"slow") + HEAD[:9])
        await server.slow_started.wait()
        await asyncio.sleep(SHORT * 2)
        server.go_on.set()
        assert await client.answer() == (200, "slow")
        await client.closed()


async def test_between_requests_and_before_the_first_there_is_time(server: Server) -> None:
    async with await Client.connect(server) as client:
        for _ in range(3):
            await asyncio.sleep(SHORT * 2)
            client.send(HEAD)
            assert await client.answer() == (200, "quick")
            client.send(b"\r\n")  # some clients do that
        client.send(POST % 4 + b"body")
        assert await client.answer() == (200, 4)
        await asyncio.sleep(SHORT * 2)
        client.send(HEAD)
        assert await client.answer() == (200, "quick")


@pytest.mark.parametrize("rest", [b"", b"some"])
async def test_a_body_that_stops_is_not_waited_for(
    server: Server, rest: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with await Client.connect(server) as client:
        client.send(POST % 100 + rest)
        status, answer = await client.answer()
        assert (status, answer["code"]) == (408, "body_timeout")  # type: ignore[index]
        await client.closed()
    assert "ERROR" not in caplog.text


async def test_a_body_may_take_long_if_it_comes(server: Server) -> None:
    async with await Client.connect(server) as client:
        client.send(POST % 40)
        await client.trickle(b"x" * 40)  # twice the deadline
        assert await client.answer() == (200, 40)


async def test_a_body_is_not_late_while_nobody_reads_it(server: Server) -> None:
    async with await Client.connect(server) as client, asyncio.TaskGroup() as tasks:
        client.send(POST.replace(b"body", b"late") % (BIG // 4))
        client.send(bytes(BIG // 4))
        sending = tasks.create_task(client.writer.drain())
        await asyncio.sleep(SHORT * 3)
        server.go_on.set()
        assert await client.answer() == (200, BIG // 4)
        await sending


async def test_an_answer_that_nobody_takes_is_dropped(server: Server) -> None:
    async with await Client.connect(server) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it can
        client.send(HEAD.replace(b"quick", b"big"))
        await server.lost.wait()


async def test_an_answer_that_is_taken_slowly_goes_on(server: Server) -> None:
    async with await Client.connect(server) as client:
        client.send(HEAD.replace(b"quick", b"big"))
        await client.reader.readuntil(b"\r\n\r\n")
        left, part = BIG, BIG // 16
        while left:
            await client.reader.readexactly(part)
            left -= part
            await asyncio.sleep(SHORT / 2)


async def test_a_socket_has_no_deadline_between_messages(start_daemon: StartDaemon) -> None:
    given = {"SGOPED_HEADER_TIMEOUT_SECONDS": "0.2", "SGOPED_BODY_TIMEOUT_SECONDS": "0.2"}
    daemon = await asyncio.to_thread(start_daemon, environment=given)
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{daemon.url}/ws/suggestions") as suggestions,
    ):
        for _ in range(2):
            await asyncio.sleep(SHORT * 2)
            await suggestions.send_json({"type": "files", "query": "x"})
            assert (await suggestions.receive_json())["type"] == "files"
    await half_a_request(daemon)


async def half_a_request(daemon: DaemonProcess) -> None:
    assert (await answer_to(daemon, b"GET /health HT")).startswith(b"HTTP/1.1 408 ")
    half_a_body = (
        b"POST /api/files/content HTTP/1.1\r\nHost: localhost:%d\r\n"
        b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    told = await answer_to(daemon, half_a_body % daemon.port)
    assert told.startswith(b"HTTP/1.1 408 ")
    assert b"body_timeout" in told
    assert list(daemon.memory_dir.iterdir()) == []


async def answer_to(daemon: DaemonProcess, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
    writer.write(sent)
    told = await reader.read()
    writer.close()
    return told


async def test_key_strokes_on_a_kept_connection_pay_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[socket.socket] = []
    judge = Peers.judge

    def count(peers: Peers, accepted: socket.socket) -> Refused | Literal["later"] | None:
        asked.append(accepted)
        return judge(peers, accepted)

    monkeypatch.setattr(Peers, "judge", count)
    async with await Client.connect(server) as client:
        for _ in range(3):
            client.send(HEAD)
            assert await client.answer() == (200, "quick")
    assert len(asked) == 1


class TestRoom:
    """At most so many connections; one that is idle makes room for one that is not."""

    @pytest.fixture
    def max_connections(self) -> int:
        return 3

    @pytest.fixture
    def deadlines(self) -> Deadlines:
        return Deadlines(head=LONG, body=LONG, write=LONG)

    async def test_the_longest_idle_makes_room(self, server: Server) -> None:
        clients = [await Client.connect(server) for _ in range(3)]
        for client in (clients[1], clients[0], clients[2]):
            client.send(HEAD)
            assert await client.answer() == (200, "quick")
        async with await Client.connect(server) as another:
            another.send(HEAD)
            assert await another.answer() == (200, "quick")
            await clients[1].closed()
            for client in (clients[0], clients[2]):
                client.send(HEAD)
                assert await client.answer() == (200, "quick")
        for client in clients:
            client.writer.close()

    async def test_who_waits_for_an_answer_or_sends_is_left_alone(self, server: Server) -> None:
        slow, half, body = [await Client.connect(server) for _ in range(3)]
        slow.send(HEAD.replace(b"quick", b"slow"))
        half.send(HEAD[:9])
        body.send(POST % 4 + b"bo")
        await server.slow_started.wait()
        async with await Client.connect(server) as another:
            await another.closed()
        half.send(HEAD[9:])
        body.send(b"dy")
        server.go_on.set()
        assert await slow.answer() == (200, "slow")
        assert await half.answer() == (200, "quick")
        assert await body.answer() == (200, 4)
        for client in (slow, half, body):
            client.writer.close()


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit sets the limit")
async def test_connections_leave_files_for_what_is_done_on_them(start_daemon: StartDaemon) -> None:
    limit = ["prlimit", "--nofile=256:256"]
    daemon = await asyncio.to_thread(start_daemon, wrapper=limit)
    async with AsyncExitStack() as held:
        for _ in range(250):
            _, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
            held.callback(writer.close)
        saved = {"path": "a.md", "content": "kept"}
        status, _ = await asyncio.to_thread(daemon.request, "POST", "/api/files/content", saved)
    assert status == 200
    assert "Too many open files" not in daemon.log()


class TestWhoseItIs:
    """Asked once, before anything is read, and off the loop where it takes long."""

    @pytest.fixture
    def deadlines(self) -> Deadlines:
        return Deadlines(head=LONG, body=LONG, write=LONG)

    async def test_nothing_is_read_until_the_slow_way_has_told(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told = threading.Event()
        judge_slowly = Peers.judge_slowly

        def wait(peers: Peers, accepted: socket.socket) -> Refused | None:
            assert threading.current_thread() is not threading.main_thread()
            told.wait(LONG)
            return judge_slowly(peers, accepted)

        monkeypatch.setattr(Peers, "judge", lambda *_: "later")
        monkeypatch.setattr(Peers, "judge_slowly", wait)
        async with await Client.connect(server) as client:
            client.send(HEAD)
            assert await asyncio.to_thread(lambda: "the loop turns") == "the loop turns"
            assert not client.reader.at_eof()
            told.set()
            assert await client.answer() == (200, "quick")

    @pytest.mark.parametrize("slowly", [True, False])
    async def test_who_is_refused_is_told_so_and_not_understood(
        self, server: Server, monkeypatch: pytest.MonkeyPatch, slowly: bool
    ) -> None:
        refuse = lambda *_: FOREIGN_PEER  # noqa: E731 - two names for one answer
        monkeypatch.setattr(Peers, "judge", (lambda *_: "later") if slowly else refuse)
        monkeypatch.setattr(Peers, "judge_slowly", refuse)
        async with await Client.connect(server) as client:
            client.send(b"\x16\x03 no HTTP at all")
            status, answer = await client.answer()
            assert (status, answer["code"]) == (403, "peer_refused")  # type: ignore[index]
            client.send(bytes(100_000))
            await client.closed()


def test_aiohttp_still_has_what_the_deadlines_stand_on() -> None:
    for name in (
        "_request_count",
        "_messages",
        "_upgraded",
        "_waiter",
        "_request_in_progress",
        "_reading_paused",
        "_buffer_paused",
        "_next_keepalive_close_time",
    ):
        assert hasattr(TimedConnection, name), name
