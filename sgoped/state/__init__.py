"""What must survive: services, chosen values and use counts, in ``state.db``, and its backups."""

from __future__ import annotations

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

__all__ = [
    "Condition",
    "Enrichment",
    "EnrichmentState",
    "Enrichments",
    "ServiceRow",
    "State",
    "examine_state",
    "list_backups",
    "open_state",
    "recover_state",
    "unfinished_copies",
]
