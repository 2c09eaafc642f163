"""Answers being made: runs, their events, what goes along with a message, and actions in a chat."""

from sgoped.chat.chat import Chat, ChatRequest, execute_action, new_run_id, open_chat
from sgoped.chat.context import Attachment
from sgoped.chat.conversations import (
    MAX_CONVERSATION_ID_CHARS,
    MAX_TITLE_CHARS,
    Conversations,
)
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
    HistoryTold,
    RunEvent,
    ServiceTold,
    Started,
    UsageTold,
)
from sgoped.chat.naming import name_file
from sgoped.chat.run import Run, RunInfo
from sgoped.chat.stored import RunSummary
from sgoped.chat.usage import ModelUsage, UsageTotals

__all__ = [
    "MAX_CONVERSATION_ID_CHARS",
    "MAX_TITLE_CHARS",
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
    "Conversations",
    "End",
    "Enricher",
    "Failed",
    "HistoryTold",
    "ModelUsage",
    "Run",
    "RunEvent",
    "RunInfo",
    "RunSummary",
    "ServiceTold",
    "Started",
    "UsageTold",
    "UsageTotals",
    "execute_action",
    "name_file",
    "new_run_id",
    "open_chat",
    "open_enricher",
]
