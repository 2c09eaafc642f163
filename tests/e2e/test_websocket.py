"""Section 4: suggestions over the WebSocket."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.e2e.page import ORIGIN
from tests.processes import DaemonProcess
from tests.web import raw

FILES = ("alpha.md", "src/beta.py", "docs/alphabet.txt")
Socket = aiohttp.ClientWebSocketResponse


@pytest.fixture(autouse=True, scope="module")
def files(shared: DaemonProcess) -> None:
    for name in FILES:
        path = shared.memory_dir / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"Here is {name}.\nzebra {name}\n")
    assert shared.request("POST", "/api/refresh", {})[0] == 200


@pytest.fixture
async def ws(session: aiohttp.ClientSession, shared: DaemonProcess) -> AsyncIterator[Socket]:
    async with session.ws_connect(
        f"{shared.url}/ws/suggestions", headers={"Origin": ORIGIN}
    ) as connected:
        yield connected


async def ask(ws: Socket, **request: object) -> Any:
    await ws.send_json(request)
    return await ws.receive_json(timeout=10)


async def test_files_are_suggested(ws: Socket) -> None:
    answer = await ask(ws, type="files", query="alpha")
    assert (answer["type"], answer["query"]) == ("files", "alpha")
    labels = [suggestion["label"] for suggestion in answer["suggestions"]]
    assert labels == ["alpha.md", "alphabet.txt"]
    for suggestion in answer["suggestions"]:
        assert set(suggestion) >= {"id", "label", "description", "metadata"}
    answer = await ask(ws, type="files", query="srcbeta")
    assert answer["suggestions"][0]["metadata"]["path"] == "src/beta.py"


async def test_actions_are_suggested(ws: Socket) -> None:
    answer = await ask(ws, type="actions", query="add")
    assert [suggestion["label"] for suggestion in answer["suggestions"]] == ["add_knowledge"]
    assert answer["suggestions"][0]["metadata"]["command"] == "/add_knowledge"
    assert (await ask(ws, type="actions", query="or"))["suggestions"] == []


async def test_contents_are_searched(ws: Socket) -> None:
    answer = await ask(ws, type="search", query="zebra beta", id="s")
    assert (answer["type"], answer["query"], answer["id"]) == ("search", "zebra beta", "s")
    assert answer["hits"][0]["path"] == "src/beta.py"


async def test_an_id_comes_back_and_none_where_none_was_given(ws: Socket) -> None:
    for given in ("a", "ü", 7, 0):
        assert (await ask(ws, type="files", query="a", id=given))["id"] == given
    assert "id" not in await ask(ws, type="files", query="a")


async def test_answers_come_in_order(ws: Socket) -> None:
    queries = [f"query{number}" for number in range(200)]
    for query in queries:
        await ws.send_json({"type": "files", "query": query})
    assert [(await ws.receive_json(timeout=10))["query"] for _ in queries] == queries


async def test_of_queued_requests_with_ids_only_the_newest_is_computed(ws: Socket) -> None:
    transport: socket.socket = ws.get_extra_info("socket")
    transport.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # they arrive in one piece
    for number in range(30):
        await ws.send_json({"type": "files", "query": "alpha", "id": number})
    transport.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    answers = [await ws.receive_json(timeout=10) for _ in range(30)]
    assert [answer["id"] for answer in answers] == list(range(30))
    superseded = [answer for answer in answers if answer.get("superseded")]
    assert len(superseded) >= 20
    assert all(set(answer) == {"id", "superseded"} for answer in superseded)
    assert len(answers[-1]["suggestions"]) == 2


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "hello",
        "{",
        "[]",
        "null",
        "1",
        "{}",
        '{"type": "files"}',
        '{"type": "folders", "query": "x"}',
        '{"type": "files", "query": 1}',
        '{"type": "files", "query": null}',
        '{"type": "files", "query": "x", "id": {}}',
        '{"type": "files", "query": "\\ud800"}',
        "[" * 10_000,
        json.dumps({"type": "files", "query": "x" * 20_000}),
        json.dumps({"type": "files", "query": "x" * 200_000}),
        b"\x00\xff",
    ],
)
async def test_garbage_is_answered_and_the_socket_stays_open(
    ws: Socket, garbage: str | bytes
) -> None:
    if isinstance(garbage, bytes):
        await ws.send_bytes(garbage)
    else:
        await ws.send_str(garbage)
    answer = await ws.receive_json(timeout=10)
    assert answer["type"] == "error"
    assert answer["message"]
    assert (await ask(ws, type="files", query="alpha"))["suggestions"]


@pytest.mark.parametrize("query", ["", " ", "(" * 400, "\x00", "🦉", "a" * 500, "../..", "%s{}"])
async def test_strange_queries_are_only_queries(ws: Socket, query: str) -> None:
    for kind in ("files", "actions"):
        answer = await ask(ws, type=kind, query=query)
        assert (answer["type"], answer["query"]) == (kind, query)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
        ("Origin", ""),
        ("Sec-Fetch-Site", "cross-site"),
        ("Host", "evil.example"),
    ],
)
async def test_a_hijacked_handshake_is_refused_before_the_upgrade(
    shared: DaemonProcess, header: str, value: str
) -> None:
    headers = {
        "Host": f"localhost:{shared.port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        header: value,
    }
    request = raw.build("GET", "/ws/suggestions", list(headers.items()))
    answer = await raw.send(shared.port, request)
    assert answer.status == 403
    assert "access-control-allow-origin" not in answer.headers


async def test_a_client_without_an_origin_is_welcome(
    session: aiohttp.ClientSession, shared: DaemonProcess
) -> None:
    """Editors and scripts have none."""
    async with session.ws_connect(f"{shared.url}/ws/suggestions") as connected:
        assert (await ask(connected, type="files", query="alpha"))["suggestions"]


async def test_a_message_without_end_costs_only_its_own_socket(
    session: aiohttp.ClientSession, shared: DaemonProcess, ws: Socket
) -> None:
    async with session.ws_connect(f"{shared.url}/ws/suggestions") as greedy:
        await greedy.send_str("x" * (2**20 + 1))
        message = await greedy.receive(timeout=10)
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
    assert (await ask(ws, type="files", query="alpha"))["suggestions"]
