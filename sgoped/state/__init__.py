"""What must survive, in ``state.db``, and its backups."""

from __future__ import annotations

from sgoped.state.conversation_rows import ConversationRow, MessageRow, MessageState
from sgoped.state.conversations import ConversationRows
from sgoped.state.examination import Condition
from sgoped.state.facts import ServiceRow, State
from sgoped.state.opening import (
    examine_state,
    list_backups,
    open_state,
    recover_state,
    unfinished_copies,
)

__all__ = [
    "Condition",
    "ConversationRow",
    "ConversationRows",
    "MessageRow",
    "MessageState",
    "ServiceRow",
    "State",
    "examine_state",
    "list_backups",
    "open_state",
    "recover_state",
    "unfinished_copies",
]
