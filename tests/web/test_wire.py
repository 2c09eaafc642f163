"""One strict reader of bodies, one encoder that never fails."""

from __future__ import annotations

import asyncio
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgoped.errors import InvalidInput
from sgoped.web.schemas import ChatBody, SaveFile
from sgoped.web.wire import InvalidShape, encode, parse_json, validate
from tests.web import raw
from tests.web.conftest import Client
from tests.web.surface import operations

BOMBS = {
    "nothing": b"",
    "not JSON": b"{",
    "two values": b"{} {}",
    "deep list": b"[" * 100_000,
    "deep object": b'{"a":' * 100_000,
    "deep and closed": b'{"message":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "huge number": b'{"message": "x", "n": ' + b"9" * 5_000 + b"}",
    "NaN": b'{"message": NaN}',
    "Infinity": b'{"message": Infinity}',
    "negative Infinity": b'{"message": -Infinity}',
    "lone surrogate": b'{"message": "\\ud800"}',
    "not UTF-8": b'{"message": "\xff"}',
    "encoded surrogate": b'{"message": "\xed\xa0\x80"}',
    "UTF-16": '{"message": "x"}'.encode("utf-16"),
    "raw control character": b'{"message": "\x00"}',
    "a name twice": b'{"message": "x", "message": "y"}',
    "a name twice, inside": b'{"message": "x", "n": [{"a": 1, "b": 2, "\\u0061": 1}]}',
    "a list": b"[]",
    "a text": b'"message"',
    "a number": b"1",
    "null": b"null",
}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def large(body: Any) -> dict[str, Any]:
    """A body as aiohttp's client wants one of many megabytes."""
    headers = {"Content-Type": "application/json"}
    return {"data": io.BytesIO(json.dumps(body).encode()), "headers": headers}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
async def test_a_body_that_is_no_json_object_is_400_everywhere(client: Client, bomb: bytes) -> None:
    taking = [each for each in operations() if each.takes_body]
    assert len(taking) > 10
    for each in taking:
        headers = {"Content-Type": "application/json"}
        asked = client.request(each.method, each.target(), data=bomb, headers=headers)
        async with asked as response:
            assert response.status == 400, each
            answer = await response.json()
            assert answer["code"] in ("invalid_json", "not_an_object")
            assert set(answer) == {"detail", "code"}


@pytest.mark.parametrize("text", ["\ud800", "a\udcffb"])
def test_what_cannot_be_encoded_is_replaced(text: str) -> None:
    assert json.loads(encode({text: [text]})) == {
        text.encode("utf-8", "replace").decode(): [text.encode("utf-8", "replace").decode()]
    }


@given(JSON_VALUES)
def test_every_value_is_encoded_as_strict_json(value: Any) -> None:
    parsed = parse_json(encode(value))
    if "nan" not in repr(value) and "inf" not in repr(value):
        assert parsed == value


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_null(number: float) -> None:
    assert encode([number]) == b"[null]"


@given(st.binary())
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    try:
        parse_json(data)
    except InvalidInput:
        return


def test_a_wrong_shape_is_told_by_place_and_without_what_was_sent() -> None:
    with pytest.raises(InvalidShape) as refused:
        validate(SaveFile, {"path": 5, "content": ["private text"]})
    assert "path" in refused.value.message
    assert "content" in refused.value.message
    assert "private" not in refused.value.message


def test_values_of_a_wrong_type_are_not_bent_into_shape() -> None:
    with pytest.raises(InvalidShape):
        validate(ChatBody, {"message": "x", "attachments": [{"name": "a", "size": True}]})


async def test_a_wrong_shape_is_422(client: Client) -> None:
    async with client.post("/api/files/content", json={"path": "a.md"}) as response:
        assert response.status == 422
        assert (await response.json())["code"] == "invalid_shape"


@pytest.mark.parametrize(
    ("path", "size"),
    [
        ("/api/chat/stop", (1 << 20) + 1),
        ("/api/services/add", (1 << 20) + 1),
        ("/api/files/content", 42 << 20),
        ("/api/chat/stream", (64 << 20) + 1),
    ],
)
async def test_an_announced_length_over_the_cap_is_413_before_it_is_sent(
    client: Client, path: str, size: int
) -> None:
    headers = [("Host", f"localhost:{client.port}"), ("Content-Type", "application/json")]
    request = raw.build("POST", path, [*headers, ("Content-Length", str(size))])
    answer = await raw.send(client.port, request)  # not one byte of the body follows
    assert (answer.status, answer.json()["code"]) == (413, "body_too_large")


async def test_a_chunked_body_over_the_cap_is_413(client: Client) -> None:
    async def body() -> Any:
        for _ in range(20):
            yield b"[" * 100_000
            await asyncio.sleep(0)

    headers = {"Content-Type": "application/json"}
    async with client.post("/api/chat/stop", data=body(), headers=headers) as response:
        assert response.status == 413


async def test_a_broken_chunk_is_400(client: Client) -> None:
    headers = [
        ("Host", f"localhost:{client.port}"),
        ("Content-Type", "application/json"),
        ("Transfer-Encoding", "chunked"),
    ]
    request = raw.build("POST", "/api/chat/stop", headers) + b"zz\r\n"
    assert (await raw.send(client.port, request)).status == 400


async def test_four_uploads_of_five_megabytes_pass(client: Client) -> None:
    upload = 'a line with "quotes" and é\n' * (5_000_000 // 27)
    attachments = [
        {"type": "file", "name": f"{n}.txt", "content": upload, "size": len(upload)}
        for n in range(4)
    ]
    body = {"message": "what is in these?", "attachments": attachments}
    async with client.post("/api/chat/stream", **large(body)) as response:
        assert response.status == 200
        assert '"type":"complete"' in await response.text()


async def test_a_file_of_twenty_megabytes_is_saved(client: Client, folder: Path) -> None:
    content = "a line\n" * 3_000_000
    body = {"path": "big.txt", "content": content}
    async with client.post("/api/files/content", **large(body)) as response:
        assert response.status == 200
    assert (folder / "big.txt").stat().st_size == len(content)


@pytest.mark.parametrize(
    "target",
    [
        "/api/files?q=a&q=b",
        "/api/files?limit=1&limit=2&q=a",
        "/api/files?q=" + "a" * 4_001,
        "/api/files?limit=0",
        "/api/files?limit=1001",
        "/api/files?limit=-1",
        "/api/files?limit=ten",
        "/api/files?limit=1_0",
        "/api/files?limit=" + "9" * 5_000,
        "/api/search",
        "/api/search?q=",
        "/api/index?state=unknown",
        "/api/files/content",
        "/api/events?after=x",
    ],
)
async def test_bad_parameters_are_422(client: Client, target: str) -> None:
    async with client.get(target) as response:
        assert response.status == 422
        assert (await response.json())["code"] == "invalid_parameter"
