"""A WebSocket client that sends whatever frames a test wants, and reads when it wants."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any, NamedTuple

from tests.torture.wire_client import connected

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class Frame(NamedTuple):
    """A frame as it was received."""

    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        """Why the other side closes."""
        return int.from_bytes(self.payload[:2], "big")


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True, reserved: int = 0
) -> bytes:
    """The bytes of a frame; the mask is zeros."""
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    mask_bit = 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        head = bytes((first, mask_bit | size))
    elif size < 2**16:
        head = bytes((first, mask_bit | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, mask_bit | 127)) + size.to_bytes(8, "big")
    return head + (bytes(4) if masked else b"") + payload


def request(kind: str, query: str, **fields: object) -> bytes:
    """A look-up as a text frame."""
    return frame(TEXT, json.dumps({"type": kind, "query": query, **fields}).encode())


class SocketClient:
    """One socket on ``/ws/suggestions``.

    Attributes:
        status: What the handshake was answered with.
    """

    def __init__(self, raw: socket.socket) -> None:
        self.status = 0
        self._raw = raw
        self._received = b""
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(cls, port: int, receive_bytes: int = 0) -> SocketClient:
        """Shake hands."""
        client = cls(await connected(port, receive_bytes))
        lines = [
            "GET /ws/suggestions HTTP/1.1",
            f"Host: localhost:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Extensions: permessage-deflate",
        ]
        await client.send("\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in client._received:
            if not await client._receive():
                raise ConnectionResetError
        head, _, client._received = client._received.partition(b"\r\n\r\n")
        client.status = int(head.split()[1])
        return client

    async def send(self, data: bytes) -> None:
        """Send these very bytes.

        Raises:
            ConnectionError: The other side closed.
        """
        await self._loop.sock_sendall(self._raw, data)

    async def read(self) -> Frame | None:
        """The next frame; None when the connection was closed."""
        while (size := self._frame_bytes()) is None or len(self._received) < size:
            if not await self._receive():
                return None
        data, self._received = self._received[:size], self._received[size:]
        length = data[1] & 0x7F
        return Frame(data[0] & 0xF, data[{126: 4, 127: 10}.get(length, 2) :])

    async def answer(self) -> Any:
        """The next text frame's JSON; pings and pongs are left out."""
        while (got := await self.read()) is not None and got.opcode in (PING, PONG):
            pass
        assert got is not None, "the socket was closed"
        assert got.opcode == TEXT, got
        return json.loads(got.payload)

    async def read_to_end(self) -> list[Frame]:
        """All frames until the connection is closed."""
        frames = []
        while (got := await self.read()) is not None:
            frames.append(got)
        return frames

    def close(self) -> None:
        """Close the connection without a word."""
        self._raw.close()

    async def _receive(self) -> bool:
        try:
            data = await self._loop.sock_recv(self._raw, 65536)
        except ConnectionError:
            data = b""
        self._received += data
        return bool(data)

    def _frame_bytes(self) -> int | None:
        """How long the next frame is, when that is known."""
        if len(self._received) < 2:
            return None
        length = self._received[1] & 0x7F
        head = {126: 4, 127: 10}.get(length, 2)
        if len(self._received) < head:
            return None
        return head + (length if head == 2 else int.from_bytes(self._received[2:head], "big"))
