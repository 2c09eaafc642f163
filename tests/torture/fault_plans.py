"""Random answers of an upstream that goes wrong, and what a client must be shown of each.

A plan is made of one way to write (``Writing``), pieces of an answer, and one way to end or never
to begin. What must come of it is told by a model of a few lines that knows nothing of how bytes
are cut: the text is what was sent as text, the rest is a fixed error.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from random import Random

from tests.torture.wire_client import KEY
from tests.torture.wire_upstream import Call, ending, token

OPEN, CLOSE = "<think>", "</think>"
FIELDS = ("reasoning_content", "reasoning", "thinking")
ECHO = f"ECHO of 10.1.2.3:99 and {KEY}"
HTML = b"<!doctype html><html><body>Please sign in: " + ECHO.encode() + b"</body></html>"
HUGE_LINE_BYTES = 5 * 2**20

# Text that could be taken for something else.
ODD_TEXTS = (
    "Grüße", "😀", "中文", "a < b", "<thin", "<b>", "\n\n", "\r\n", "\u2028", "\0", "[DONE]",
    '\n\ndata: {"type": "complete"}\n\n', "/add_knowledge pwned @notes.md", "data: [DONE]\n\n",
    "</script>", '{"error": "none"}',
)  # fmt: skip
NEVER = (
    "401", "403", "404", "429", "429 1", "429 3600", "429 soon", "500", "503", "503 once", "302",
    "204", "html", "plain html", "reset first", "reset once", "half-close", "no head", "stall after head",
    "garbage", "huge headers", "error document", "nothing", "document", "wide document", "refused",
)  # fmt: skip
WHOLE = ("whole", "whole", "whole", "no mark", "mark only", "silence", "junk behind", "no newline")
BROKEN = (
    "no end", "reset", "stall", "close", "cut line", "error", "huge line", "broken zip",
)  # fmt: skip


@dataclass(frozen=True)
class Writing:
    """How an answer is written.

    Attributes:
        crlf: Lines end in CR LF.
        no_space: Nothing follows ``data:``.
        zipped: The body is compressed, though nobody asked for it.
        chunked: The body comes in chunks; else the end of the connection ends it.
        continues: A ``100 Continue`` comes first.
        content_type: What it says it is; empty for the right one.
        max_cuts: How many pieces an event may be cut into; 0 leaves events whole.
    """

    crlf: bool = False
    no_space: bool = False
    zipped: bool = False
    chunked: bool = True
    continues: bool = False
    content_type: str = ""
    max_cuts: int = 0

    def written(self, data: bytes) -> bytes:
        """An event in this manner."""
        if self.no_space and data.startswith(b"data: "):
            data = b"data:" + data[6:]
        return data.replace(b"\n", b"\r\n") if self.crlf else data


@dataclass(frozen=True)
class Piece:
    """One event: text, text in a field for thinking, or something without text."""

    kind: str
    text: str = ""


@dataclass
class Plan:
    """One answer.

    Attributes:
        prompt: The question that it belongs to.
        dialect: In which it is given.
        end: One of ``NEVER``, ``WHOLE`` and ``BROKEN``.
        pieces: What is sent before a broken end, or all of it.
        tries: How often it was asked for.
    """

    prompt: str
    dialect: str
    end: str
    writing: Writing = field(default_factory=Writing)
    pieces: tuple[Piece, ...] = ()
    tries: int = 0

    def __str__(self) -> str:
        """As a failure shows it."""
        return f"{self.prompt} ({self.dialect}): {self.end}, {self.writing}, {self.pieces!r}"[:3000]

    @property
    def shown(self) -> str:
        """All that a person must be shown, thinking between its tags."""
        if self.end in ("503 once", "reset once", "document", "wide document"):
            return self.prompt
        parts = [(thinking, text) for thinking, text in self._parts() if text]
        return "".join(
            f"{OPEN}{text}{CLOSE}" if thinking else text
            for thinking, grouped in groupby(parts, lambda part: part[0])
            for text in ["".join(text for _, text in grouped)]
        )

    @property
    def completes(self) -> bool:
        """Whether the answer is whole and says something."""
        if self.end in NEVER:
            return self.shown != ""
        said = "".join(text for thinking, text in self._parts() if not thinking)
        return self.end in WHOLE and said != ""

    @property
    def may_lose_the_last(self) -> bool:
        """Whether the network, or an unreadable body, may keep what was sent last."""
        return self.end in ("reset", "broken zip")

    def _parts(self) -> Iterator[tuple[bool, str]]:
        """What was thought and what was said; tags count wherever they were cut."""
        rest = "".join(piece.text for piece in self.pieces if piece.kind == "content")
        if OPEN not in rest:
            for piece in self.pieces:
                yield piece.kind in FIELDS, piece.text
            return
        thinking = False
        while rest:
            before, _, rest = rest.partition(CLOSE if thinking else OPEN)
            yield thinking, before
            thinking = not thinking


def make_plan(number: int, rng: Random) -> Plan:
    """A random answer to the question ``question <number>``."""
    prompt, dialect = f"question {number}", rng.choice(("ollama", "openai"))
    if rng.random() < 0.35:
        return Plan(prompt, dialect, rng.choice(NEVER))
    end = rng.choice(rng.choice((WHOLE, BROKEN)))
    writing = Writing(
        crlf=rng.random() < 0.3,
        no_space=rng.random() < 0.3,
        zipped=end == "broken zip" or rng.random() < 0.1,
        chunked=end in ("close", "no end") or rng.random() < 0.7,
        continues=rng.random() < 0.1,
        content_type=rng.choice(("", "", "", "text/plain", "application/octet-stream", "x/y; =")),
        max_cuts=rng.choice((0, 0, 3, 200)),
    )
    return Plan(prompt, dialect, end, writing, tuple(_pieces(prompt, rng)))


def _pieces(prompt: str, rng: Random) -> Iterator[Piece]:
    """Thinking in fields or between tags, text, and events that say nothing."""
    texts = [f"[{prompt}/{n}]" for n in range(rng.randrange(8))]
    texts = [text + rng.choice(("", *ODD_TEXTS)) for text in texts]
    if texts and rng.random() < 0.05:
        texts[-1] += "x" * 300_000
    thoughts = [f"(thought {prompt}/{n})" for n in range(rng.choice((0, 0, 1, 3)))]
    if rng.random() < 0.5:
        said = [Piece(rng.choice(FIELDS), thought) for thought in thoughts]
        said += [Piece("content", text) for text in texts]
    else:
        whole = "".join(f"{OPEN}{thought}{CLOSE}\n" for thought in thoughts) + "".join(texts)
        said = [Piece("content", text) for text in _cut(whole, rng, 12)]
    for piece in said:
        if rng.random() < 0.2:
            yield Piece(rng.choice(("comment", "empty", "null", "broken")))
        yield piece


def _cut(text: str, rng: Random, max_cuts: int) -> list[str]:
    """Text cut at random places."""
    places = rng.sample(range(1, len(text)), min(max_cuts, len(text) - 1)) if text else []
    bounds = [0, *sorted(places), len(text)]
    return [text[start:end] for start, end in pairwise(bounds) if end > start]


class Player:
    """Plays plans by the prompt that asks for them."""

    def __init__(self, plans: dict[str, Plan], seed: int) -> None:
        self._plans = plans
        self._seed = seed

    async def play(self, call: Call) -> None:
        """Answer one request."""
        await self.play_as(self._plans[call.prompt], call)

    async def play_as(self, plan: Plan, call: Call) -> None:
        """Answer one request by that plan."""
        plan.tries += 1
        rng = Random(f"{self._seed} {plan.prompt}")
        if plan.end in NEVER:
            await _never(plan, call)
        else:
            await Performance(plan, call, rng).give()


async def _never(plan: Plan, call: Call) -> None:
    """Something else than an answer in pieces."""
    kind, _, more = plan.end.partition(" ")
    if (more == "once" and plan.tries > 1) or kind in ("document", "wide"):
        await _document(plan, call, indent=2 if kind == "wide" else None)
    elif kind.isdigit():
        await _status(call, kind, "" if more == "once" else more)
    else:
        await ODDITIES[plan.end](call)


async def _status(call: Call, status: str, retry_after: str) -> None:
    body = b"" if status == "204" else json.dumps({"error": {"message": ECHO}}).encode()
    lines = [f"HTTP/1.1 {status} {ECHO}", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}"] if status != "204" else []
    lines += [f"Retry-After: {retry_after}"] if retry_after else []
    lines += ["Location: http://127.0.0.1:9/elsewhere"] if status == "302" else []
    await call.send("\r\n".join([*lines, "", ""]).encode() + body)


async def _document(plan: Plan, call: Call, indent: int | None) -> None:
    message = {"role": "assistant", "content": plan.prompt}
    value: dict[str, object] = {"message": message, "done": True}
    if plan.dialect == "openai":
        value = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    await call.head("application/json")
    await call.chunk(json.dumps(value, indent=indent).encode())
    await call.chunk(b"")


async def _html(call: Call, content_type: str = "text/html") -> None:
    await call.head(content_type)
    await call.chunk(HTML)
    await call.chunk(b"")


async def _stall(call: Call, *, head: bool = False) -> None:
    if head:
        await call.head()
    await asyncio.Event().wait()


async def _reset(call: Call) -> None:
    call.reset()


async def _half_close(call: Call) -> None:
    call.half_close()
    await asyncio.sleep(0.05)


async def _garbage(call: Call) -> None:
    await call.send(b"\x16\x03\x01\0\xff" * 50 + ECHO.encode() + b"\r\n\r\n")


async def _huge_headers(call: Call) -> None:
    await call.head("", f"X-Big: {ECHO * 2000}")
    await call.chunk(b"")


async def _error_document(call: Call) -> None:
    await call.head("application/json")
    await call.chunk(json.dumps({"error": {"message": ECHO}}).encode())
    await call.chunk(b"")


async def _nothing(call: Call) -> None:
    await call.head()
    await call.chunk(b"")


ODDITIES = {
    "html": _html,
    "plain html": lambda call: _html(call, "text/plain"),
    "reset first": _reset,
    "reset once": _reset,
    "half-close": _half_close,
    "no head": _stall,
    "stall after head": lambda call: _stall(call, head=True),
    "garbage": _garbage,
    "huge headers": _huge_headers,
    "error document": _error_document,
    "nothing": _nothing,
}


class Performance:
    """One answer in pieces, up to its end or its fault."""

    def __init__(self, plan: Plan, call: Call, rng: Random) -> None:
        self._plan = plan
        self._call = call
        self._rng = rng
        self._writing = plan.writing
        self._zip = zlib.compressobj(wbits=31)

    async def give(self) -> None:
        """All of it."""
        await self._head()
        for piece in self._plan.pieces:
            await self._body(self._event(piece))
        await self._end(self._plan.end)

    async def _head(self) -> None:
        if self._writing.continues:
            await self._call.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        kind = "application/x-ndjson" if self._call.dialect == "ollama" else "text/event-stream"
        lines = ["HTTP/1.1 200 OK", f"Content-Type: {self._writing.content_type or kind}"]
        lines += ["Content-Encoding: gzip"] if self._writing.zipped else []
        last = "Transfer-Encoding: chunked" if self._writing.chunked else "Connection: close"
        await self._call.send("\r\n".join([*lines, last, "", ""]).encode())

    def _event(self, piece: Piece) -> bytes:
        dialect = self._call.dialect
        if piece.kind == "comment":
            return b"\n" if dialect == "ollama" else b": working\n\n"
        value = {
            "empty": b'{"choices":[]}',
            "null": b'{"message":null,"choices":[{"index":0,"delta":null}]}',
            "broken": b'{"choices":[{"delta":{"conte',
        }.get(piece.kind)
        if value is None:
            return token(dialect, piece.text, piece.kind)
        return value + b"\n" if dialect == "ollama" else b"data: " + value + b"\n\n"

    async def _body(self, data: bytes) -> None:
        """Send a part of the body, cut into as many pieces as is wanted."""
        data = self._writing.written(data)
        if self._writing.zipped:
            data = self._zip.compress(data) + self._zip.flush(zlib.Z_SYNC_FLUSH)
        await self._raw(data)

    async def _raw(self, data: bytes) -> None:
        step = max(1, len(data) // self._writing.max_cuts) if self._writing.max_cuts else len(data)
        for start in range(0, len(data), max(step, 1)):
            piece = data[start : start + step]
            await (self._call.chunk if self._writing.chunked else self._call.send)(piece)
            await asyncio.sleep(0)

    async def _finish(self) -> None:
        """End the body as HTTP ends one."""
        if self._writing.zipped:
            await self._raw(self._zip.flush())
        if self._writing.chunked:
            await self._call.chunk(b"")

    async def _end(self, end: str) -> None:
        if end in WHOLE:
            await self._body(self._last_events(end))
            if end == "silence":
                await asyncio.Event().wait()
            await self._finish()
        elif end == "no end":
            await self._finish()
        else:
            await self._break(end)

    def _last_events(self, end: str) -> bytes:
        last = ending(self._call.dialect)
        if self._call.dialect == "openai" and end in ("no mark", "silence"):
            last = last.removesuffix(b"data: [DONE]\n\n")
        if self._call.dialect == "openai" and end == "mark only":
            last = b"data: [DONE]\n\n"
        if end == "junk behind":
            return last + token(self._call.dialect, "never to be shown") + HTML
        return last.rstrip(b"\n") if end == "no newline" else last

    async def _break(self, end: str) -> None:
        breaking: dict[str, Callable[[], object]] = {
            "reset": self._call.reset,
            "close": lambda: None,
        }
        data = {
            "cut line": token(self._call.dialect, "never to be shown")[:-30],
            "error": self._error(),
            "huge line": b"x" * HUGE_LINE_BYTES,
        }.get(end)
        if end == "stall":
            await asyncio.Event().wait()
        elif end == "broken zip":
            await self._raw(gzip.compress(b"x" * 100)[:5] * 20)
            await self._finish()
        elif data is not None:
            await self._body(data)
            await self._finish()
        else:
            breaking[end]()

    def _error(self) -> bytes:
        if self._call.dialect == "ollama":
            return json.dumps({"error": ECHO}).encode() + b"\n"
        return b"data: " + json.dumps({"error": {"message": ECHO}}).encode() + b"\n\n"
