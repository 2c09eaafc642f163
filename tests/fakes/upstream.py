"""``FakeUpstream``: a real server that speaks Ollama's and OpenAI's protocol, and breaks on cue.

In a test: ``async with FakeUpstream() as upstream``. In a process of its own:
``python -m tests.fakes.upstream --port 0`` prints its URL and serves until it is ended; then it is
told what to do over ``/_control``:

- ``POST /_control`` with the fields of ``Script`` (and ``models``, ``windows``, ``key``) as JSON;
- ``POST /_control/gate`` lets answers that wait at their gate go on;
- ``GET /_control`` tells ``requests``, ``live_streams`` and ``closed_by_client``;
- ``DELETE /_control`` forgets everything.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Self

from aiohttp import web

from tests.fakes.meanings import meaning_of
from tests.fakes.scripts import EARLY_FAULTS, Dialect, Script, counting, script_from

HUGE_LINE_BYTES = 5 * 2**20
HTML = "<!doctype html><html><title>Sign in</title><body>Please sign in</body></html>"


@dataclass(frozen=True)
class Recorded:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    at: float = field(default_factory=time.time)


class FakeUpstream:
    """The server.

    Attributes:
        script: How it behaves; may be replaced at any time.
        models: What it says it has.
        windows: Context windows by model.
        shown: By model, what else Ollama's ``/api/show`` and the list of ``/v1/models`` tell of it.
        digests: By model, what Ollama's list tells it from another version by.
        embedding_models: What else it has, which only embeds.
        embed: Gives the vector of a text.
        spoil: Changes the list of vectors (of OpenAI's objects) of an answer; ``None``: nothing.
        key: Refuse (401) who does not send it; empty for everybody.
        requests: All that came, without the control route's.
        live_streams: How many answers are being given.
        closed_by_client: When (unix seconds) clients left an answer before its end.
    """

    def __init__(self, script: Script | None = None, *, port: int = 0) -> None:
        self.script = script or Script()
        self.port = port
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self._reset()

    def _reset(self) -> None:
        self.models: list[str] = ["alpha:latest", "beta"]
        self.windows: dict[str, int] = {"alpha:latest": 32768}
        self.shown: dict[str, dict[str, Any]] = {}
        self.digests: dict[str, str] = {}
        self.embedding_models: list[str] = ["nomic:latest"]
        self.embed: Callable[[str], list[float]] = meaning_of
        self.spoil: Callable[[list[Any]], Any] | None = None
        self.key = ""
        self.requests: list[Recorded] = []
        self.live_streams = 0
        self.closed_by_client: list[float] = []
        self._faults_left: int | None = None
        self._gate = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """Ollama's address; with ``/v1`` behind it OpenAI's."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def chats(self) -> list[Recorded]:
        """The requests that spend tokens."""
        return [request for request in self.requests if request.path.endswith(("chat", "ions"))]

    @property
    def embedded(self) -> list[str]:
        """Every text that vectors were asked of, oldest first."""
        asked = (request for request in self.requests if _embeds(request.path))
        return [str(text) for request in asked for text in request.body["input"]]

    async def start(self) -> None:
        """Listen; on the same port as before."""
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close every connection; nothing listens any more."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def behave(self, script: Script) -> None:
        """Follow ``script`` from the next request on."""
        self.script = script
        self._faults_left = script.fault_times or None
        self._gate = asyncio.Event()

    def open_gate(self) -> None:
        """Let answers go on that wait at ``gate_at``."""
        self._gate.set()

    async def until(self, condition: Callable[[], bool], seconds: float = 10) -> None:
        """Wait until something recorded makes ``condition`` true.

        Raises:
            TimeoutError: It did not.
        """
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(condition)

    async def client_closed(self, count: int = 1, seconds: float = 10) -> None:
        """Wait until that many clients left before the end of their answer."""
        await self.until(lambda: len(self.closed_by_client) >= count, seconds)

    async def _note(self, change: Callable[[], None]) -> None:
        async with self._changed:
            change()
            self._changed.notify_all()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/_control"):
            return await self._control(request)
        raw = await request.read()
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = raw.decode("utf-8", "replace")
        record = Recorded(request.method, request.path, dict(request.headers), body)
        await self._note(lambda: self.requests.append(record))
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            return web.json_response({"error": {"message": f"bad key {self.key}"}}, status=401)
        return await self._answer(request, body if isinstance(body, dict) else {})

    async def _answer(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        path = request.path
        is_chat = path.endswith(("/chat", "/completions"))
        question = "chat" if is_chat else "show" if path.endswith("/show") else "models"
        script = self._script_for("embed" if _embeds(path) else question)
        if is_chat:
            return await self._chat(request, counting(script, body), body)
        if script.gate_at == -1 and _embeds(path) and "embed" in script.fault_on:
            await self._gate.wait()
        if script.fault in EARLY_FAULTS:
            return await self._early(request, script, Dialect("openai"), "")
        if _embeds(path):
            return self._vectors(path, body)
        return web.json_response(self._facts(path, body))

    def _vectors(self, path: str, body: dict[str, Any]) -> web.StreamResponse:
        model = str(body.get("model"))
        if not {model, f"{model}:latest"} & {*self.models, *self.embedding_models}:
            return web.json_response({"error": f"model {model!r} not found"}, status=404)
        found: list[Any] = [self.embed(text) for text in body["input"]]
        if path == "/v1/embeddings":
            found = [{"index": index, "embedding": vector} for index, vector in enumerate(found)]
        told = self.spoil(found) if self.spoil else found
        if path == "/v1/embeddings":
            return web.json_response({"object": "list", "data": told})
        return web.json_response({"model": model, "embeddings": told})

    def _script_for(self, question: str) -> Script:
        if not self.script.fault or question not in self.script.fault_on:
            return replace(self.script, fault="")
        if self._faults_left is not None:
            if self._faults_left == 0:
                return replace(self.script, fault="")
            self._faults_left -= 1
        return self.script

    def _facts(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == "/api/tags":
            listed: list[dict[str, Any]] = [self._tag(name) for name in self.models]
            bert: dict[str, Any] = {"details": {"family": "nomic-bert"}}
            listed += [{"name": name, "model": name} | bert for name in self.embedding_models]
            return {"models": listed}
        if path == "/v1/models":
            listed = [{"id": name, "object": "model"} | self._length(name) for name in self.models]
            data = [each | self.shown.get(str(each["id"]), {}) for each in listed]
            return {"object": "list", "data": data}
        if path == "/api/show":
            facts: dict[str, Any] = {"general.architecture": "llama"}
            window = self.windows.get(str(body.get("model")))
            facts |= {"llama.context_length": window} if window else {}
            return {"model_info": facts, **self.shown.get(str(body.get("model")), {})}
        raise web.HTTPNotFound(text="404 page not found")

    def _tag(self, name: str) -> dict[str, str]:
        digest = {"digest": self.digests[name]} if name in self.digests else {}
        return {"name": name, "model": name} | digest

    def _length(self, name: str) -> dict[str, int]:
        return {"context_length": self.windows[name]} if name in self.windows else {}

    async def _chat(
        self, request: web.Request, script: Script, body: dict[str, Any]
    ) -> web.StreamResponse:
        dialect = Dialect("ollama" if request.path.startswith("/api/") else "openai")
        model = str(body.get("model", ""))
        await self._note(lambda: self._count_stream(1))
        try:
            if script.gate_at == -1:
                await self._gate.wait()
            if script.fault in EARLY_FAULTS:
                return await self._early(request, script, dialect, model)
            if not model:
                return web.json_response({"error": {"message": "model is required"}}, status=400)
            if not body.get("stream", dialect.name == "ollama"):
                return web.json_response(dialect.whole(script, model))
            return await self._stream(request, script, dialect, model)
        except (asyncio.CancelledError, ConnectionError):
            if self._runner is not None:
                self.closed_by_client.append(time.time())
            raise
        finally:
            self._count_stream(-1)
            await self._note(lambda: None)

    def _count_stream(self, change: int) -> None:
        self.live_streams += change

    async def _early(
        self, request: web.Request, script: Script, dialect: Dialect, model: str
    ) -> web.StreamResponse:
        fault = script.fault
        if fault == "reset_early":
            _reset_connection(request)
        if fault == "stall_early":
            await asyncio.Event().wait()
        if fault in ("html", "trailing_html"):
            kind = "text/html" if fault == "html" else "text/plain"
            return web.Response(text=HTML, content_type=kind)
        if fault in ("json", "json_lines"):
            indent = 2 if fault == "json_lines" else None
            return web.json_response(text=json.dumps(dialect.whole(script, model), indent=indent))
        if fault == "text_error":
            return web.Response(status=500, text="llama runner process has terminated")
        headers = {"Retry-After": script.retry_after} if script.retry_after else {}
        if fault == "302":
            headers["Location"] = "http://127.0.0.1:9/elsewhere"
        error = {"error": {"message": script.error_body or "refused at 10.1.2.3:99"}}
        if fault in ("204", "reset_early"):
            return web.Response(status=204)
        return web.json_response(error, status=int(fault), headers=headers)

    async def _stream(
        self, request: web.Request, script: Script, dialect: Dialect, model: str
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": dialect.content_type})
        response.enable_chunked_encoding()
        await response.prepare(request)
        pending = b""
        for number, data in self._pieces(script, dialect, model):
            if number == script.gate_at:
                await self._gate.wait()
            pending += data
            if not script.together:
                await self._write(response, script, pending)
                pending = b""
        await self._write(response, script, pending)
        return await self._end(request, response, script)

    def _pieces(self, script: Script, dialect: Dialect, model: str) -> Iterator[tuple[int, bytes]]:
        """What is sent, each with the number of the chunk it belongs to."""
        cut = script.fault_at if script.fault else len(script.chunks)
        for text in script.reasoning:
            yield 0, dialect.thought(script, model, text)
        for number, text in enumerate(script.chunks[:cut]):
            yield from ((number, odd) for odd in dialect.oddities(script, model))
            yield number, dialect.chunk(script, model, text)
        if script.fault == "error":
            yield cut, dialect.error(script)
        elif script.fault == "huge_line":
            yield cut, b"x" * HUGE_LINE_BYTES
        elif script.fault == "bad_line":
            yield cut, dialect.broken(script)
            for text in script.chunks[cut:]:
                yield cut, dialect.chunk(script, model, text)
        if script.fault in ("", "bad_line"):
            yield from ((cut, data) for data in dialect.ending(script, model))

    async def _write(self, response: web.StreamResponse, script: Script, data: bytes) -> None:
        size = script.piece_bytes or len(data)
        for start in range(0, len(data), size or 1):
            await response.write(data[start : start + size])
            if script.piece_bytes:
                await asyncio.sleep(0)
        if data and script.pause_seconds:
            await asyncio.sleep(script.pause_seconds)

    async def _end(
        self, request: web.Request, response: web.StreamResponse, script: Script
    ) -> web.StreamResponse:
        if script.fault == "stall" or "silent_end" in script.quirks:
            await asyncio.Event().wait()
        if script.fault == "reset":
            _reset_connection(request)
        elif script.fault == "close" and request.transport is not None:
            request.transport.close()
        else:
            await response.write_eof()
        return response

    async def _control(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/_control/gate":
            self.open_gate()
        elif request.method == "DELETE":
            self._reset()
            self.behave(Script())
        elif request.method == "POST":
            fields = await request.json()
            self.models = fields.pop("models", self.models)
            self.windows = fields.pop("windows", self.windows)
            self.key = fields.pop("key", self.key)
            self.behave(script_from(fields))
        return web.json_response(
            {
                "requests": [vars(record) for record in self.requests],
                "live_streams": self.live_streams,
                "closed_by_client": self.closed_by_client,
            }
        )


def _embeds(path: str) -> bool:
    return path in ("/api/embed", "/v1/embeddings")


def _reset_connection(request: web.Request) -> None:
    """Drop the connection with a TCP reset instead of an orderly end."""
    transport = request.transport
    if transport is not None:
        raw: socket.socket = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


async def _serve_alone(port: int) -> None:
    async with FakeUpstream(port=port) as upstream:
        print(upstream.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(_serve_alone(parser.parse_args().port))
