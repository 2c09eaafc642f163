"""Keeps keys out of texts that others wrote: logs, errors, names and answers of services.

A key is never put into a text on purpose, but services repeat it (``Incorrect API key provided:
sk-...``), and so may exceptions and the packages that raise them. ``Redactor`` knows the keys that
are in use, or were until a while ago, and takes them out by value.
"""

from __future__ import annotations

import base64
import html
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote

REDACTED = "[key]"
MIN_CHARS = 8
MIN_CHARS_IN_ANSWERS = 16
REMEMBERED_SECONDS = 600.0
MAX_REMEMBERED = 64
MIN_CHARS_WAITING = 4


class Redactor:
    """Takes the keys that it was told of out of texts; any thread may ask.

    Keys of less than ``MIN_CHARS`` are left alone: they are words (``none``, ``ollama``) that a
    server without keys was given, and a message without its words helps nobody.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: Counter[str] = Counter()
        self._released: dict[str, float] = {}
        self._spelled: dict[str, set[str]] = {}
        self._longest_first: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self._expires = float("inf")

    def hold(self, secret: str) -> None:
        """``secret`` is in use from now on, once more."""
        if len(secret) >= MIN_CHARS:
            with self._lock:
                self._held[secret] += 1
                self._rebuild()

    def release(self, secret: str) -> None:
        """One use has ended; the key is still taken out for ``REMEMBERED_SECONDS``.

        Requests made with it may be under way, and what they bring is yet to be logged.
        """
        with self._lock:
            if self._held[secret] > 1:
                self._held[secret] -= 1
            elif self._held.pop(secret, 0):
                self._released.pop(secret, None)
                self._released[secret] = self._clock() + REMEMBERED_SECONDS
                while len(self._released) > MAX_REMEMBERED:
                    del self._released[next(iter(self._released))]
                self._rebuild()

    @contextmanager
    def holding(self, secret: str) -> Iterator[None]:
        """Hold ``secret`` for as long as the block lasts."""
        self.hold(secret)
        try:
            yield
        finally:
            self.release(secret)

    def redact(self, text: str) -> str:
        """``text`` with ``REDACTED`` where a key was, in any of its usual spellings."""
        if self._clock() >= self._expires:
            with self._lock:
                self._rebuild()
        for spelling in self._longest_first:
            text = text.replace(spelling, REDACTED)
        return text

    def secrets(self) -> list[str]:
        """The keys that count at this moment, the longest first."""
        with self._lock:
            return self._known()

    def _known(self) -> list[str]:
        return sorted({*self._held, *self._released}, key=len, reverse=True)

    def _rebuild(self) -> None:
        now = self._clock()
        self._released = {secret: at for secret, at in self._released.items() if at > now}
        self._expires = min(self._released.values(), default=float("inf"))
        before, self._spelled = self._spelled, {}
        for secret in self._known():
            self._spelled[secret] = before.get(secret) or spelled(secret)
        self._longest_first = tuple(
            sorted({each for found in self._spelled.values() for each in found}, key=len)[::-1]
        )


def spelled(secret: str) -> set[str]:
    """How ``secret`` may stand in a text: plain, as in URLs, JSON, HTML and ``repr``, in Base64."""
    in_json = json.dumps(secret)[1:-1]
    plain = {
        secret,
        quote(secret, safe=""),
        quote(secret),
        in_json,
        in_json.replace("/", "\\/"),
        html.escape(secret),
        repr(secret)[1:-1],
    }
    return plain | _in_base64(secret.encode())


def _in_base64(secret: bytes) -> set[str]:
    """What does not depend on the bytes around it (``Basic`` has a user name before the key)."""
    found = set()
    for before in range(3):
        padded = b"\0" * before + secret
        whole = len(padded) // 3 * 3
        code = base64.b64encode(padded[:whole]).decode()[-(-before * 8 // 6) :]
        if len(code) >= MIN_CHARS:
            found |= {code, code.replace("+", "-").replace("/", "_")}
    return found


class RedactingFilter(logging.Filter):
    """Takes keys out of whatever is logged, by whomever; belongs on handlers."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor
        self._formatter = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, without keys in its message, error or stack."""
        record.msg, record.args = self._redactor.redact(_message(record)), None
        if record.exc_info and not record.exc_text:
            record.exc_text = self._formatter.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = self._redactor.redact(record.exc_text)
        if record.stack_info:
            record.stack_info = self._redactor.redact(record.stack_info)
        return True


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} {record.args}"  # as much as a wrong call of a logger can tell


@contextmanager
def redacted_logs(redactor: Redactor) -> Iterator[None]:
    """Take keys out of all that the root logger's handlers write, while the block lasts."""
    handlers = list(logging.getLogger().handlers)
    filters = [RedactingFilter(redactor) for _ in handlers]
    for handler, each in zip(handlers, filters, strict=True):
        handler.addFilter(each)
    try:
        yield
    finally:
        for handler, each in zip(handlers, filters, strict=True):
            handler.removeFilter(each)


class TextRedactor:
    """Takes keys out of a text that arrives in pieces, cut anywhere.

    What may be the beginning of a key waits for what follows it, from ``MIN_CHARS_WAITING`` on;
    nothing else waits. So the first few characters of a key (``sk-``) may be told, never more. Only
    keys of ``MIN_CHARS_IN_ANSWERS`` count, in plain: shorter ones occur in what people write.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._secrets = [key for key in redactor.secrets() if len(key) >= MIN_CHARS_IN_ANSWERS]
        self._beginnings = {key[:MIN_CHARS_WAITING] for key in self._secrets}
        self._told = ""
        self._waiting = ""

    @property
    def is_idle(self) -> bool:
        """Whether there is no key to take out."""
        return not self._secrets

    def feed(self, text: str) -> str:
        """What can be told by now."""
        seen = self._told + self._waiting + text
        if any(beginning in seen for beginning in self._beginnings):
            return self._feed_slowly(text)
        self._told = seen[1 - MIN_CHARS_WAITING :]
        return text

    def _feed_slowly(self, text: str) -> str:
        text = self._told + self._waiting + text
        done, pieces = len(self._told), []
        while (found := self._find(text, done)) is not None:
            start, end = found
            pieces += [text[done:start], REDACTED]
            done = end
        kept = max((_overlap(text, secret, done) for secret in self._secrets), default=0)
        pieces.append(text[done : len(text) - kept])
        self._waiting = text[len(text) - kept :]
        told = "".join(pieces)
        self._told = (self._told + told)[1 - MIN_CHARS_WAITING :]
        return told

    def close(self) -> str:
        """What waited, and is no key after all."""
        waiting, self._waiting, self._told = self._waiting, "", ""
        return waiting

    def _find(self, text: str, done: int) -> tuple[int, int] | None:
        """Where the first key is whose end is not yet told."""
        begin = max(done - MIN_CHARS_WAITING + 1, 0)
        starts = ((text.find(secret, begin), len(secret)) for secret in self._secrets)
        found = min(((at, -size) for at, size in starts if at >= 0), default=None)
        return None if found is None else (max(found[0], done), found[0] - found[1])


def _overlap(text: str, secret: str, done: int) -> int:
    """How many characters at the end of ``text`` wait: the beginning of ``secret``, less ``done``."""
    start = text.find(secret[0], max(len(text) - len(secret) + 1, 0))
    while 0 <= start <= len(text) - MIN_CHARS_WAITING:
        if secret.startswith(text[start:]):
            return len(text) - max(start, done)
        start = text.find(secret[0], start + 1)
    return 0
