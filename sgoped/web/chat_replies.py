"""What chats and runs answer, as types; see ``replies``."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # typing's own cannot be inspected before Python 3.12

from sgoped.web.replies import UnixSeconds


class StopReply(TypedDict):
    """Whether there was something to stop."""

    success: Literal[True]
    stopped: bool
    message: str


class LiveStream(TypedDict):
    """An answer that is being made."""

    run_id: str
    stream_id: str
    model: str
    action: str
    started_at: UnixSeconds


class ChatStatusReply(TypedDict):
    """All answers that are being made."""

    active_streams: int
    streams: list[LiveStream]


class RunReply(TypedDict):
    """An answer that is being made, or was."""

    id: str
    stream_id: str
    state: Annotated[
        str, Field(description="`live`, `completed`, `cancelled`, `failed` or `interrupted`.")
    ]
    message: Annotated[str, Field(description="What was asked; of a long text the beginning.")]
    model: str
    action: str
    conversation_id: str
    durable: bool
    started_at: UnixSeconds
    ended_at: UnixSeconds | None
    end_message: Annotated[str, Field(description="Why it ended so; empty when it is whole.")]
    last_event_id: int


class RunsReply(TypedDict):
    """Answers, the newest first."""

    runs: list[RunReply]


class WholeRunReply(RunReply):
    """An answer with what was told beside it; `null` for what was not."""

    text: Annotated[str, Field(description="The answer up to now, without any thinking.")]
    context: dict[str, Any] | None
    citations: dict[str, Any] | None
    usage: dict[str, Any] | None


class ContextItemReply(TypedDict):
    """What a model is sent of one file or upload: `lines`, `cut_lines`, `outline_lines`."""

    name: str
    path: str
    origin: Literal["memory", "upload"]
    lines: list[tuple[int, int]]
    total_lines: int
    tokens: int
    why: Literal["referenced", "attached", "retrieved", "history"]
    omitted: str
    chosen: str
    cut_lines: list[tuple[int, int, int]]
    outline_lines: list[int]


class HistoryReply(TypedDict):
    """How many earlier messages a model is sent in which form."""

    whole: int
    compacted: int
    left_out: int
    how: Literal["", "model", "sentences"]


class CitationReply(TypedDict):
    """A place that an answer names; `resolved` when the model was sent it."""

    text: str
    path: str
    name: str
    line_start: int | None
    line_end: int | None
    resolved: bool
    reason: str


class StreamEventReply(TypedDict):
    """One event of the stream; see `type`. Exactly one of complete, cancelled, error is last."""

    type: Annotated[
        str,
        Field(
            examples=[
                "start",
                "action_start",
                "action_complete",
                "context",
                "service",
                "thinking",
                "content",
                "citations",
                "usage",
                "complete",
                "cancelled",
                "error",
            ]
        ),
    ]
    timestamp: NotRequired[UnixSeconds]
    model: NotRequired[str]
    action: NotRequired[str]
    run_id: NotRequired[str]
    count: NotRequired[int]
    result: NotRequired[dict[str, Any]]
    items: NotRequired[list[ContextItemReply]]
    missing: NotRequired[list[str]]
    notes: NotRequired[list[str]]
    tokens: NotRequired[int]
    window_tokens: NotRequired[int]
    history: NotRequired[HistoryReply]
    citations: NotRequired[list[CitationReply]]
    content: NotRequired[str]
    message: NotRequired[str]
    reason: NotRequired[str]
