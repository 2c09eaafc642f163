"""JSON bodies of requests, made in slices: a long prompt in one call would hold up the loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

from sgoped.llm.decode import JsonObject

SLICE_CHARS = 128 * 2**10


async def encode_body(body: JsonObject) -> bytes:
    """``body`` as ``json.dumps`` writes it, with everybody else's turn between its slices.

    Args:
        body: Of dicts with text keys, lists, and what JSON has besides; not in circles.
    """
    pieces: list[bytes] = []
    pending = 0
    for piece in _pieces(body):
        pieces.append(piece)
        pending += len(piece)
        if pending >= SLICE_CHARS:
            pending = 0
            await asyncio.sleep(0)
    return b"".join(pieces)


def _pieces(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict):
        opening = b"{"
        for key, part in value.items():
            yield opening + json.dumps(key).encode() + b": "
            yield from _pieces(part)
            opening = b", "
        yield b"}" if value else b"{}"
    elif isinstance(value, list):
        opening = b"["
        for part in value:
            yield opening
            yield from _pieces(part)
            opening = b", "
        yield b"]" if value else b"[]"
    elif isinstance(value, str) and len(value) > SLICE_CHARS:
        yield b'"'
        for start in range(0, len(value), SLICE_CHARS):
            yield json.dumps(value[start : start + SLICE_CHARS])[1:-1].encode()
        yield b'"'
    else:
        yield json.dumps(value).encode()
