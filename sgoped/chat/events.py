"""What happens in a run, in the order a client sees it: a closed union of frozen events.

Of an answer: ``Started, (ServiceTold?, ContextTold+)+, Content*, Citations?, UsageTold?, end``, where
the last ``ContextTold`` counts: another one means that the model is asked again with less, or, behind
a ``ServiceTold``, that another model is asked. Of an action: ``ActionStarted, ContextTold?,
ActionCompleted, Content+, UsageTold?, end``, or without the completion when it failed. The end is
exactly one of ``Completed``, ``Cancelled`` and ``Failed``, and last.
Times are unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sgoped.prompts import ContextItem


@dataclass(frozen=True, slots=True)
class Started:
    """An answer is being made by ``model`` (an id; empty when there is none)."""

    model: str
    at: float


@dataclass(frozen=True, slots=True)
class HistoryTold:
    """What became of the earlier messages of the conversation.

    Attributes:
        whole: How many are sent whole.
        compacted: How many are sent as a part of a summary.
        left_out: How many are not sent in any form.
        how: Whether a ``model`` made the summary or it is their first ``sentences``; empty when
            there is none.
    """

    whole: int = 0
    compacted: int = 0
    left_out: int = 0
    how: str = ""


@dataclass(frozen=True, slots=True)
class ContextTold:
    """What goes along with the message, before the model says anything; exactly that is sent.

    Attributes:
        items: What became of each file and upload, in the order given.
        missing: What was referred to and could not be had, one line each, with the reason.
        notes: What else a person should know.
        tokens: About how many tokens the model is sent.
        window_tokens: How many it can hold; 0 where no model is asked.
        at: When.
        history: What became of the earlier messages.
    """

    items: tuple[ContextItem, ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...]
    tokens: int
    window_tokens: int
    at: float
    history: HistoryTold = HistoryTold()


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

    Attributes:
        text: The piece.
        at: When.
        part: Whether it is answer, thought, or one of the two tags around thoughts.
    """

    text: str
    at: float
    part: Literal["answer", "thought", "tag"] = "answer"


@dataclass(frozen=True, slots=True)
class Citation:
    """A place that the answer names.

    Attributes:
        text: As the answer has it, such as ``[notes/plan.md:12-14]``.
        path: The file, relative to the memory folder; empty where none is meant that was sent.
        name: The upload's name or the file's label.
        line_start: First line, from 1; None where the answer names none.
        line_end: Last line.
        resolved: Whether these lines were really sent to the model.
        reason: Why not; empty when they were.
    """

    text: str
    path: str
    name: str
    line_start: int | None
    line_end: int | None
    resolved: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Citations:
    """The places that an answer names, each once, in the order of the answer."""

    citations: tuple[Citation, ...]
    at: float


@dataclass(frozen=True, slots=True)
class UsageTold:
    """What an answer took.

    Attributes:
        model: Which model gave it.
        prompt_tokens: What the service counted; None when it did not tell.
        completion_tokens: Likewise.
        estimated_prompt_tokens: What had been estimated before.
        first_token_seconds: From asking until the first token; None when none came.
        seconds: From asking until the end.
        tokens_per_second: Between the first token and the end; None when it cannot be known.
        at: When.
    """

    model: str
    prompt_tokens: int | None
    completion_tokens: int | None
    estimated_prompt_tokens: int
    first_token_seconds: float | None
    seconds: float
    tokens_per_second: float | None
    at: float


@dataclass(frozen=True, slots=True)
class ServiceTold:
    """What a person should know of the service: another model answers, it is asked again.

    Attributes:
        message: For the person.
        model: The model that is asked now; empty when there is none.
        failed_model: The one that could not answer; empty when none failed.
        at: When.
    """

    message: str
    model: str
    failed_model: str
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
RunEvent = (
    Started
    | ContextTold
    | ServiceTold
    | ActionStarted
    | ActionCompleted
    | Content
    | Citations
    | UsageTold
    | End
)
