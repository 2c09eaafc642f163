"""The gate, the errors and the headers, on every route of the real application."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSServerHandshakeError

from sgoped import errors
from sgoped.web.gate import FRONT_END_ORIGINS
from sgoped.web.headers import DATA_POLICY, PAGE_POLICY, SECURITY_HEADERS
from sgoped.web.keys import MEMORY
from sgoped.web.middlewares import status_of
from tests.web import raw
from tests.web.conftest import Client
from tests.web.surface import JSON_TYPE, METHODS, WRITING, addresses, operations

FRONT_END = "http://localhost:3000"
OPERATIONS = operations()
TARGETS = addresses(OPERATIONS)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "headers",
    [
        [("Host", "evil.example")],
        [("Host", "")],
        [("Host", "localhost")],
        [("Host", "0.0.0.0:{port}")],
        [("Host", "localhost.:{port}")],
        [("Host", "localhost:1")],
        [("Host", "localhost:{port}"), ("Origin", "http://evil.example")],
        [("Host", "localhost:{port}"), ("Origin", "null")],
        [("Host", "localhost:{port}"), ("Origin", "")],
        [("Host", "localhost:{port}"), ("Origin", FRONT_END), ("Origin", "http://evil.example")],
        [("Host", "localhost:{port}"), ("Sec-Fetch-Site", "cross-site")],
    ],
)
async def test_strangers_reach_no_route_by_any_method(
    client: Client, folder: Path, headers: list[tuple[str, str]]
) -> None:
    before = snapshot(folder)
    sent = [(name, value.replace("{port}", str(client.port))) for name, value in headers]
    bodies = {(each.method, each.target()): each.body_bytes() for each in OPERATIONS}
    for target in TARGETS:
        for method in METHODS:
            body = bodies.get((method, target), b"")
            request = raw.build(method, target, [*sent, JSON_TYPE], body)
            answer = await raw.send(client.port, request)
            assert answer.status in (400, 403), (method, target)
            assert "access-control-allow-origin" not in answer.headers
    assert snapshot(folder) == before
    assert await (await client.get("/api/services")).json() == {}


async def test_two_host_headers_are_refused(client: Client) -> None:
    host = ("Host", f"localhost:{client.port}")
    answer = await raw.send(client.port, raw.build("GET", "/health", [host, host]))
    assert answer.status in (400, 403)


async def test_an_absolute_target_of_another_host_is_refused(client: Client) -> None:
    host = ("Host", f"localhost:{client.port}")
    answer = await raw.send(client.port, raw.build("GET", "http://evil.example/health", [host]))
    assert (answer.status, answer.json()["code"]) == (403, "host_refused")
    target = f"http://localhost:{client.port}/health"
    answer = await raw.send(client.port, raw.build("GET", target, [host]))
    assert answer.status == 200


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
async def test_our_own_names_are_answered(client: Client, name: str) -> None:
    host = ("Host", f"{name}:{client.port}")
    answer = await raw.send(client.port, raw.build("GET", "/health", [host]))
    assert answer.status == 200


@pytest.mark.parametrize("origin", [*FRONT_END_ORIGINS, "own"])
async def test_the_preflight_of_every_route_passes_for_allowed_origins(
    client: Client, origin: str
) -> None:
    origin = f"http://localhost:{client.port}" if origin == "own" else origin
    headers = {
        "Origin": origin,
        "Sec-Fetch-Site": "cross-site",
        "Access-Control-Request-Headers": "content-type",
    }
    for target in TARGETS:
        headers["Access-Control-Request-Method"] = "POST"
        async with client.options(target, headers=headers) as response:
            assert response.status == 200
            assert response.headers["Access-Control-Allow-Origin"] == origin
            assert "Origin" in response.headers["Vary"]
            assert "content-type" in response.headers["Access-Control-Allow-Headers"].lower()
            for method in ("GET", "POST", "PUT", "DELETE"):
                assert method in response.headers["Access-Control-Allow-Methods"]
            assert int(response.headers["Access-Control-Max-Age"]) > 0
            assert "Access-Control-Allow-Credentials" not in response.headers


async def test_the_front_end_reads_answers_errors_and_streams(client: Client) -> None:
    headers = {"Origin": FRONT_END, "Sec-Fetch-Site": "same-site", **dict([JSON_TYPE])}
    answers = [
        await client.get("/api/files", headers=headers),
        await client.get("/nowhere", headers=headers),
        await client.delete("/api/files", headers=headers),
        await client.post("/api/chat/stop", headers=headers, data=b"{"),
        await client.post("/api/chat/stream", headers=headers, json={"message": "hi"}),
    ]
    assert [answer.status for answer in answers] == [200, 404, 405, 400, 200]
    for answer in answers:
        assert answer.headers["Access-Control-Allow-Origin"] == FRONT_END
        assert answer.headers["Vary"] == "Origin"
        await answer.read()


async def test_every_answer_has_security_headers(client: Client) -> None:
    """On every route: what it answers, an error of its own, a refusal; pages and streams too."""
    host = ("Host", f"localhost:{client.port}")
    pages = ("/", "/docs", "/docs.js", "/style.css")
    asked = [(each.method, each.target(), each.body_bytes()) for each in OPERATIONS]
    asked += [("PATCH", target, b"") for target in TARGETS]
    for method, target, body in asked:
        for name in (host, ("Host", "evil.example")):
            headers = [name, JSON_TYPE]
            answer = await raw.send(client.port, raw.build(method, target, headers, body))
            is_page = target in pages and answer.status == 200
            check_headers(answer.headers, PAGE_POLICY if is_page else DATA_POLICY)


def check_headers(headers: Mapping[str, str], policy: str) -> None:
    assert headers["content-security-policy"] == policy
    for name, value in SECURITY_HEADERS.items():
        assert headers[name.lower()] == value
    assert "server" not in headers
    assert "access-control-allow-origin" not in headers


async def test_an_opened_socket_has_security_headers_too(client: Client) -> None:
    headers = [("Host", f"localhost:{client.port}"), *raw.UPGRADE]
    answer = await raw.send(client.port, raw.build("GET", "/ws/suggestions", headers))
    assert answer.status == 101
    check_headers(answer.headers, DATA_POLICY)


def test_nothing_may_run_or_be_framed_and_pages_have_only_their_own() -> None:
    data = dict(part.strip().split(" ", 1) for part in DATA_POLICY.split(";"))
    nothing = ("default-src", "base-uri", "form-action", "frame-ancestors")
    assert data == dict.fromkeys(nothing, "'none'")
    page = dict(part.strip().split(" ", 1) for part in PAGE_POLICY.split(";"))
    own = ("script-src", "style-src", "connect-src")
    assert page == {**data, **dict.fromkeys(own, "'self'")}


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "text/plain; application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=application/json",
        "application/json-seq",
    ],
)
async def test_what_a_form_can_send_is_refused_on_every_writing_route(
    client: Client, folder: Path, content_type: str | None
) -> None:
    before = snapshot(folder)
    for each in OPERATIONS:
        if each.method not in WRITING:
            continue
        headers = [("Host", f"localhost:{client.port}"), ("Origin", FRONT_END)]
        if content_type is not None:
            headers.append(("Content-Type", content_type))
        for body in (b"", each.body_bytes() or b"{}"):
            request = raw.build(each.method, each.target(), headers, body)
            answer = await raw.send(client.port, request)
            assert (answer.status, answer.json()["code"]) == (415, "unsupported_media_type")
        request = raw.build(each.method, each.target(), headers[:1] + headers[2:], b"{}")
        answer = await raw.send(client.port, request)
        assert answer.status == 415, "a body is JSON, whoever sends it"
    assert snapshot(folder) == before


async def test_a_script_may_delete_without_a_content_type(client: Client) -> None:
    async with client.delete("/api/services/unknown") as response:
        assert (response.status, (await response.json())["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example"},
    ],
)
async def test_a_strangers_socket_is_refused_before_the_upgrade(
    client: Client, headers: dict[str, str]
) -> None:
    with pytest.raises(WSServerHandshakeError) as refused:
        await client.ws_connect("/ws/suggestions", headers=headers)
    assert refused.value.status == 403


async def test_the_front_ends_socket_is_accepted(client: Client) -> None:
    async with client.ws_connect("/ws/suggestions", headers={"Origin": FRONT_END}) as socket:
        await socket.send_json({"type": "files", "query": "readme"})
        assert (await socket.receive_json())["query"] == "readme"


async def test_unknown_addresses_and_methods_are_told_in_json(client: Client) -> None:
    async with client.get("/nowhere") as response:
        assert response.status == 404
        assert (await response.json())["code"] == "unknown_route"
    async with client.put("/api/files/content") as response:
        assert response.status == 405
        assert (await response.json())["code"] == "method_not_allowed"
        assert set(response.headers["Allow"].split(", ")) == {"DELETE", "GET", "HEAD", "POST"}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidInput("x"), 400),
        (errors.PathRefused("x"), 400),
        (errors.NotFound("x"), 404),
        (errors.Conflict("x"), 409),
        (errors.NotText("x"), 415),
        (errors.TooLarge("x"), 413),
        (errors.StorageError("x"), 500),
        (errors.StorageError("x", code="storage_full"), 507),
        (errors.StorageError("x", code="read_only"), 403),
        (errors.ServiceError("x"), 502),
        (errors.StartupError("x"), 500),
        (errors.NotFound("x", code="model_not_found"), 404),
    ],
)
def test_each_expected_failure_has_its_status(error: errors.SgopedError, status: int) -> None:
    assert status_of(error) == status


def test_every_class_of_the_tree_has_a_status() -> None:
    def below(kind: type[errors.SgopedError]) -> set[type[errors.SgopedError]]:
        return {kind}.union(*(below(child) for child in kind.__subclasses__()))

    for kind in below(errors.SgopedError) - {errors.SgopedError, errors.StartupError}:
        expected_500 = issubclass(kind, errors.StorageError)
        assert (status_of(kind("x")) == 500) is expected_500, kind


async def test_the_unexpected_is_logged_without_a_persons_text(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    private = "private text"

    async def broken(*_: Any, **__: Any) -> None:
        raise ValueError(private)

    app = client.server.app  # type: ignore[attr-defined]  # a TestServer has one
    monkeypatch.setattr(type(app[MEMORY]), "read_text", broken)
    with caplog.at_level(logging.DEBUG):
        async with client.get("/api/files/content", params={"path": "readme.md"}) as response:
            assert response.status == 500
            assert (await response.json())["code"] == "internal_error"
    assert "ValueError" in caplog.text
    assert private not in caplog.text
