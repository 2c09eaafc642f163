"""Sends a run's events to one client, from any number on until the last."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing

from aiohttp import web

from sgoped.chat import Run, RunEvent
from sgoped.unexpected import log_unexpected
from sgoped.web.keys import LIVE, SETTINGS
from sgoped.web.run_events import framed
from sgoped.web.sse import ClientLost, EventStream, Framed

RUN_ID_HEADER = "X-Run-Id"
UNEXPECTED = "something unexpected went wrong; the log says where"


def open_stream(request: web.Request, run_id: str) -> EventStream:
    """A stream for the events of the run of that id; its headers are not sent yet.

    Raises:
        TooManyConnections: As many are open as may be.
    """
    request.app[LIVE].admit()
    seconds = request.app[SETTINGS].write_timeout_seconds
    return EventStream(request, write_timeout_seconds=seconds, headers={RUN_ID_HEADER: run_id})


async def send_run(
    request: web.Request, stream: EventStream, run: Run, *, typed: bool, after: int = 0
) -> None:
    """Send the events behind number ``after`` until the end, which is sent whatever happens.

    A client of typed events is told how many are kept no longer.

    Raises:
        ClientLost: Nobody takes them any more.
    """

    async def end() -> None:
        run.interrupt()

    seen = after

    def at_once(batch: Sequence[tuple[int, RunEvent]]) -> bool:
        nonlocal seen
        if not stream.send_at_once(framed(batch, typed=typed, run_id=run.id)):
            return False
        seen = batch[-1][0]
        return True

    with request.app[LIVE].track(end):
        try:
            async with stream.kept_alive(), aclosing(run.follow(after, at_once)) as batches:
                async for batch in batches:
                    gap = _gap(batch[0][0] - 1 - seen) if typed else []
                    await stream.send(gap + framed(batch, typed=typed, run_id=run.id))
                    seen = batch[-1][0]
        except ClientLost:
            raise
        except Exception as error:  # noqa: BLE001 - a stream ends with an event, never a reset
            log_unexpected("a chat stream", error)
            await stream.send([Framed({"type": "error", "message": UNEXPECTED})])
        finally:
            run.end_unless_followed()


def _gap(dropped: int) -> list[Framed]:
    return [Framed({"type": "events_dropped", "count": dropped})] if dropped > 0 else []
