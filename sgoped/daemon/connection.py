"""One HTTP connection with deadlines: aiohttp would wait for the rest of a request for ever.

A request's head must come whole within a time from its first byte, its body must not pause for
longer than another, and an answer must not stand still for longer than a third. In the usual case
a request comes whole and its answer goes whole: then no timer is started at all. What a client got
wrong could fill a log, so it is told at DEBUG only.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import Literal

from aiohttp import web  # noqa: TID251 - the server's own protocol
from aiohttp.streams import StreamReader

from sgoped.web import BodyTimedOut, HttpConnection, security_headers

_HEAD_END = b"\r\n\r\n"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """In seconds.

    Attributes:
        head: From the first byte of a request to the end of its head.
        body: Between two parts of a body.
        write: Between two parts that the client takes of an answer.
    """

    head: float
    body: float
    write: float


class TimedConnection(HttpConnection):
    """A connection that also looks at the clock.

    ``_request_count``, ``_messages``, ``_upgraded``, ``_waiter``, ``_request_in_progress``,
    ``_reading_paused``, ``_buffer_paused`` and ``_next_keepalive_close_time`` are aiohttp's own;
    a test says so when one of them goes.
    """

    __slots__ = ("_awaited", "_body", "_deadlines", "_last_byte_at", "_timer", "_unsent", "_writes")

    def __init__(
        self,
        server: web.Server,
        deadlines: Deadlines,
        loop: asyncio.AbstractEventLoop,
        **options: object,
    ) -> None:
        super().__init__(server, loop=loop, **options)  # type: ignore[arg-type]  # its own options
        self._deadlines = deadlines
        self._awaited: Literal["nothing", "head", "body"] = "nothing"
        self._body: StreamReader | None = None
        self._last_byte_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._unsent = 0
        self._writes: asyncio.TimerHandle | None = None

    @property
    def idle_since(self) -> float | None:
        """A number that is smaller the longer it has waited for a request; None: it is busy."""
        waits = self._waiter is not None and not self._messages and self._awaited == "nothing"
        return self._next_keepalive_close_time if waits else None

    def data_received(self, data: bytes) -> None:
        """Parses, then looks whether something has begun and not ended."""
        known, in_body = self._request_count, self._awaited == "body"
        super().data_received(data)
        came = self._request_count != known
        if came:
            self._body = self._messages[-1][1]
        if self._upgraded:
            self._expect("nothing")
        elif self._body is not None and not self._body.is_eof():
            self._last_byte_at = self._loop.time()
            self._expect("body")
        elif came:
            # What follows a whole request in the same read is the head of the next.
            has_more = not data.endswith(_HEAD_END) and self._body_was_empty()
            self._expect("head" if has_more else "nothing")
        elif in_body:
            self._expect("nothing")
        elif data.strip(b"\r\n"):
            self._expect("head")

    def _body_was_empty(self) -> bool:
        return self._body is None or (self._body.is_eof() and self._body.total_bytes == 0)

    def _expect(self, awaited: Literal["nothing", "head", "body"]) -> None:
        if awaited == self._awaited:
            return
        self._awaited = awaited
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if awaited != "nothing":
            self._start_timer()

    def _start_timer(self) -> None:
        delay = self._deadlines.head if self._awaited == "head" else self._deadlines.body
        self._timer = self._loop.call_later(delay, self._on_deadline)

    def _on_deadline(self) -> None:
        self._timer = None
        if self._reading_paused or self._buffer_paused:  # it is we who do not read
            self._start_timer()
        elif self._awaited == "head":
            self._end_head()
        elif self._awaited == "body":
            self._end_body()

    def _end_head(self) -> None:
        if self._request_in_progress or self._messages:
            self.close()  # once what it asked for before is answered
            return
        _log.debug("closed a connection: the head of its request did not come in time")
        if self.transport is not None:
            self.transport.write(_TIMED_OUT)
        self.force_close()

    def _end_body(self) -> None:
        left = self._last_byte_at + self._deadlines.body - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._on_deadline)
            return
        if self._body is None or self._body.is_eof():
            return
        if not self._request_in_progress and not self._messages:
            self.force_close()  # it is answered already, and what it goes on sending is dropped
            return
        _log.debug("the body of a request did not come in time")
        self._body.set_exception(BodyTimedOut("the body of the request did not come in time"))
        self._body.feed_eof()
        self.close()

    def pause_writing(self) -> None:
        """The client takes less than it is sent."""
        super().pause_writing()
        self._await_writes()

    def resume_writing(self) -> None:
        """The client has taken nearly all of it."""
        super().resume_writing()
        if self._writes is not None:
            self._writes.cancel()
            self._writes = None

    def _await_writes(self) -> None:
        self._unsent = self.transport.get_write_buffer_size() if self.transport is not None else 0
        self._writes = self._loop.call_later(self._deadlines.write, self._on_write_deadline)

    def _on_write_deadline(self) -> None:
        self._writes = None
        if self.transport is None:
            return
        if self.transport.get_write_buffer_size() < self._unsent:
            self._await_writes()
        else:
            _log.debug("cut a connection: its client does not take the answer")
            self.transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The end, whoever wanted it."""
        for timer in (self._timer, self._writes):
            if timer is not None:
                timer.cancel()
        self._timer = self._writes = None
        self._body = None
        super().connection_lost(exc)


def canned_answer(status: str, detail: str, code: str) -> bytes:
    """A whole answer for what aiohttp has not parsed, after which the connection is closed."""
    body = json.dumps({"detail": detail, "code": code}).encode()
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **security_headers(),
    }
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


_TIMED_OUT = canned_answer(
    "408 Request Timeout", "the head of the request did not come in time", "request_timeout"
)
