"""Requests byte by byte, for what no well-behaved client can be made to send."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple

UPGRADE = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "c2dvcGVkIHRlc3Qga2V5IQ=="),
]


class RawAnswer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


async def send(port: int | None, request: bytes) -> RawAnswer:
    """Send ``request``, close the sending side's part of the talk, and read the one answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        status_line, *lines = head.decode().strip().split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        head_only = request.startswith(b"HEAD ")
        size = 0 if head_only else int(headers.get("content-length", "0"))
        body = await reader.readexactly(size)
        return RawAnswer(int(status_line.split()[1]), headers, body)
    finally:
        writer.close()


def build(method: str, target: str, headers: list[tuple[str, str]], body: bytes = b"") -> bytes:
    """One HTTP/1.1 request; only the headers given, and Content-Length for a body."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body
