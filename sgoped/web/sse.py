"""One writer of server-sent events: framing, pings in silence, a time limit on every write.

Framing follows the HTML standard's "Server-sent events"; the existing front end reads only lines
that start with ``data: ``, so an event is exactly one such line.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, NamedTuple

from aiohttp import hdrs, web

from sgoped.web.wire import encode

PING_SECONDS = 10.0
LOOK_SECONDS = 0.5
MAX_UNTIMED_BYTES = 32 * 1024
PING = b": ping\n\n"
HEADERS = MappingProxyType(
    {
        hdrs.CONTENT_TYPE: "text/event-stream",
        "X-Accel-Buffering": "no",
    }
)


class ClientLost(Exception):  # noqa: N818 - reads as the fact it reports
    """The client left, or did not read for the length of the write time limit."""


class Framed(NamedTuple):
    """An event and, where it has one, the id a client may resume after."""

    data: Any
    id: int | None = None


def frame(event: Framed) -> bytes:
    r"""One event as bytes: ``id: 7\ndata: {...}\n\n``, the id line only where there is an id."""
    data = b"data: " + encode(event.data) + b"\n\n"
    return data if event.id is None else b"id: %d\n%b" % (event.id, data)


def abort(request: web.Request) -> None:
    """Drop the connection and what is buffered for it: a client that does not read never will."""
    if request.transport is not None:
        request.transport.abort()


def cannot_block(request: web.Request, size: int) -> bool:
    """Whether a write of ``size`` bytes is sure not to wait, so that it needs no time limit.

    Most writes are such, and a time limit costs as much as the rest of a small one. asyncio's
    transports make writers wait above 64 KiB.
    """
    transport = request.transport
    return (
        size < MAX_UNTIMED_BYTES
        and transport is not None
        and transport.get_write_buffer_size() == 0
    )


class EventStream:
    """An open ``text/event-stream`` response.

    Args:
        request: What it answers.
        write_timeout_seconds: A client that takes nothing for so long is given up.
        ping_seconds: A comment is sent after so much silence.
        headers: Further ones.
    """

    def __init__(
        self,
        request: web.Request,
        *,
        write_timeout_seconds: float,
        ping_seconds: float = PING_SECONDS,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._request = request
        self._write_timeout_seconds = write_timeout_seconds
        self._ping_seconds = ping_seconds
        self._loop = asyncio.get_running_loop()
        self._written_at = self._loop.time()
        self._writing = False
        self.response = web.StreamResponse(headers={**HEADERS, **headers})

    async def open(self) -> None:
        """Send the headers, at once.

        Raises:
            ClientLost: The client has left already.
        """
        try:
            await self.response.prepare(self._request)
        except ConnectionError as error:
            raise ClientLost from error

    async def send(self, events: Iterable[Framed]) -> None:
        """Send all of ``events``, if any, in one write; waits while the client does not read.

        Raises:
            ClientLost: Nobody takes them any more; the connection is cut.
        """
        data = b"".join([frame(event) for event in events])
        if data:
            await self._write(data)

    def send_at_once(self, events: Iterable[Framed]) -> bool:
        """Send all of ``events`` if that is sure not to wait; whether it was."""
        data = b"".join([frame(event) for event in events])
        if self._writing or not cannot_block(self._request, len(data)):
            return False
        writing = self.response.write(data)
        try:
            writing.send(None)
        except StopIteration:
            self._written_at = self._loop.time()
            return True
        except ConnectionError:
            return False  # whoever waits for events finds out by its own next write
        writing.close()  # all is handed to the transport before aiohttp would wait
        return True

    async def close(self) -> None:
        """End the response.

        Raises:
            ClientLost: Nobody takes it any more; the connection is cut.
        """
        try:
            async with asyncio.timeout(self._write_timeout_seconds):
                await self.response.write_eof()
        except (TimeoutError, ConnectionError) as error:
            abort(self._request)
            raise ClientLost from error

    async def _write(self, data: bytes) -> None:
        self._writing = True
        try:
            if cannot_block(self._request, len(data)):
                await self.response.write(data)
            else:
                async with asyncio.timeout(self._write_timeout_seconds):
                    await self.response.write(data)
        except (TimeoutError, ConnectionError) as error:
            abort(self._request)
            raise ClientLost from error
        finally:
            self._writing = False
            self._written_at = self._loop.time()

    @asynccontextmanager
    async def kept_alive(self) -> AsyncGenerator[None]:
        """Ping in silence, and cut a client that left, for as long as the block is not left.

        Raises:
            ClientLost: As ``send`` does, from the block or from a ping.
        """
        try:
            async with asyncio.TaskGroup() as group:
                pings = group.create_task(self._ping_in_silence())
                try:
                    yield
                finally:
                    pings.cancel()
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _ping_in_silence(self) -> None:
        while True:
            self._cut_what_left()
            silent_seconds = self._loop.time() - self._written_at
            if silent_seconds >= self._ping_seconds and not self._writing:
                await self._write(PING)
                silent_seconds = 0.0
            pause = max(self._ping_seconds - silent_seconds, 0.05)
            await asyncio.sleep(min(pause, LOOK_SECONDS))

    def _cut_what_left(self) -> None:
        """A client that closed its sending side has left; asyncio would first send the rest.

        Whoever does not read on top of that is otherwise found out by the write time limit only.
        """
        transport = self._request.transport
        if transport is not None and transport.is_closing():
            transport.abort()
