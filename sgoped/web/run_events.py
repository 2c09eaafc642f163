"""A run's events as JSON: those of the front end, and more for clients that ask for typed ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sgoped.chat import (
    ActionCompleted,
    ActionStarted,
    Cancelled,
    Citations,
    Completed,
    Content,
    ContextTold,
    Failed,
    RunEvent,
    ServiceTold,
    Started,
    UsageTold,
)
from sgoped.web.sse import Framed

_TYPE_NAMES = {
    ContextTold: "context",
    Citations: "citations",
    UsageTold: "usage",
    ServiceTold: "service",
}


def framed(
    events: Iterable[tuple[int, RunEvent]], *, typed: bool, run_id: str = ""
) -> list[Framed]:
    """Numbered events as they are sent; those that this client does not get are left out."""
    shown = ((number, event_json(event, typed=typed, run_id=run_id)) for number, event in events)
    return [Framed(data, number) for number, data in shown if data is not None]


def event_json(event: RunEvent, *, typed: bool, run_id: str = "") -> dict[str, Any] | None:
    """One event of a run.

    Args:
        event: What happened.
        typed: Whether the client asked for typed events. Without, there is nothing but what the
            existing front end knows, thinking stands between tags, and that another model answers
            is a line of content; with, thinking arrives as ``thinking`` events, context, usage,
            citations and services are told, and the start tells the run's id.
        run_id: Of the run.
    """
    match event:
        case Content():
            return _content_json(event, typed=typed)
        case Started() | ActionStarted():
            return _start_json(event) | ({"run_id": run_id} if typed and run_id else {})
        case ActionCompleted(action=action, result=result, at=at):
            return {"type": "action_complete", "action": action, "result": result, "timestamp": at}
        case ServiceTold() if not typed:
            return _other_model_json(event)
        case ContextTold() | Citations() | UsageTold() | ServiceTold():
            return told_json(event) if typed else None
        case Completed() | Cancelled() | Failed():
            return _end_json(event)


def _start_json(event: Started | ActionStarted) -> dict[str, Any]:
    if isinstance(event, Started):
        return {"type": "start", "model": event.model, "timestamp": event.at}
    return {"type": "action_start", "action": event.action, "timestamp": event.at}


def _content_json(event: Content, *, typed: bool) -> dict[str, Any] | None:
    if typed and event.part == "tag":
        return None
    kind = "thinking" if typed and event.part == "thought" else "content"
    return {"type": kind, "content": event.text, "timestamp": event.at}


def _other_model_json(event: ServiceTold) -> dict[str, Any] | None:
    """That another model answers must not go unseen: a line before its answer, no part of it."""
    if not event.model:
        return None
    return {"type": "content", "content": f"{event.message}\n\n", "timestamp": event.at}


def told_json(event: ContextTold | Citations | UsageTold | ServiceTold) -> dict[str, Any]:
    """What is told beside the answer, as clients of typed events get it."""
    told = asdict(event)
    return {"type": _TYPE_NAMES[type(event)], "timestamp": told.pop("at"), **told}


def _end_json(event: Completed | Cancelled | Failed) -> dict[str, Any]:
    match event:
        case Completed(at=at, reason=reason):
            return {"type": "complete", "timestamp": at, "reason": reason}
        case Cancelled(message=message, at=at):
            return {"type": "cancelled", "message": message, "timestamp": at}
        case Failed(message=message, at=at):
            return {"type": "error", "message": message, "timestamp": at}
