"""What happens in a run, in the order a client sees it: a closed union of frozen events.

Of an answer: ``Started, ContextTold?, Content*, end``. Of an action: ``ActionStarted,
ContextTold?, ActionCompleted, Content+, end``, or without the completion when it failed. The end
is exactly one of ``Completed``, ``Cancelled`` and ``Failed``, and last. Times are unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sgoped.prompts import ContextItem


@dataclass(frozen=True, slots=True)
class Started:
    """An answer is being made by ``model`` (an id; empty when there is none)."""

    model: str
    at: float


@dataclass(frozen=True, slots=True)
class ContextTold:
    """What goes along with the message, before the model says anything.

    Attributes:
        items: What became of each file and upload, in the order given.
        missing: What was referred to and could not be had, one line each, with the reason.
        notes: What else a person should know.
        tokens: About how many tokens the model is sent.
        window_tokens: How many it can hold.
        at: When.
    """

    items: tuple[ContextItem, ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...]
    tokens: int
    window_tokens: int
    at: float


@dataclass(frozen=True, slots=True)
class ActionStarted:
    """The action of that name is being done."""

    action: str
    at: float


@dataclass(frozen=True, slots=True)
class ActionCompleted:
    """The action is done; ``result`` is its data, and words for the person follow."""

    action: str
    result: dict[str, Any]
    at: float


@dataclass(frozen=True, slots=True)
class Content:
    """The next piece of the answer, never empty.

    Thinking stands between two events whose texts are exactly ``<think>`` and ``</think>``.
    """

    text: str
    at: float


@dataclass(frozen=True, slots=True)
class Completed:
    """The answer is whole; ``reason`` is the model's own (``length``: its limit was reached)."""

    at: float
    reason: str = "stop"


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Somebody ended the run; what was said so far stands."""

    message: str
    at: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The run cannot go on; what was said so far stands."""

    message: str
    at: float


End = Completed | Cancelled | Failed
RunEvent = Started | ContextTold | ActionStarted | ActionCompleted | Content | End
