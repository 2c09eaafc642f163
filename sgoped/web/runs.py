"""The HTTP face of runs: listed, looked at, followed from anywhere, stopped, forgotten."""

from __future__ import annotations

from aiohttp import web

from sgoped.chat import Cancelled, Citations, ContextTold, End, Failed, RunSummary, UsageTold
from sgoped.web.chat_replies import (
    RunReply,
    RunsReply,
    StopReply,
    StreamEventReply,
    WholeRunReply,
)
from sgoped.web.endpoint import EVENT_STREAM, endpoint
from sgoped.web.following import open_stream, send_run
from sgoped.web.keys import CHAT, SAVES
from sgoped.web.parameters import Text, Whole
from sgoped.web.replies import SuccessReply
from sgoped.web.run_events import told_json
from sgoped.web.sse import ClientLost
from sgoped.web.wire import reply

DEFAULT_LIMIT = 50
MAX_EVENT_ID = 10**15
MAX_LISTED_CHARS = 1_000
MAX_SHOWN_CHARS = 10_000

RUN_ID = Text("run_id", "A run's id.", where="path", required=True)
LIMIT = Whole("limit", f"At most so many; {DEFAULT_LIMIT} without it.", minimum=1)
STATE = Text(
    "state",
    "Only runs in this state.",
    choices=("live", "completed", "cancelled", "failed", "interrupted"),
)
AFTER = Whole("after", "Only events with a greater id; without it, all.", maximum=MAX_EVENT_ID)
LAST_EVENT_ID = Whole(
    "Last-Event-ID", "As `after`; browsers send it.", maximum=MAX_EVENT_ID, where="header"
)
EVENTS = Text(
    "events",
    "`typed`: also thinking, context, usage, citations, service, events_dropped.",
    choices=("typed",),
)


@endpoint("runs", parameters=(LIMIT, STATE), returns=RunsReply)
async def list_runs(request: web.Request) -> web.StreamResponse:
    """List answers, those being made and those kept, the newest first."""
    limit, state = LIMIT.read(request, DEFAULT_LIMIT), STATE.read(request)
    found = await request.app[CHAT].runs(limit, state)
    answer: RunsReply = {"runs": [_run_json(summary, MAX_LISTED_CHARS) for summary in found]}
    return reply(answer)


@endpoint("runs", parameters=(RUN_ID,), returns=WholeRunReply, fails=(404,))
async def show_run(request: web.Request) -> web.StreamResponse:
    """Show an answer with its text, and what was told beside it."""
    run = await request.app[CHAT].find(RUN_ID.read(request))
    summary = RunSummary(run.info, run.state, run.end, run.last_event_id)
    told = {type(event): told_json(event) for event in run.told}
    answer: WholeRunReply = {
        **_run_json(summary, MAX_SHOWN_CHARS),
        "text": run.text,
        "context": told.get(ContextTold),
        "citations": told.get(Citations),
        "usage": told.get(UsageTold),
    }
    return reply(answer)


@endpoint(
    "runs",
    parameters=(RUN_ID, AFTER, LAST_EVENT_ID, EVENTS),
    returns=StreamEventReply,
    media_type=EVENT_STREAM,
    fails=(404, 503),
)
async def follow_run(request: web.Request) -> web.StreamResponse:
    """Stream an answer's events again, and follow it while it is made.

    `after` (or `Last-Event-ID`) resumes behind an event; the last is exactly one of `complete`,
    `cancelled` and `error`. With `events=typed`, `events_dropped` tells in `count` how many are
    kept no longer.
    """
    run = await request.app[CHAT].find(RUN_ID.read(request))
    after = LAST_EVENT_ID.read(request, AFTER.read(request, 0))
    typed = EVENTS.read(request) == "typed"
    stream = open_stream(request, run.id)
    try:
        await stream.open()
        await send_run(request, stream, run, typed=typed, after=after)
        await stream.close()
    except ClientLost:
        pass
    return stream.response


@endpoint("runs", parameters=(RUN_ID,), returns=StopReply, fails=(404,))
async def stop_run(request: web.Request) -> web.StreamResponse:
    """End an answer; `stopped` is false for one that has ended already."""
    run = await request.app[CHAT].find(RUN_ID.read(request))
    stopped = request.app[CHAT].stop(run.id)
    answer: StopReply = {
        "success": True,
        "stopped": stopped,
        "message": "the answer is ended" if stopped else "the answer had ended already",
    }
    return reply(answer)


@endpoint("runs", parameters=(RUN_ID,), returns=SuccessReply, fails=(404, 409, 500, 507))
async def forget_run(request: web.Request) -> web.StreamResponse:
    """Forget an ended answer for good; one that is being made is stopped first, or 409."""
    run_id = RUN_ID.read(request)
    await request.app[SAVES].run(request.app[CHAT].forget(run_id))
    answer: SuccessReply = {"success": True, "message": "the answer is forgotten"}
    return reply(answer)


def _run_json(run: RunSummary, max_chars: int) -> RunReply:
    info = run.info
    return {
        "id": info.id,
        "stream_id": info.stream_id,
        "state": run.state,
        "message": info.message[:max_chars],
        "model": info.model,
        "action": info.action,
        "conversation_id": info.conversation_id,
        "durable": info.durable,
        "started_at": info.started_at,
        "ended_at": None if run.end is None else run.end.at,
        "end_message": _end_message(run.end),
        "last_event_id": run.last_event_id,
    }


def _end_message(end: End | None) -> str:
    return end.message if isinstance(end, Cancelled | Failed) else ""
