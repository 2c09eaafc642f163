"""Clients on bare sockets: they read as slowly, and leave as rudely, as a test wants."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

from tests.processes import DaemonProcess
from tests.torture.wire_upstream import MODEL, RESET, WireUpstream

ENDS = ("complete", "cancelled", "error")
KEY = "sk-torture-0f9d8c7b-never-to-be-shown"


class ChatClient:
    """One POST to ``/api/chat/stream``, and as much of its answer as was read.

    Attributes:
        head: Status line and headers; empty until they have come.
        events: All that were read whole.
        ended: The response ended as HTTP ends one.
        broken: The connection was closed before.
    """

    def __init__(self, raw: socket.socket) -> None:
        self.head = b""
        self.events: list[dict[str, Any]] = []
        self.ended = False
        self.broken = False
        self._raw = raw
        self._received = bytearray()
        self._body = bytearray()
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def ask(
        cls, port: int, prompt: str, *, receive_bytes: int = 0, **fields: object
    ) -> ChatClient:
        """Send the request; nothing is read yet."""
        raw = await connected(port, receive_bytes)
        client = cls(raw)
        body = json.dumps({"message": prompt, **fields}).encode()
        await client._loop.sock_sendall(raw, _request("POST", "/api/chat/stream", port, body))
        return client

    @property
    def text(self) -> str:
        """All that was said."""
        return "".join(event["content"] for event in self.events if event["type"] == "content")

    @property
    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]

    async def read(self, max_bytes: int = 65536) -> bool:
        """Read once; False when there is no more."""
        if self.ended:
            return False
        try:
            data = await self._loop.sock_recv(self._raw, max_bytes)
        except ConnectionError:
            data = b""
        if not data:
            self.broken = not self.ended
            return False
        self._received += data
        self._take_head()
        while self._take_chunk():
            pass
        self._take_events()
        return not self.ended

    async def read_head(self) -> None:
        """Read until the headers are there, byte by byte: nothing behind them."""
        while not self.head and await self.read(1):
            pass

    async def read_all(self, max_bytes: int = 65536, pause_seconds: float = 0.0) -> None:
        """Read until the end, at that pace."""
        while await self.read(max_bytes):
            if pause_seconds:
                await asyncio.sleep(pause_seconds)

    def close(self) -> None:
        """Close in order."""
        self._raw.close()

    def reset(self) -> None:
        """Break the connection off."""
        self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._raw.close()

    def shut_down(self, how: int) -> None:
        """Close one direction or both, and keep the socket."""
        self._raw.shutdown(how)

    def _take_head(self) -> None:
        end = self._received.find(b"\r\n\r\n")
        if not self.head and end >= 0:
            self.head = bytes(self._received[: end + 4])
            del self._received[: end + 4]

    def _take_chunk(self) -> bool:
        """Whether another chunk may follow the one that was there."""
        end = self._received.find(b"\r\n")
        if end < 0 or not self.head:
            return False
        size = int(self._received[:end], 16)
        if len(self._received) < end + 2 + size + 2:
            return False
        self._body += self._received[end + 2 : end + 2 + size]
        del self._received[: end + 2 + size + 2]
        self.ended = size == 0
        return not self.ended

    def _take_events(self) -> None:
        whole, mark, rest = self._body.rpartition(b"\n\n")
        if mark:
            lines = whole.split(b"\n")
            self.events += [json.loads(line[6:]) for line in lines if line.startswith(b"data: ")]
            self._body = rest


def check_end(client: ChatClient) -> None:
    """The one law of every stream: a head, exactly one end event, last, and no reset."""
    assert client.head.startswith(b"HTTP/1.1 200 "), client.head
    assert client.ended, client.kinds
    assert [kind for kind in client.kinds if kind in ENDS] == client.kinds[-1:], client.kinds


async def connected(port: int, receive_bytes: int = 0) -> socket.socket:
    """A socket that is connected to the daemon, with a small receive buffer where one is given."""
    raw = socket.socket()
    if receive_bytes:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
    return raw


async def call(port: int, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """One plain request on a connection of its own: status and JSON."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        data = b"" if body is None else json.dumps(body).encode()
        writer.write(_request(method, path, port, data, "Connection: close"))
        answer = await reader.read()
    finally:
        writer.close()
    head, _, text = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(text)


def _request(method: str, path: str, port: int, body: bytes, *more: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: localhost:{port}", *more]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


async def add_services(daemon: DaemonProcess, upstream: WireUpstream) -> dict[str, str]:
    """Configure ``upstream`` in both dialects; the id of its model by dialect."""
    address = f"http://127.0.0.1:{upstream.port}"
    await add_service(daemon.port, "ollama", {"host": address})
    await add_service(daemon.port, "openai", {"base_url": f"{address}/v1"})
    assert (await call(daemon.port, "POST", "/api/models/refresh", {}))[0] == 200
    return {dialect: f"{dialect}/{MODEL}" for dialect in ("ollama", "openai")}


async def add_service(
    port: int, kind: str, where: dict[str, str], service_id: str | None = None
) -> None:
    """Configure a service that has the one model."""
    config = {"name": service_id or kind, "api_key": KEY, "models": [MODEL], **where}
    body = {"service_id": service_id or kind, "service_type": kind, "config": config}
    assert (await call(port, "POST", "/api/services/add", body))[0] == 200


async def live_runs(port: int) -> int:
    """How many answers the daemon is making."""
    status, told = await call(port, "GET", "/api/chat/status")
    assert status == 200
    return int(told["active_streams"])


def resident_bytes(pid: int) -> int:
    """The memory that a process has in RAM."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ValueError(pid)


def open_files(pid: int) -> int:
    """How many descriptors a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
