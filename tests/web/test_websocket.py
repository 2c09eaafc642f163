"""The socket session: answers in order, superseded look-ups, errors that leave it open."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import WSCloseCode, WSMsgType
from aiohttp.base_protocol import BaseProtocol

from sgoped.suggestions import Menu
from sgoped.web import websocket
from sgoped.web.keys import LIVE, SUGGESTIONS
from sgoped.web.websocket import MAX_MESSAGE_CHARS, MAX_RECEIVED_BYTES
from tests.web.conftest import Client
from tests.web.raw import build

PATH = "/ws/suggestions"


async def test_files_actions_and_search_are_answered(client: Client) -> None:
    async with client.ws_connect(PATH) as socket:
        await socket.send_json({"type": "files", "query": "readme"})
        files = await socket.receive_json()
        assert set(files) == {"type", "query", "suggestions"}
        assert (files["type"], files["query"]) == ("files", "readme")
        first = files["suggestions"][0]
        assert set(first) == {"id", "label", "description", "metadata"}
        assert first["metadata"]["path"] == "readme.md"
        await socket.send_json({"type": "actions", "query": "add"})
        actions = await socket.receive_json()
        assert actions["suggestions"][0]["label"] == "add_knowledge"
        await socket.send_json({"type": "search", "query": "engine", "id": 7})
        search = await socket.receive_json()
        assert set(search) == {"type", "query", "hits", "id"}
        assert search["id"] == 7
        assert {hit["path"] for hit in search["hits"]} == {"readme.md", "src/foo.py"}


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "[]",
        '"files"',
        "{}",
        '{"type": "files"}',
        '{"type": "nonsense", "query": "x"}',
        '{"type": "files", "query": 5}',
        '{"type": "files", "query": null}',
        '{"type": ["files"], "query": "x"}',
        '{"type": "files", "query": "x", "id": {}}',
        '{"type": "files", "query": "x", "id": true}',
        '{"type": "files", "query": "x", "id": 1.5}',
        '{"type": "files", "query": "' + "x" * 4_001 + '"}',
        '{"type": "files", "query": "\\ud800"}',
        '{"type": "files", "query": NaN}',
        "[" * 30_000,
        '{"type": "files", "query": "x", "more": ' + "[" * 30_000 + "}",
        b"\x00\xff",
        b"x" * 100_000,
        pytest.param("x" * (MAX_MESSAGE_CHARS + 1), id="too long"),
        pytest.param("ü" * (MAX_RECEIVED_BYTES // 2 - 1), id="as long as is read"),
    ],
)
async def test_what_is_no_request_is_an_error_and_the_socket_stays_open(
    client: Client, message: str | bytes
) -> None:
    async with asyncio.timeout(20), client.ws_connect(PATH) as socket:
        if isinstance(message, bytes):
            await socket.send_bytes(message)
        else:
            await socket.send_str(message)
        answer = await socket.receive_json()
        assert answer["type"] == "error"
        assert answer["message"]
        await socket.send_json({"type": "files", "query": "readme"})
        assert (await socket.receive_json())["type"] == "files"


@pytest.mark.parametrize(
    ("message", "echoed"),
    [
        ('{"type": "x", "query": "a", "id": 3}', 3),
        ('{"type": "files", "query": "' + "x" * 4_001 + '", "id": "long"}', "long"),
        ('{"type": "files", "query": 5, "id": true}', None),
        ('{"id": [1]}', None),
    ],
)
async def test_a_refusal_echoes_the_id_that_someone_waits_for(
    client: Client, message: str, echoed: str | int | None
) -> None:
    async with asyncio.timeout(20), client.ws_connect(PATH) as socket:
        await socket.send_str(message)
        answer = await socket.receive_json()
        assert answer["type"] == "error"
        assert answer.get("id") == echoed


async def test_answers_come_in_order(client: Client) -> None:
    async with asyncio.timeout(20), client.ws_connect(PATH) as socket:
        for n in range(200):
            kind = ("files", "actions", "search")[n % 3]
            await socket.send_json({"type": kind, "query": f"q{n}"})
        queries = [(await socket.receive_json())["query"] for _ in range(200)]
    assert queries == [f"q{n}" for n in range(200)]


async def test_of_those_that_wait_only_the_newest_is_computed(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    suggestions = client.server.app[SUGGESTIONS]  # type: ignore[attr-defined]  # a TestServer's
    go_on = asyncio.Event()
    computed: list[str] = []

    async def slow(query: str, limit: int = 10) -> Menu:
        computed.append(query)
        await go_on.wait()
        return Menu([])

    monkeypatch.setattr(type(suggestions), "menu", staticmethod(slow))
    monkeypatch.setattr(type(suggestions), "menu_now", lambda *_: None)
    async with asyncio.timeout(20), client.ws_connect(PATH) as socket:
        for n in range(5):
            await socket.send_json({"type": "files", "query": f"q{n}", "id": n})
        await socket.send_json({"type": "files", "query": "no id"})
        await socket.send_json({"type": "actions", "query": "add", "id": "a"})
        await socket.ping()
        async with client.get("/health"):
            go_on.set()
        answers = [await socket.receive_json() for _ in range(7)]
    assert answers[1:4] == [{"id": n, "superseded": True} for n in range(1, 4)]
    assert answers[4]["query"] == "q4"
    assert answers[5]["query"] == "no id"
    assert "suggestions" in answers[6], "another type is not superseded"
    assert computed[-2:] == ["q4", "no id"]


async def test_a_burst_of_what_is_known_at_once_supersedes_too(client: Client) -> None:
    async with asyncio.timeout(20), client.ws_connect(PATH) as socket:
        for n in range(40):
            await socket.send_json({"type": "files", "query": "readme"[: n % 6 + 1], "id": n})
        answers = [await socket.receive_json() for _ in range(40)]
    assert [answer["id"] for answer in answers] == list(range(40))
    assert answers[-1]["suggestions"]
    assert all(answer.get("superseded") or answer["suggestions"] for answer in answers)
    assert any("superseded" in answer for answer in answers)


async def test_a_failing_look_up_is_one_error(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    suggestions = client.server.app[SUGGESTIONS]  # type: ignore[attr-defined]  # a TestServer's

    async def broken(query: str, limit: int = 10) -> Menu:
        raise RuntimeError

    monkeypatch.setattr(type(suggestions), "menu", staticmethod(broken))
    monkeypatch.setattr(type(suggestions), "menu_now", lambda *_: None)
    async with client.ws_connect(PATH) as socket:
        await socket.send_json({"type": "files", "query": "x", "id": "i"})
        answer = await socket.receive_json()
        assert (answer["type"], answer["id"]) == ("error", "i")
        await socket.send_json({"type": "actions", "query": "add"})
        assert (await socket.receive_json())["type"] == "actions"


async def test_a_message_over_what_is_read_closes_the_socket(client: Client) -> None:
    async with asyncio.timeout(20), client.ws_connect(PATH) as socket:
        await socket.send_str("x" * (MAX_RECEIVED_BYTES + 1))
        message = await socket.receive()
        assert message.type is WSMsgType.CLOSE
        assert message.data == WSCloseCode.MESSAGE_TOO_BIG


async def test_nothing_is_compressed(client: Client) -> None:
    async with client.ws_connect(PATH, compress=15) as socket:
        assert socket.compress == 0


async def test_a_request_that_is_no_upgrade_is_told_so(client: Client) -> None:
    async with client.get(PATH) as response:
        assert (response.status, (await response.json())["code"]) == (426, "upgrade_required")


async def test_shutting_down_closes_sockets_as_going_away(client: Client) -> None:
    sockets = [await client.ws_connect(PATH) for _ in range(20)]
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        closing = group.create_task(client.server.close())
        messages = [await socket.receive() for socket in sockets]
        await closing
    assert {message.data for message in messages} == {WSCloseCode.GOING_AWAY}


def upgrade(client: Client) -> bytes:
    """A handshake, for what no well-behaved client sends after it."""
    headers = [
        ("Host", f"localhost:{client.port}"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    return build("GET", PATH, headers)


async def test_shutting_down_does_not_wait_for_a_client_that_does_not_read(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_back = asyncio.Event()
    pause_writing = BaseProtocol.pause_writing

    def pause(protocol: BaseProtocol) -> None:
        held_back.set()
        pause_writing(protocol)

    monkeypatch.setattr(BaseProtocol, "pause_writing", pause)
    message = b'{"type":"files","query":"%b"}' % (b"\\u0001" * 4_000)
    asked = b"\x81\xfe" + len(message).to_bytes(2, "big") + bytes(4) + message
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(upgrade(client))
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        while not held_back.is_set():
            writer.write(asked)
            await asyncio.sleep(0)
        await client.server.close()
        writer.transport.abort()


async def test_a_client_that_does_not_read_is_held_back(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    suggestions = client.server.app[SUGGESTIONS]  # type: ignore[attr-defined]  # a TestServer's
    computed = 0

    async def count(query: str, limit: int = 10) -> Menu:
        nonlocal computed
        computed += 1
        return Menu([])

    monkeypatch.setattr(type(suggestions), "menu", staticmethod(count))
    monkeypatch.setattr(type(suggestions), "menu_now", lambda *_: None)
    async with asyncio.timeout(30), client.ws_connect(PATH) as socket:
        for n in range(3_000):
            await socket.send_json({"type": "files", "query": str(n)})
        for n in range(3_000):
            assert (await socket.receive_json())["query"] == str(n)
    assert computed == 3_000


PING = b"\x89\xfd" + bytes(4) + b"x" * 125
BROKEN = b"\xf9\x80" + bytes(4)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for a client waits only a moment."""
    monkeypatch.setattr(websocket, "HEARTBEAT_SECONDS", 0.4)
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.1)


class TestImpatience:
    @pytest.fixture
    def overrides(self) -> dict[str, object]:
        return {"write_timeout_seconds": 0.3}

    @pytest.mark.usefixtures("impatient")
    @pytest.mark.parametrize("last", [b"", BROKEN], ids=["no pong comes", "protocol error"])
    async def test_a_client_that_floods_pings_and_does_not_read_is_cut(
        self, client: Client, monkeypatch: pytest.MonkeyPatch, last: bytes
    ) -> None:
        held_back = asyncio.Event()
        pause_writing = BaseProtocol.pause_writing

        def pause(protocol: BaseProtocol) -> None:
            held_back.set()
            pause_writing(protocol)

        monkeypatch.setattr(BaseProtocol, "pause_writing", pause)
        live = client.server.app[LIVE]  # type: ignore[attr-defined]  # a TestServer's

        def connections() -> list[object]:
            assert client.server.handler is not None
            return list(client.server.handler.connections)

        before = len(connections())
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", client.port, limit=1024)
            writer.write(upgrade(client))
            assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
            while not held_back.is_set():
                writer.write(PING * 100)
                await asyncio.sleep(0)
            writer.write(last)
            while True:
                await asyncio.sleep(0.01)
                if len(connections()) == before:
                    break
            assert len(live) == 0
            writer.transport.abort()

    @pytest.mark.usefixtures("impatient")
    async def test_a_dead_peer_is_closed_and_a_silent_one_that_pongs_is_not(
        self, client: Client
    ) -> None:
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
            writer.write(upgrade(client))
            async with client.ws_connect(PATH) as silent:
                receiving = asyncio.ensure_future(silent.receive())  # noqa: TID251 - it pongs
                while await reader.read(1024):
                    pass
                writer.close()
                await silent.send_json({"type": "files", "query": "readme"})
                assert (await receiving).json()["suggestions"]
