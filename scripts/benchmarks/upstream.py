"""An OpenAI-compatible upstream whose answers tell when they were sent.

The model's name says how it answers: ``burst-2000`` sends 2,000 tokens without delay,
``paced-400-200`` sends 400 at 200 a second. Every token carries ``time.monotonic_ns()`` of the
moment of its writing, a clock that all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from aiohttp import web  # noqa: TID251 - a server of its own

MODELS = web.AppKey("models", list)
WINDOW_TOKENS = 8192


def token_line(model: str, stamp: int) -> bytes:
    """One event of a streamed answer."""
    chunk: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": model,
        "choices": [{"index": 0, "delta": {"content": f" {stamp}"}, "finish_reason": None}],
    }
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def ending(model: str) -> bytes:
    """The events after the last token."""
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "model": model,
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\ndata: [DONE]\n\n"


async def models(request: web.Request) -> web.StreamResponse:
    """Whatever was configured: the names mean themselves."""
    listed = [{"id": "any", "object": "model", "context_length": WINDOW_TOKENS}]
    return web.json_response({"object": "list", "data": listed})


async def complete(request: web.Request) -> web.StreamResponse:
    """Stream an answer as the model's name says."""
    model = str((await request.json())["model"])
    kind, count, *rest = model.split("-")
    per_second = float(rest[0]) if kind == "paced" else 0.0
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    begun = time.monotonic()
    for number in range(int(count)):
        if per_second:
            await asyncio.sleep(max(0.0, begun + number / per_second - time.monotonic()))
        await response.write(token_line(model, time.monotonic_ns()))
    await response.write(ending(model))
    await response.write_eof()
    return response


def application() -> web.Application:
    """The routes of the upstream."""
    app = web.Application()
    app.router.add_get("/v1/models", models)
    app.router.add_post("/v1/chat/completions", complete)
    return app


async def serve(app: web.Application) -> None:
    """Print the port, then serve until ended."""
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner() as loop:
        loop.run(serve(application()))
