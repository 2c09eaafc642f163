"""The HTTP face of the bus: what happens in the daemon, as a stream that can be resumed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from sgoped.events import Bus, Event, Subscription
from sgoped.web.endpoint import EVENT_STREAM, endpoint
from sgoped.web.keys import BUS, LIVE, SETTINGS
from sgoped.web.parameters import Whole
from sgoped.web.replies import BusEventReply
from sgoped.web.sse import ClientLost, EventStream, Framed

MAX_EVENT_ID = 10**15
AFTER = Whole(
    "after", "Only events with a greater id; without it, from now on.", maximum=MAX_EVENT_ID
)
LAST_EVENT_ID = Whole(
    "Last-Event-ID", "As `after`; browsers send it.", maximum=MAX_EVENT_ID, where="header"
)
FROM_NOW_ON = -1

_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


@endpoint(
    "status",
    parameters=(AFTER, LAST_EVENT_ID),
    returns=BusEventReply,
    media_type=EVENT_STREAM,
    fails=(503,),
)
async def follow_events(request: web.Request) -> web.StreamResponse:
    """Stream what happens in the daemon, for as long as the client listens.

    `after` (or `Last-Event-ID`) resumes: events since then that are still remembered come first,
    and a gap is told by an `events_dropped` event.
    """
    after = LAST_EVENT_ID.read(request, AFTER.read(request, FROM_NOW_ON))
    app = request.app
    app[LIVE].admit()
    stream = EventStream(request, write_timeout_seconds=app[SETTINGS].write_timeout_seconds)
    with app[BUS].subscribe() as subscription:
        try:
            await stream.open()
            async with stream.kept_alive(), asyncio.TaskGroup() as group:
                relay = group.create_task(_relay(app[BUS], subscription, after, stream))

                async def end() -> None:
                    relay.cancel()

                with app[LIVE].track(end):
                    await asyncio.wait([relay])
            await stream.close()
        except ClientLost:
            pass
        except ExceptionGroup as failures:
            if failures.split(ClientLost)[1] is not None:
                raise
    return stream.response


async def _relay(bus: Bus, subscription: Subscription, after: int, stream: EventStream) -> None:
    """Send what was asked for from the past, then what comes; one id never twice."""
    last_id = 0
    if after != FROM_NOW_ON:
        past = bus.since(after)
        last_id = past[-1][0] if past else 0
        await stream.send(_framed(past))
    async for event_id, event in subscription:
        if event_id > last_id:
            await stream.send(_framed([(event_id, event)]))


def _framed(events: Iterable[tuple[int, Event]]) -> list[Framed]:
    return [Framed(event_json(event), event_id) for event_id, event in events]


def event_json(event: Event) -> dict[str, Any]:
    """An event with its type in snake case: ``{"type": "file_indexed", "path": ...}``."""
    name = _WORD_START.sub("_", type(event).__name__).lower()
    return {"type": name, **asdict(event)}
