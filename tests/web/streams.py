"""Reading an event stream as the front end does: line by line, only ``data: `` counts."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import ClientResponse


async def next_event(response: ClientResponse) -> dict[str, Any]:
    """The next event.

    Raises:
        EOFError: The stream ended.
    """
    async for line in response.content:
        if line.startswith(b"data: "):
            event: dict[str, Any] = json.loads(line[6:])
            return event
    raise EOFError


async def all_events(response: ClientResponse) -> list[dict[str, Any]]:
    """Every event until the stream ends."""
    return [json.loads(line[6:]) async for line in response.content if line.startswith(b"data: ")]


def text_of(events: list[dict[str, Any]]) -> str:
    """What a person sees."""
    return "".join(event["content"] for event in events if event["type"] == "content")
