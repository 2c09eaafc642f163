"""Sockets and event streams under floods, silence, and frames that nobody should send."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from random import Random

import pytest

from tests.conftest import NoteFigure, StartDaemon
from tests.scale import Scale
from tests.torture.streaming import (
    MEBIBYTE,
    Watch,
    World,
    eventually,
    open_world,
    prepared,
)
from tests.torture.wire_client import call, open_files
from tests.torture.wire_socket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    SocketClient,
    frame,
    request,
)

MAX_GROWTH_BYTES = 64 * MEBIBYTE
WRITE_TIMEOUT_SECONDS = 3.0
HELD_BACK_SECONDS = 6.0
MAX_SOCKETS = 512
ENDLESS = 1_000_000
PROTOCOL_ERROR, INVALID_TEXT, TOO_BIG = 1002, 1007, 1009


@pytest.fixture
async def world(start_daemon: StartDaemon) -> AsyncIterator[World]:
    environment = {"SGOPED_WRITE_TIMEOUT_SECONDS": str(WRITE_TIMEOUT_SECONDS)}
    async with open_world(start_daemon, environment) as world:
        yield world


async def flood(world: World, what: bytes, times: int) -> int:
    """Send without reading; how many were sent before the daemon cut us, or nothing went on.

    With its own buffer full a client's kernel may also miss that the daemon's has room again.
    """
    client = await SocketClient.open(world.port, receive_bytes=4096)
    sent = 0
    try:
        while sent < times:
            async with asyncio.timeout(HELD_BACK_SECONDS):
                await client.send(what)
            sent += 1
    except (ConnectionError, TimeoutError):
        pass
    client.close()
    return sent


def long_request(rng: Random) -> bytes:
    """One whose answer is as long as its question."""
    return request("files", "".join(rng.choices("abcdefgh", k=3_900)))


async def test_floods_that_are_never_read_are_held_back_and_cut(
    world: World, scale: Scale, seed: int, note_figure: NoteFigure
) -> None:
    rng = Random(seed)
    files = await prepared(world)
    watch = Watch(world)
    floods = {
        "look-ups with ids": request("search", "x" * 3_000, id=1),
        "garbage": frame(TEXT, b"{" * 4_000),
        "binary": frame(BINARY, b"\0" * 60_000),
        "too long": frame(TEXT, b"x" * 100_000),
        "pieces without end": frame(TEXT, b"x", fin=False) + frame(CONTINUATION, b"", fin=False),
        "pongs": frame(PONG, b"x" * 125) * 10,
    }
    async with watch.watching(), asyncio.TaskGroup() as group:
        endless = group.create_task(flood(world, long_request(rng), ENDLESS))
        tasks = {
            name: group.create_task(flood(world, what, scale.floods))
            for name, what in floods.items()
        }
    assert endless.result() < ENDLESS, "what is answered as long as it asks is held back, and cut"
    sent = {name: task.result() for name, task in tasks.items()}
    assert watch.growth_bytes < MAX_GROWTH_BYTES
    await world.is_back_to(files)
    told = ", ".join(f"{count} {name}" for name, count in sent.items())
    note_figure(
        f"seed {seed}: cut after {endless.result()} look-ups; taken of {scale.floods} each: {told}; "
        f"{watch.told}"
    )


async def test_a_flood_that_is_read_late_is_answered_whole_and_in_order(
    world: World, scale: Scale, seed: int, note_figure: NoteFigure
) -> None:
    rng = Random(seed)
    await prepared(world)
    kinds = [rng.choice(("files", "actions", "search")) for _ in range(scale.floods)]
    client = await SocketClient.open(world.port)

    async def send_all() -> None:
        for number, kind in enumerate(kinds):
            await client.send(request(kind, f"note{number}") + frame(PING, b"%d" % number))

    async with asyncio.TaskGroup() as group:
        group.create_task(send_all())
        for number, kind in enumerate(kinds):
            if rng.random() < 0.01:
                await asyncio.sleep(rng.uniform(0, 0.05))
            answer = await client.answer()
            assert (answer["type"], answer["query"]) == (kind, f"note{number}")
    client.close()
    note_figure(f"seed {seed}: {len(kinds)} answered in order")


async def test_pings_that_are_never_read_cost_no_memory_and_nobody_else(
    world: World, scale: Scale, note_figure: NoteFigure
) -> None:
    """They are cut by the heartbeat, later than is waited for here; see tests/web."""
    files = await prepared(world)
    watch = Watch(world)
    pings = frame(PING, b"x" * 125) * 500
    clients = [await SocketClient.open(world.port, receive_bytes=4096) for _ in range(3)]
    async with watch.watching():
        for client in clients:
            try:
                async with asyncio.timeout(1):
                    for _ in range(scale.floods):
                        await client.send(pings)
            except TimeoutError:
                continue
    for client in clients:
        client.close()
    assert watch.growth_bytes < MAX_GROWTH_BYTES
    await world.is_back_to(files)
    note_figure(watch.told)


async def test_more_sockets_than_the_bound_are_told_so_and_there_is_room_again(
    world: World, note_figure: NoteFigure
) -> None:
    files = await prepared(world)
    async with asyncio.TaskGroup() as group:
        opening = [
            group.create_task(SocketClient.open(world.port)) for _ in range(MAX_SOCKETS + 88)
        ]
    clients = [task.result() for task in opening]
    statuses = [client.status for client in clients]
    assert statuses.count(101) == MAX_SOCKETS
    assert statuses.count(503) == 88
    assert (await call(world.port, "GET", "/health"))[0] == 200
    silent = [client for client in clients if client.status == 101]
    await silent[-1].send(request("files", "note"))
    assert (await silent[-1].answer())["suggestions"][0]["label"] == "notes.md"
    for client in clients[: len(clients) // 2]:
        client.close()

    async def is_served() -> bool:
        again = await SocketClient.open(world.port)
        again.close()
        return again.status == 101

    await eventually(is_served)
    for client in clients:
        client.close()
    await eventually(lambda: open_files(world.pid) <= files)
    note_figure(f"{len(clients)} at once: {MAX_SOCKETS} served, 88 told 503, room again after")


LOOK_UP = json.dumps({"type": "files", "query": "note"}).encode()
ANSWERED: dict[str, bytes] = {
    "in pieces, with a ping between": frame(TEXT, LOOK_UP[:5], fin=False)
    + frame(PING, b"p")
    + frame(CONTINUATION, LOOK_UP[5:9], fin=False)
    + frame(CONTINUATION, LOOK_UP[9:]),
    "in a thousand pieces": frame(TEXT, b"", fin=False)
    + b"".join(frame(CONTINUATION, LOOK_UP[n : n + 1], fin=False) for n in range(len(LOOK_UP)))
    + frame(CONTINUATION, b"", fin=False) * 1_000
    + frame(CONTINUATION),
    "after pongs nobody asked for": frame(PONG, b"x") * 1_000 + frame(TEXT, LOOK_UP),
    "without a mask": frame(TEXT, LOOK_UP, masked=False),
}
REFUSED: dict[str, bytes] = {
    "too long": frame(TEXT, b"x" * 65_537),
    "nearly too big": frame(TEXT, b'"' + b"x" * (2**20 - 10)),
    "binary": frame(BINARY, b"\x00\xff"),
    "big binary": frame(BINARY, b"\0" * 1_000_000),
    "empty": frame(TEXT),
    "no JSON": frame(TEXT, b"{"),
    "a bomb": frame(TEXT, b"[" * 60_000),
    "a number without end": frame(TEXT, b"9" * 60_000),
    "no request": frame(TEXT, b'{"type":"shutdown","query":"now"}'),
    "half a character, escaped": frame(TEXT, b'{"type":"files","query":"\\ud800"}'),
}
CLOSED: dict[str, tuple[bytes, int]] = {
    "too big": (frame(TEXT, b"x" * (2**20 + 1)), TOO_BIG),
    "too big in pieces": (
        frame(TEXT, b"", fin=False) + frame(CONTINUATION, b"x" * 600_000, fin=False) * 2,
        TOO_BIG,
    ),
    "huge, so it says": (b"\x81\xff" + (2**62).to_bytes(8, "big"), TOO_BIG),
    "no UTF-8": (frame(TEXT, b'{"type":"files","query":"\xff"}'), INVALID_TEXT),
    "compressed": (frame(TEXT, b"\xaa\x56", reserved=4), PROTOCOL_ERROR),
    "reserved bits": (frame(TEXT, LOOK_UP, reserved=3), PROTOCOL_ERROR),
    "an unknown opcode": (frame(5, LOOK_UP), PROTOCOL_ERROR),
    "a piece of nothing": (frame(CONTINUATION, LOOK_UP), PROTOCOL_ERROR),
    "a message within a message": (
        frame(TEXT, b"x", fin=False) + frame(TEXT, LOOK_UP),
        PROTOCOL_ERROR,
    ),
    "a long ping": (frame(PING, b"x" * 126), PROTOCOL_ERROR),
    "a ping in pieces": (frame(PING, b"x", fin=False), PROTOCOL_ERROR),
    "a reason that is none": (frame(CLOSE, (1).to_bytes(2, "big")), PROTOCOL_ERROR),
    "a close of one byte": (frame(CLOSE, b"x"), PROTOCOL_ERROR),
    "a close in mid-message": (
        frame(TEXT, b"x", fin=False) + frame(CLOSE, (1000).to_bytes(2, "big")),
        1000,
    ),
}


async def test_whatever_a_frame_is_the_answer_is_right_and_others_are_served(world: World) -> None:
    files = await prepared(world)
    async with asyncio.timeout(60):
        other = await SocketClient.open(world.port)
        for sent in (*ANSWERED.values(), *REFUSED.values()):
            client = await SocketClient.open(world.port)
            await client.send(sent + frame(TEXT, LOOK_UP))
            answer = await client.answer()
            if sent in REFUSED.values():
                assert answer["type"] == "error", sent[:40]
                assert answer["message"]
                answer = await client.answer()
            assert answer["suggestions"][0]["label"] == "notes.md", sent[:40]
            client.close()
        for name, (sent, code) in CLOSED.items():
            client = await SocketClient.open(world.port)
            await client.send(sent)
            last = next((got for got in await client.read_to_end() if got.opcode == CLOSE), None)
            assert isinstance(last, Frame), name
            assert last.code == code, name
            client.close()
        for left in (b"\x81", frame(TEXT, LOOK_UP)[:-5], frame(TEXT, LOOK_UP, fin=False)):
            client = await SocketClient.open(world.port)
            await client.send(left)
            client.close()
        await other.send(request("files", "note"))
        assert (await other.answer())["suggestions"]
        other.close()
    await eventually(lambda: open_files(world.pid) <= files)
