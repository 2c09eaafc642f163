"""What must survive, in ``state.db``, and its backups."""

from __future__ import annotations

from sgoped.state.conversation_rows import ConversationRow, MessageRow, MessageState
from sgoped.state.conversations import ConversationRows
from sgoped.state.enrichments import Enrichment, Enrichments, EnrichmentState
from sgoped.state.examination import Condition
from sgoped.state.facts import ServiceRow, State
from sgoped.state.opening import (
    examine_state,
    list_backups,
    open_state,
    recover_state,
    unfinished_copies,
)
from sgoped.state.run_records import LIVE, PageRow, RunChange, RunRecords, RunRow, StoredRun

__all__ = [
    "LIVE",
    "Condition",
    "ConversationRow",
    "ConversationRows",
    "Enrichment",
    "EnrichmentState",
    "Enrichments",
    "MessageRow",
    "MessageState",
    "PageRow",
    "RunChange",
    "RunRecords",
    "RunRow",
    "ServiceRow",
    "State",
    "StoredRun",
    "examine_state",
    "list_backups",
    "open_state",
    "recover_state",
    "unfinished_copies",
]
