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


def framed(events: Iterable[tuple[int, RunEvent]], *, typed: bool) -> list[Framed]:
    """Numbered events as they are sent; those that this client does not get are left out."""
    shown = ((number, event_json(event, typed=typed)) for number, event in events)
    return [Framed(data, number) for number, data in shown if data is not None]


def event_json(event: RunEvent, *, typed: bool) -> dict[str, Any] | None:
    """One event of a run.

    Args:
        event: What happened.
        typed: Whether the client asked for typed events. Without, there is nothing but what the
            existing front end knows, thinking stands between tags, and that another model answers
            is a line of content; with, thinking arrives as ``thinking`` events, and context,
            usage, citations and services are told.
    """
    match event:
        case Content():
            return _content_json(event, typed=typed)
        case Started(model=model, at=at):
            return {"type": "start", "model": model, "timestamp": at}
        case ActionStarted(action=action, at=at):
            return {"type": "action_start", "action": action, "timestamp": at}
        case ActionCompleted(action=action, result=result, at=at):
            return {"type": "action_complete", "action": action, "result": result, "timestamp": at}
        case ServiceTold() if not typed:
            return _other_model_json(event)
        case ContextTold() | Citations() | UsageTold() | ServiceTold():
            return _told_json(event) if typed else None
        case Completed() | Cancelled() | Failed():
            return _end_json(event)


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


def _told_json(event: ContextTold | Citations | UsageTold | ServiceTold) -> dict[str, Any]:
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
