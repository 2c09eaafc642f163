"""What never becomes a request is answered as everything else is, and never quoted."""

from __future__ import annotations

import asyncio
import logging

import pytest

from sgoped.web.headers import DATA_POLICY, POLICY_HEADER, SECURITY_HEADERS
from tests.web import raw
from tests.web.conftest import Client

MARK = "planted-4711"
JSON_TYPE = ("Content-Type", "application/json")
GARBAGE = {
    "a request line of 66 kB": f"GET /{MARK}{'x' * 66_000} HTTP/1.1\r\n\r\n",
    "a header of 66 kB": f"GET / HTTP/1.1\r\nHost: localhost\r\nX: {MARK}{'x' * 66_000}\r\n\r\n",
    "a thousand headers": "GET / HTTP/1.1\r\n" + f"X: {MARK}\r\n" * 1000 + "\r\n",
    "no method": f"\x16\x03\x01{MARK}\r\n\r\n",
    "a strange method": f"GE({MARK} / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no version": f"GET /{MARK}\r\n\r\n",
    "a strange version": f"GET /{MARK} HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "a header without a name": f"GET / HTTP/1.1\r\n: {MARK}\r\n\r\n",
    "a header with a space": f"GET / HTTP/1.1\r\nHost {MARK}: x\r\n\r\n",
    "a control character": f"GET / HTTP/1.1\r\nHost: {MARK}\x00\r\n\r\n",
    "a strange length": f"POST / HTTP/1.1\r\nContent-Length: {MARK}\r\n\r\n",
    "a negative length": f"POST / HTTP/1.1\r\nX: {MARK}\r\nContent-Length: -1\r\n\r\n",
    "two lengths": f"POST / HTTP/1.1\r\nX: {MARK}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a length and chunks": (
        f"POST / HTTP/1.1\r\nX: {MARK}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    ),
    "a strange transfer": f"POST / HTTP/1.1\r\nTransfer-Encoding: {MARK}, chunked\r\n\r\n",
    "a bare line end": f"GET / HTTP/1.1\nHost: {MARK}\n\n",
}


def check_refused(answer: raw.RawAnswer) -> None:
    """Our shape, our headers, nothing of what was sent."""
    assert 400 <= answer.status < 500
    assert set(answer.json()) == {"detail", "code"}
    assert answer.headers["content-type"] == "application/json"
    for name, value in {**SECURITY_HEADERS, POLICY_HEADER: DATA_POLICY}.items():
        assert answer.headers[name.lower()] == value
    assert "server" not in answer.headers
    everything = f"{answer.headers} {answer.body!r}".lower()
    assert MARK not in everything
    assert "aiohttp" not in everything


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_is_refused_in_our_own_words(
    client: Client, garbage: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        check_refused(await raw.send(client.port, garbage.encode("latin-1")))
    assert MARK not in caplog.text
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert (await client.get("/health")).status == 200


async def test_a_broken_chunk_is_refused_in_our_own_words(client: Client) -> None:
    headers = [("Host", f"localhost:{client.port}"), JSON_TYPE, ("Transfer-Encoding", "chunked")]
    for target in ("/api/chat/stop", "/nowhere"):
        request = raw.build("POST", target, headers) + MARK.encode() + b"\r\n"
        check_refused(await raw.send(client.port, request))


@pytest.mark.parametrize("target", ["/api/chat/stop", "/nowhere", "/health"])
async def test_an_odd_expectation_is_not_quoted(client: Client, target: str) -> None:
    headers = [("Host", f"localhost:{client.port}"), JSON_TYPE, ("Expect", MARK)]
    answer = await raw.send(client.port, raw.build("POST", target, headers, b"{}"))
    check_refused(answer)


async def test_a_body_is_asked_for_only_from_who_may_send_it(client: Client) -> None:
    body = b'{"stream_id": "x"}'
    headers = [JSON_TYPE, ("Expect", "100-continue"), ("Content-Length", str(len(body)))]
    ours = [("Host", f"localhost:{client.port}"), *headers]
    stranger = [("Host", "evil.example"), *headers]
    too_large = [*ours[:-1], ("Content-Length", str(2 << 20))]
    refused = [(stranger, 403), (too_large, 413)]
    for sent, status in refused:
        answer = await raw.send(client.port, raw.build("POST", "/api/chat/stop", sent))
        assert answer.status == status
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(raw.build("POST", "/api/chat/stop", ours))
    async with asyncio.timeout(20):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    writer.close()


async def test_what_follows_a_refused_upgrade_is_refused_in_our_own_words(client: Client) -> None:
    """A request smuggled behind an upgrade that is not granted is garbage or judged by itself."""
    host = ("Host", "evil.example")
    request = (
        raw.build("GET", "/ws/suggestions", [host, *raw.UPGRADE]) + b"\x00\xff" + MARK.encode()
    )
    answer = await raw.send(client.port, request)
    assert answer.status == 403
    check_refused(answer)
