"""The wire's answers about kept conversations, as types.

See ``replies``, which has all others.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict  # typing's own cannot be inspected before Python 3.12

from sgoped.web.replies import UnixSeconds


class ConversationReply(TypedDict):
    """A kept conversation, without its messages."""

    id: Annotated[str, Field(description="What a chat request sends as `conversation_id`.")]
    title: str
    created_at: UnixSeconds
    updated_at: Annotated[float, Field(description="When something was last said in it.")]
    forked_from: Annotated[str | None, Field(description="The conversation it was forked from.")]
    forked_at: Annotated[int | None, Field(description="The message it was forked at.")]
    message_count: int


class ConversationsReply(TypedDict):
    """Conversations, what changed last first."""

    conversations: list[ConversationReply]
    total: Annotated[int, Field(description="How many there are on all pages.")]
    next: Annotated[str | None, Field(description="The next page's `after`; null on the last.")]


class MessageReply(TypedDict):
    """A message of a conversation."""

    number: Annotated[int, Field(description="From 1; what `fork` takes.")]
    role: Literal["user", "assistant"]
    text: Annotated[str, Field(description="Without thinking; empty while it is being made.")]
    at: UnixSeconds
    state: Annotated[
        Literal["live", "complete", "cancelled", "failed", "interrupted"],
        Field(description="`live`: still being made; `interrupted`: the daemon ended."),
    ]
    paths: Annotated[list[str], Field(description="The memory files it referred to.")]
    uploads: Annotated[list[str], Field(description="The names of what was sent along.")]
    model: Annotated[str, Field(description="The model's id; empty where there was none.")]
    run_id: str


class ConversationMessagesReply(ConversationReply):
    """A conversation with messages, oldest first."""

    messages: list[MessageReply]
    next: Annotated[int | None, Field(description="The next page's `after`; null on the last.")]


class DeletedConversationReply(TypedDict):
    """A conversation that is gone for good."""

    success: Literal[True]
    id: str
