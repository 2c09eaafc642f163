"""``WireUpstream``: a fake LLM service on bare sockets, so that any bytes can be its answer."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Self

MODEL = "beta"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no seconds: close by a TCP reset


class Call:
    """One request for an answer, and the connection it came by.

    Attributes:
        dialect: ``ollama`` or ``openai``.
        prompt: All text that the model was sent.
        key: What the request's ``Authorization`` holds.
        closed: The connection is closed, by whichever side.
        left_at: When (monotonic seconds) the other side closed it; None where we did.
    """

    def __init__(self, path: str, key: str, body: Any, writer: asyncio.StreamWriter) -> None:
        self.dialect = "ollama" if path.startswith("/api/") else "openai"
        self.prompt = "\n".join(str(message["content"]) for message in body["messages"])
        self.key = key
        self.closed = asyncio.Event()
        self.left_at: float | None = None
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Send these very bytes; waits while the other side does not read."""
        self._writer.write(data)
        await self._writer.drain()

    async def head(self, content_type: str = "", *more: str, status: str = "200 OK") -> None:
        """Send the head of a chunked answer."""
        kind = content_type or (
            "application/x-ndjson" if self.dialect == "ollama" else "text/event-stream"
        )
        lines = [f"HTTP/1.1 {status}", "Transfer-Encoding: chunked", *more]
        lines += [f"Content-Type: {kind}"] if kind else []
        await self.send("\r\n".join([*lines, "", ""]).encode())

    async def chunk(self, data: bytes) -> None:
        """Send ``data`` as one chunk of the body; the empty one ends it."""
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def tokens(self, *texts: str) -> None:
        """Send each text as an event of its own, all in one chunk."""
        await self.chunk(b"".join(token(self.dialect, text) for text in texts))

    async def finish(self) -> None:
        """End the answer as its dialect ends one."""
        await self.chunk(ending(self.dialect))
        await self.chunk(b"")

    def reset(self) -> None:
        """Break the connection off."""
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._writer.transport.abort()

    def half_close(self) -> None:
        """Close the sending side only."""
        self._writer.write_eof()


Play = Callable[[Call], Awaitable[None]]


def token(dialect: str, text: str, field: str = "content") -> bytes:
    """One event that brings ``text`` in the named field."""
    if dialect == "ollama":
        line = {"model": MODEL, "message": {"role": "assistant", field: text}, "done": False}
        return json.dumps(line, ensure_ascii=False).encode() + b"\n"
    choice = {"index": 0, "delta": {field: text}, "finish_reason": None}
    return b"data: %b\n\n" % json.dumps({"choices": [choice]}, ensure_ascii=False).encode()


def ending(dialect: str) -> bytes:
    """The events that tell that an answer is whole."""
    if dialect == "ollama":
        return b'{"model":"beta","message":{"content":""},"done":true,"done_reason":"stop"}\n'
    last = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    return last + b"data: [DONE]\n\n"


class WireUpstream:
    """The server, in the test's own loop; ``play`` answers every request for an answer.

    Attributes:
        calls: Every request for an answer, oldest first.
        port: Where it listens; the same again after ``start``.
    """

    def __init__(self, play: Play) -> None:
        self.play = play
        self.calls: list[Call] = []
        self.port = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; on the same port as before."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, backlog=1024, limit=2**26
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more; what is being answered goes on."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            await asyncio.sleep(0)

    def call_of(self, prompt: str) -> Call | None:
        """The newest request with that prompt."""
        return next((call for call in reversed(self.calls) if call.prompt == prompt), None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            path, key, body = await _read_request(reader)
            if path.endswith(("/chat", "/completions")) and body:
                await self._answer(Call(path, key, body, writer), reader)
            else:
                writer.write(_facts(path))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _answer(self, call: Call, reader: asyncio.StreamReader) -> None:
        self.calls.append(call)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(_until_left(call, reader))
            playing = group.create_task(_played(call, self.play))
            try:
                await asyncio.wait([watching, playing], return_when=asyncio.FIRST_COMPLETED)
            finally:
                watching.cancel()
                playing.cancel()
        call.closed.set()


async def _played(call: Call, play: Play) -> None:
    with suppress(ConnectionError):
        await play(call)
        return
    await asyncio.Event().wait()  # the watch tells that it was left


async def _until_left(call: Call, reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        await reader.read(1)
    call.left_at = time.monotonic()


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, str, Any]:
    """Path, key and JSON body of the one request of a connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in head)}
    if "chunked" in headers.get("transfer-encoding", ""):
        raise NotImplementedError("the daemon sends bodies whole")
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    key = headers.get("authorization", "").removeprefix("Bearer ")
    return head[0].split()[1], key, json.loads(body) if body else None


def _facts(path: str) -> bytes:
    """What there is to know about models."""
    facts: dict[str, Any] = {"data": [{"id": MODEL, "context_length": 32768}]}
    if path == "/api/tags":
        facts = {"models": [{"name": MODEL, "digest": "1"}]}
    elif path == "/api/show":
        facts = {"model_info": {"llama.context_length": 32768}}
    body = json.dumps(facts).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\nConnection: close\r\n\r\n" + body
