"""The gate, the errors and the headers, on every route of the real application."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSServerHandshakeError

from sgoped import errors
from sgoped.web.gate import FRONT_END_ORIGINS
from sgoped.web.keys import MEMORY
from sgoped.web.middlewares import status_of
from sgoped.web.routes import ROUTES
from tests.web import raw
from tests.web.conftest import Client

FRONT_END = "http://localhost:3000"
JSON_TYPE = ("Content-Type", "application/json")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ADDRESSES = sorted({route.path.split("{")[0].rstrip("/") or "/" for route in ROUTES})
TARGETS = [*ADDRESSES, "/api/services/some", "/api/models/some/health", "/nowhere"]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def body_for(method: str) -> bytes:
    """A body that would write, were it let in."""
    if method in ("GET", "HEAD", "OPTIONS"):
        return b""
    return json.dumps(
        {"path": "evil.md", "content": "x", "service_id": "e", "service_type": "ollama"}
        | {"config": {}, "to": "evil2.md", "message": "x", "model": "x", "stream_id": "x"}
    ).encode()


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
    for target in TARGETS:
        for method in METHODS:
            request = raw.build(method, target, [*sent, JSON_TYPE], body_for(method))
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
    for target in ("/health", "/", "/docs", "/nowhere"):
        async with client.get(target) as response:
            headers = response.headers
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert headers["Cache-Control"] == "no-store"
            assert headers["Content-Security-Policy"].startswith("default-src 'none'")
            assert "Server" not in headers
            assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
async def test_what_a_form_can_send_is_refused_on_every_writing_route(
    client: Client, folder: Path, content_type: str | None
) -> None:
    before = snapshot(folder)
    for method, path, _ in ROUTES:
        if method == "GET":
            continue
        headers = [("Host", f"localhost:{client.port}"), ("Origin", FRONT_END)]
        if content_type is not None:
            headers.append(("Content-Type", content_type))
        target = path.replace("{service_id}", "some")
        for body in (b"", body_for(method)):
            answer = await raw.send(client.port, raw.build(method, target, headers, body))
            assert (answer.status, answer.json()["code"]) == (415, "unsupported_media_type")
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
