"""One writer of events: framing, pings in silence, a limit on every write."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import ClientResponse, web  # noqa: TID251 - the writer under test is aiohttp's
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from sgoped.web.sse import ClientLost, EventStream, Framed, frame

Scenario = Callable[[EventStream], Awaitable[None]]


@given(st.dictionaries(st.text(), st.text()), st.none() | st.integers(0, 10**15))
def test_an_event_is_one_line_whatever_it_holds(data: dict[str, str], event_id: int | None) -> None:
    framed = frame(Framed(data, event_id))
    assert framed.endswith(b"\n\n")
    lines = framed[:-2].split(b"\n")
    if event_id is not None:
        assert lines.pop(0) == b"id: %d" % event_id
    (line,) = lines
    assert b"\r" not in line
    assert json.loads(line.removeprefix(b"data: ")) == data


async def play(
    scenario: Scenario,
    read: Callable[[ClientResponse], Awaitable[None]],
    *,
    write_timeout_seconds: float = 30.0,
    ping_seconds: float = 30.0,
) -> None:
    """Run ``scenario`` in a handler, and ``read`` on its response."""

    async def handler(request: web.Request) -> web.StreamResponse:
        stream = EventStream(
            request, write_timeout_seconds=write_timeout_seconds, ping_seconds=ping_seconds
        )
        await stream.open()
        await scenario(stream)
        return stream.response

    app = web.Application()
    app.router.add_get("/", handler)
    async with asyncio.timeout(30), TestClient(TestServer(app)) as client, client.get("/") as got:
        await read(got)


async def test_what_can_be_sent_at_once_is_and_nothing_twice() -> None:
    sent: list[bool] = []

    async def scenario(stream: EventStream) -> None:
        await stream.send([Framed({"n": 1})])
        sent.append(stream.send_at_once([Framed({"n": 2}), Framed({"n": 3})]))
        sent.append(stream.send_at_once([Framed({"n": "x" * 2**20})]))
        sent.append(stream.send_at_once([Framed({"n": 4})]))

    async def read(response: ClientResponse) -> None:
        lines = (await response.text()).split("\n\n")
        assert [json.loads(line[6:])["n"] for line in lines[:-1]] == [1, 2, 3, 4]

    await play(scenario, read)
    assert sent == [True, False, True]


async def test_headers_arrive_before_any_event() -> None:
    go_on = asyncio.Event()

    async def scenario(stream: EventStream) -> None:
        await go_on.wait()
        await stream.send([Framed({"n": 1})])
        await stream.close()

    async def read(response: ClientResponse) -> None:
        assert response.status == 200
        go_on.set()
        assert await response.read() == b'data: {"n":1}\n\n'

    await play(scenario, read)


async def test_all_events_of_a_batch_are_one_write() -> None:
    async def scenario(stream: EventStream) -> None:
        await stream.send([Framed({"n": n}, n) for n in range(3)])
        await stream.close()

    async def read(response: ClientResponse) -> None:
        chunk, _ = await response.content.readchunk()
        expected = b"".join(b'id: %d\ndata: {"n":%d}\n\n' % (n, n) for n in range(3))
        assert chunk == expected

    await play(scenario, read)


async def test_silence_is_broken_by_comments() -> None:
    done = asyncio.Event()

    async def scenario(stream: EventStream) -> None:
        async with stream.kept_alive():
            await done.wait()
        await stream.close()

    async def read(response: ClientResponse) -> None:
        for _ in range(3):
            assert await response.content.readuntil(b"\n\n") == b": ping\n\n"
        done.set()

    await play(scenario, read, ping_seconds=0.01)


@pytest.mark.parametrize("silent", [False, True])
async def test_a_client_that_does_not_read_is_given_up(*, silent: bool) -> None:
    lost = asyncio.Event()

    async def scenario(stream: EventStream) -> None:
        try:
            async with stream.kept_alive():
                while True:
                    await stream.send([Framed("x" * 1_000_000)])
                    if silent:
                        await asyncio.sleep(0)
        except ClientLost:
            lost.set()

    async def read(response: ClientResponse) -> None:
        await lost.wait()

    await play(scenario, read, write_timeout_seconds=0.2)


async def test_a_failure_inside_comes_out_as_itself() -> None:
    caught = asyncio.Event()

    async def scenario(stream: EventStream) -> None:
        try:
            async with stream.kept_alive():
                json.loads("{")
        except ValueError:
            caught.set()
        await stream.close()

    async def read(response: ClientResponse) -> None:
        await caught.wait()
        assert await response.read() == b""

    await play(scenario, read)


async def test_a_client_that_closed_its_side_and_does_not_read_is_cut_before_the_time_limit() -> (
    None
):
    lost = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        stream = EventStream(request, write_timeout_seconds=600)
        await stream.open()
        try:
            async with stream.kept_alive():
                while True:
                    await stream.send([Framed("x" * 100_000)])
        finally:
            lost.set()

    app = web.Application()
    app.router.add_get("/", handler)
    server = TestServer(app)  # it cancels a handler whose client is lost, as the daemon does
    async with asyncio.timeout(30), TestClient(server):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readline()
        writer.write_eof()
        await lost.wait()
        writer.close()
