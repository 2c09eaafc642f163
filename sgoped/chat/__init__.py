"""Answers being made: runs, their events, what goes along with a message, and actions in a chat."""

from sgoped.chat.chat import Chat, ChatRequest, execute_action, open_chat
from sgoped.chat.context import Attachment
from sgoped.chat.enriching import Enricher, open_enricher
from sgoped.chat.events import (
    ActionCompleted,
    ActionStarted,
    Cancelled,
    Citation,
    Citations,
    Completed,
    Content,
    ContextTold,
    End,
    Failed,
    RunEvent,
    ServiceTold,
    Started,
    UsageTold,
)
from sgoped.chat.naming import name_file
from sgoped.chat.run import Run, RunInfo
from sgoped.chat.usage import ModelUsage, UsageTotals

__all__ = [
    "ActionCompleted",
    "ActionStarted",
    "Attachment",
    "Cancelled",
    "Chat",
    "ChatRequest",
    "Citation",
    "Citations",
    "Completed",
    "Content",
    "ContextTold",
    "End",
    "Enricher",
    "Failed",
    "ModelUsage",
    "Run",
    "RunEvent",
    "RunInfo",
    "ServiceTold",
    "Started",
    "UsageTold",
    "UsageTotals",
    "execute_action",
    "name_file",
    "open_chat",
    "open_enricher",
]
