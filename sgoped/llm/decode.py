"""Decoders of the two streaming formats, server-sent events and NDJSON, without any I/O.

Both turn bytes, cut anywhere, into JSON objects. Server-sent events follow the WHATWG HTML
standard, section 9.2 ("Server-sent events"), with what real LLM services make necessary: a
``data:`` line that is a whole JSON object counts at once (some never send the blank line), a
line that cannot be read is skipped and counted, and a body that is one JSON document after all
(``stream`` ignored) is decoded at its end.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

from pydantic_core import from_json

JsonObject = dict[str, Any]

MAX_LINE_BYTES = 4 * 2**20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def parse_object(data: bytes) -> JsonObject | None:
    """The JSON object that ``data`` is, or None; bytes that are not UTF-8 become U+FFFD."""
    try:
        value = from_json(data)
    except ValueError:
        value = _parse_leniently(data)
    return value if isinstance(value, dict) else None


def _parse_leniently(data: bytes) -> Any:
    """Slower by far, for what the strict parser refuses: bytes that are not UTF-8, lone halves."""
    try:
        return json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def whole_number(value: Any) -> int | None:
    """``value`` if it can be a count in foreign JSON, or None."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53
    return value if is_count else None


class Decoder(Protocol):
    """Bytes in, JSON objects out.

    Attributes:
        skipped: How many lines could not be read.
        ended: The format's own end mark was seen; nothing after it counts.
        overflowed: A line exceeded its limit; nothing from it on was decoded.
    """

    skipped: int
    ended: bool

    @property
    def overflowed(self) -> bool:
        """See the class."""

    def feed(self, data: bytes) -> list[JsonObject]:
        """Decode what ``data`` completes."""

    def close(self) -> list[JsonObject]:
        """Decode what the end of the stream completes."""


class Lines:
    """Cuts bytes into lines ended by LF, CR or CRLF, however the bytes arrive.

    Attributes:
        overflowed: A line was longer than ``max_bytes``; it and all after it are dropped.
    """

    def __init__(self, max_bytes: int = MAX_LINE_BYTES) -> None:
        self.overflowed = False
        self._max_bytes = max_bytes
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._after_cr = False
        self._at_start = True

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that ``data`` completes, without their ends."""
        if not data or self.overflowed:
            return []
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
        self._after_cr = data.endswith(b"\r")
        lines = data.splitlines()
        rest = lines.pop() if lines and not data.endswith((b"\n", b"\r")) else b""
        if lines:
            lines[0] = self._take_pending() + lines[0]
        if rest:
            self._pending.append(rest)
            self._pending_bytes += len(rest)
        return self._within_limit(self._without_mark(lines))

    def close(self) -> list[bytes]:
        """The last line, when nothing ended it."""
        last = self._take_pending()
        return self._without_mark([last]) if last and not self.overflowed else []

    def _take_pending(self) -> bytes:
        pending = b"".join(self._pending)
        self._pending.clear()
        self._pending_bytes = 0
        return pending

    def _without_mark(self, lines: list[bytes]) -> list[bytes]:
        if self._at_start and lines:
            self._at_start = False
            lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
        return lines

    def _within_limit(self, lines: list[bytes]) -> list[bytes]:
        for number, line in enumerate(lines):
            if len(line) > self._max_bytes:
                lines = lines[:number]
                self.overflowed = True
                break
        self.overflowed = self.overflowed or self._pending_bytes > self._max_bytes
        if self.overflowed:
            self._take_pending()
        return lines


class NDJSONDecoder:
    """One JSON object per line; blank lines are nothing, unreadable ones are counted."""

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self.skipped = 0
        self.ended = False
        self._lines = Lines(max_line_bytes)
        self._unread = _Unread(max_line_bytes)

    @property
    def overflowed(self) -> bool:
        """Whether a line exceeded its limit."""
        return self._lines.overflowed

    def feed(self, data: bytes) -> list[JsonObject]:
        """Decode what ``data`` completes."""
        return self._decode(self._lines.feed(data))

    def close(self) -> list[JsonObject]:
        """Decode a last line without an end, or a body that is one document over many lines."""
        objects = self._decode(self._lines.close())
        whole = self._unread.whole()
        if whole is not None:
            self.skipped = 0
            objects.append(whole)
        return objects

    def _decode(self, lines: list[bytes]) -> list[JsonObject]:
        objects = []
        for line in lines:
            if not line.strip():
                continue
            value = parse_object(line)
            if value is None:
                self.skipped += 1
                self._unread.add(line)
            else:
                self._unread.forget()
                objects.append(value)
        return objects


class SSEDecoder:
    """Server-sent events whose data are JSON objects; ``[DONE]`` is the end mark.

    An event of the type ``error`` becomes ``{"error": ...}`` if its data do not say so.
    """

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self.skipped = 0
        self.ended = False
        self._lines = Lines(max_line_bytes)
        self._unread = _Unread(max_line_bytes)
        self._max_held_bytes = max_line_bytes
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._held_overflowed = False
        self._event = b""
        self._objects: list[JsonObject] = []

    @property
    def overflowed(self) -> bool:
        """Whether a line, or the data of one event, exceeded the limit."""
        return self._lines.overflowed or self._held_overflowed

    def feed(self, data: bytes) -> list[JsonObject]:
        """Decode what ``data`` completes."""
        return self._decode(self._lines.feed(data))

    def close(self) -> list[JsonObject]:
        """Decode an event that nothing ended, or a body that is one JSON document."""
        objects = self._decode([*self._lines.close(), b""])
        whole = None if self.ended else self._unread.whole()
        if whole is not None:
            objects.append(whole)
        return objects

    def _decode(self, lines: list[bytes]) -> list[JsonObject]:
        for line in lines:
            if self.ended or self._held_overflowed:
                break
            if line.startswith(b"data:"):
                self._read_data(line[5:].strip())
            elif line:
                self._read_field(line)
            elif self._held or self._event:
                self._end_event()
        objects, self._objects = self._objects, []
        return objects

    def _read_field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"event":
            self._event = value.strip()
        elif name not in (b"", b"data", b"id", b"retry"):
            self._unread.add(line)

    def _read_data(self, data: bytes) -> None:
        if data == b"[DONE]":
            self._end_event()
            self.ended = True
        elif data and (self._held or not self._emit(data)):
            self._held.append(data)
            self._held_bytes += len(data)
            self._held_overflowed = self._held_bytes > self._max_held_bytes

    def _emit(self, data: bytes) -> bool:
        value = parse_object(data)
        if value is None:
            return False
        if self._event == b"error" and not value.get("error"):
            value = {"error": value}
        self._unread.forget()
        self._objects.append(value)
        return True

    def _end_event(self) -> None:
        """Read data held over several lines, together or else one by one."""
        held, self._held, self._held_bytes = self._held, [], 0
        if held and self._event == b"error" and not self._emit(b"\n".join(held)):
            self._objects.append({"error": b"\n".join(held).decode("utf-8", "replace")})
        elif held and self._event != b"error" and not self._emit(b"\n".join(held)):
            self.skipped += sum(not self._emit(data) for data in held)
        self._event = b""


class _Unread:
    """What looked like no part of the stream, kept in case the whole body is one document."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lines: list[bytes] = []
        self._size = 0
        self._is_stream = False

    def add(self, line: bytes) -> None:
        """Keep ``line`` while nothing was decoded and there is room."""
        self._size += len(line) + 1
        if not self._is_stream and self._size <= self._max_bytes:
            self._lines.append(line)

    def forget(self) -> None:
        """Something was decoded: the body is a stream."""
        self._is_stream = True
        self._lines.clear()

    def whole(self) -> JsonObject | None:
        """The document that the kept lines make up."""
        if self._is_stream or self._size > self._max_bytes:
            return None
        return parse_object(b"\n".join(self._lines)) if self._lines else None
