"""What the daemon lets in and what it refuses, on every route that its own router has."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from tests.e2e.conftest import KEY
from tests.e2e.page import ORIGIN, check_error
from tests.e2e.upstream import Upstream
from tests.processes import DaemonProcess
from tests.web import raw
from tests.web.surface import (
    JSON_TYPE,
    METHODS,
    WRITING,
    Operation,
    addresses,
    operations,
    path_like,
)
from tests.web.test_serving import GARBAGE, check_refused
from tests.web.test_wire import BOMBS

MIB = 2**20
# Small caps, so that going over each of them is quick.
ENVIRONMENT = {
    "SGOPED_UPLOAD_LIMIT_BYTES": str(2 * MIB),
    "SGOPED_MAX_FILE_BYTES": str(MIB),
    "SGOPED_CONNECT_TIMEOUT_SECONDS": "1",
}
OVER_EVERY_CAP = 4 * MIB
OPERATIONS = operations()
TAKING = [each for each in OPERATIONS if each.takes_body]
STRANGERS = {
    "another name": [("Host", "evil.example")],
    "another name with the port": [("Host", "evil.example:{port}")],
    "no name": [("Host", "")],
    "every interface": [("Host", "0.0.0.0:{port}")],
    "a trailing dot": [("Host", "localhost.:{port}")],
    "another port": [("Host", "localhost:1")],
    "a name that begins like ours": [("Host", "localhost.evil.example:{port}")],
    "two names": [("Host", "localhost:{port}"), ("Host", "evil.example")],
    "another origin": [("Host", "localhost:{port}"), ("Origin", "http://evil.example")],
    "a sandboxed page": [("Host", "localhost:{port}"), ("Origin", "null")],
    "an empty origin": [("Host", "localhost:{port}"), ("Origin", "")],
    "two origins": [("Host", "localhost:{port}"), ("Origin", ORIGIN), ("Origin", "http://x")],
    "an origin that ends like ours": [
        ("Host", "localhost:{port}"),
        ("Origin", "http://evil.example/http://localhost:3000"),
    ],
    "another site": [("Host", "localhost:{port}"), ("Sec-Fetch-Site", "cross-site")],
}
SIMPLE_TYPES = (
    None,
    "text/plain",
    "text/plain; application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
)
QUERY_BOMBS = {
    "parentheses": "(" * 3_900,
    "closed parentheses": "(" * 1_900 + ")" * 1_900,
    "negations": "NOT " * 970,
    "minus": "-" * 3_900,
    "quotes": '"' * 3_900,
    "a field": "path:" * 780,
    "ranges": "[a TO b] " * 400,
    "stars": "*" * 3_900,
    "many words": "a b " * 970,
    "one word": "a" * 3_900,
    "combining": "a" + "\u0301" * 1_900,
    "expanding": "\ufdfa" * 1_200,
    "flags": "\U0001f1e6" * 900,
    "controls": "\x00\x1b\u202e\u2028" * 100,
    "backslashes": "\\" * 3_900,
    "patterns": "(a+)+$" * 600,
    "too long": "(" * 8_000,
}


def state_of(daemon: DaemonProcess) -> dict[str, Any]:
    """All that a request could have changed."""
    folders = (daemon.memory_dir, daemon.home / "data" / "versions", daemon.home / "config")
    files = {
        str(path): path.read_bytes()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file()
    }
    asked = ("/api/services", "/api/models", "/api/chat/status", "/api/index", "/api/conversations")
    return {"files": files} | {address: daemon.request("GET", address) for address in asked}


@pytest.fixture
def unchanged(
    shared: DaemonProcess, services: dict[str, str], upstream: Upstream
) -> Iterator[None]:
    """What is done meanwhile has no effect: on files, services, runs, or an upstream."""
    shared.request("POST", "/api/files/content", {"path": "kept.md", "content": "kept"})
    before = state_of(shared)
    upstream.forget()
    yield
    assert state_of(shared) == before
    assert upstream.requests == []


def named(headers: list[tuple[str, str]], daemon: DaemonProcess) -> list[tuple[str, str]]:
    return [(name, value.replace("{port}", str(daemon.port))) for name, value in headers]


def is_known(operation: Operation) -> dict[str, Any]:
    """Values that would have an effect, were they let in."""
    return {"service_id": "local", "path": "kept.md", "model": "local/beta", "stream_id": "x"}


@pytest.mark.parametrize("headers", STRANGERS.values(), ids=STRANGERS.keys())
@pytest.mark.usefixtures("unchanged")
async def test_a_stranger_reaches_no_route_and_changes_nothing(
    shared: DaemonProcess, headers: list[tuple[str, str]]
) -> None:
    bodies = {(each.method, each.path): each for each in OPERATIONS}
    for path in {each.path for each in OPERATIONS}:
        for method in METHODS:
            each = bodies.get((method, path), Operation(method, path))
            known = {name: value for name, value in is_known(each).items() if name in each.fields}
            request = raw.build(
                method,
                each.target({"service_id": "local"}),
                [*named(headers, shared), JSON_TYPE],
                each.body_bytes(**known),
            )
            answer = await raw.send(shared.port, request)
            assert answer.status in (400, 403), (method, path)
            assert "access-control-allow-origin" not in answer.headers
            assert KEY.encode() not in answer.body


@pytest.mark.parametrize("headers", STRANGERS.values(), ids=STRANGERS.keys())
async def test_no_strangers_socket_is_opened_on_any_route(
    shared: DaemonProcess, headers: list[tuple[str, str]]
) -> None:
    for target in addresses(OPERATIONS):
        sent = [*named(headers, shared), *raw.UPGRADE]
        answer = await raw.send(shared.port, raw.build("GET", target, sent))
        assert answer.status in (400, 403), target


@pytest.mark.parametrize("kind", SIMPLE_TYPES)
@pytest.mark.usefixtures("unchanged")
async def test_what_needs_no_preflight_is_refused_on_every_writing_route(
    shared: DaemonProcess, kind: str | None
) -> None:
    host = ("Host", f"localhost:{shared.port}")
    types = [] if kind is None else [("Content-Type", kind)]
    for each in [each for each in OPERATIONS if each.method in WRITING]:
        target = each.target({"service_id": "local"})
        body = each.body_bytes() or b"{}"
        browser = [host, ("Origin", ORIGIN), ("Sec-Fetch-Site", "same-site"), *types]
        for headers, data in ((browser, body), (browser, b""), ([host, *types], body)):
            answer = await raw.send(shared.port, raw.build(each.method, target, headers, data))
            assert answer.status == 415, (each, headers)
            check_error(answer.json())


@pytest.mark.usefixtures("unchanged")
async def test_an_announced_length_over_the_cap_is_refused_unread(shared: DaemonProcess) -> None:
    headers = [("Host", f"localhost:{shared.port}"), JSON_TYPE]
    for each in TAKING:
        sent = [*headers, ("Content-Length", str(OVER_EVERY_CAP))]
        request = raw.build(each.method, each.target(), sent)
        answer = await raw.send(shared.port, request)  # not one byte of the body follows
        assert (answer.status, answer.json()["code"]) == (413, "body_too_large"), each


@pytest.mark.usefixtures("unchanged")
async def test_a_chunked_body_over_the_cap_is_refused(
    session: aiohttp.ClientSession, shared: DaemonProcess
) -> None:
    async def body() -> AsyncIterator[bytes]:
        with contextlib.suppress(ConnectionError):
            for _ in range(OVER_EVERY_CAP // 65_536):
                yield b"[" * 65_536
                await asyncio.sleep(0)

    for each in TAKING:
        asked = session.request(
            each.method,
            shared.url + each.target(),
            data=body(),
            headers=dict([JSON_TYPE]),
        )
        async with asked as response:
            assert response.status == 413, each
            check_error(await response.json())


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
@pytest.mark.usefixtures("unchanged")
async def test_a_json_bomb_is_refused_on_every_route_with_a_body(
    shared: DaemonProcess, bomb: bytes
) -> None:
    headers = [("Host", f"localhost:{shared.port}"), JSON_TYPE]
    for each in TAKING:
        sent = headers if bomb else [*headers, ("Content-Length", "0")]
        answer = await raw.send(shared.port, raw.build(each.method, each.target(), sent, bomb))
        assert answer.status == 400, each
        check_error(answer.json())


@pytest.mark.parametrize("bomb", QUERY_BOMBS.values(), ids=QUERY_BOMBS.keys())
async def test_no_query_brings_it_down(
    session: aiohttp.ClientSession, shared: DaemonProcess, bomb: str
) -> None:
    asked = 0
    for each in OPERATIONS:
        for name in [name for where, name in each.parameters if where == "query"]:
            if each.method != "GET" or each.is_stream:
                continue
            asked += 1
            params = {key: "some" for where, key in each.parameters if where == "query"}
            params = {name: bomb, **({"path": "kept.md"} if "path" in params else {})}
            async with session.get(shared.url + each.path, params={**params, name: bomb}) as got:
                assert got.status < 500, (each, name)
                await got.read()
    assert asked > 8
    async with session.ws_connect(f"{shared.url}/ws/suggestions") as socket:
        for kind in ("files", "actions", "search"):
            await socket.send_json({"type": kind, "query": bomb})
            assert (await socket.receive_json())["type"] in (kind, "error")
    assert shared.request("GET", "/health")[1]["pid"] == shared.process.pid


@pytest.mark.usefixtures("unchanged")
async def test_what_is_no_request_is_refused_in_our_own_words(shared: DaemonProcess) -> None:
    for garbage in GARBAGE.values():
        check_refused(await raw.send(shared.port, garbage.encode("latin-1")))


def ways_out(canary: Path) -> list[str]:
    """Texts that some reading takes for a path out of the memory folder, to ``canary`` alone."""
    name = canary.name
    return [
        str(canary),
        f"file://{canary}",
        f"../{name}",
        f"../../{canary.parent.name}/{name}",
        f"src/../../{name}",
        f"./.././{name}",
        f"..//{name}",
        f"..\\{name}",
        f"....//{name}",
        f"..;/{name}",
        f"..%2f{name}",
        f"%2e%2e/{name}",
        f"..\x00/{name}",
        f"../{name}\x00.md",
        f"..%00/{name}",
        f"\uff0e\uff0e/{name}",
        f"\uff0e\uff0e\uff0f{name}",
        f"\u2025/{name}",
        f"\u2024\u2024/{name}",
        f"..\u2215{name}",
        f".f:../{name}",
        f".f:%2e%2e%2f{name}",
        f".f:{canary}",
        f".f:%2F{str(canary)[1:]}",
        f".f:src/..%2f..%2f{name}",
        f"@../{name}",
        f"$(cat ../{name})",
        f"/../{name}",
        f"//localhost{canary}",
    ]


async def test_no_text_in_any_place_leads_out_of_the_folder(
    session: aiohttp.ClientSession, shared: DaemonProcess, services: dict[str, str]
) -> None:
    """Every way out, in every parameter and every field of a body that takes a text."""
    secret = "planted-canary-8c1f"
    canary = shared.memory_dir.parent / "canary.md"
    canary.write_text(f"{secret} content\n")
    (shared.memory_dir / "src").mkdir(exist_ok=True)
    shared.request("POST", "/api/files/content", {"path": "kept.md", "content": "kept"})
    shared.request("POST", "/api/refresh", {})
    outside = sorted(path.name for path in canary.parent.iterdir())
    asked, ways = 0, ways_out(canary)
    for each in [each for each in OPERATIONS if not each.is_stream and each.method != "HEAD"]:
        for place, name in path_like(each):
            sent = [send_way(session, shared.url, each, (place, name), way) for way in ways]
            for way, answer in zip(ways, await asyncio.gather(*sent), strict=True):
                asked += 1
                assert secret not in answer, (each, place, name, way)
            assert canary.read_text() == f"{secret} content\n", (each, name)
    assert asked > 1_000
    assert sorted(path.name for path in canary.parent.iterdir()) == outside
    for path in shared.memory_dir.rglob("*"):
        assert path.resolve().is_relative_to(shared.memory_dir.resolve())
        assert not path.is_file() or secret not in path.read_text("utf-8", "replace")


async def send_way(
    session: aiohttp.ClientSession, url: str, operation: Operation, at: tuple[str, str], way: str
) -> str:
    """The whole answer to a request with ``way`` in that place."""
    place, name = at
    known: dict[str, Any] = {"model": "", "selected_action": "", "action_id": "add_knowledge"}
    known |= {"message": "hello", "path": "kept.md", "user_input": "some text"}
    known |= {"config": {"host": "http://127.0.0.1:9"}}
    known |= {"conversation_id": "some"}  # which begins it, so that its own routes find it
    if place == "attachment":
        known["attachments"] = [{"type": "file", "name": way}]
    given = {**known, **({name: way} if place == "body" else {})}
    body = operation.body(**{key: given[key] for key in given if key in operation.fields})
    headers = dict([JSON_TYPE])
    if place == "header":
        if not way.isprintable() or not way.isascii():
            return ""
        headers[name] = way
    target = operation.target({name: way} if place == "path" else None)
    if place == "query":
        target = operation.target(None, **{name: way})
    data = aiohttp.JsonPayload(body) if operation.takes_body else None
    address = URL(url + target, encoded=True)
    async with session.request(operation.method, address, data=data, headers=headers) as response:
        assert response.status < 500, (operation, place, name, way)
        return await response.text()
