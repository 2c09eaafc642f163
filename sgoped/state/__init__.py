"""What must survive: services, chosen values and use counts, in ``state.db``, and its backups."""

from __future__ import annotations

from sgoped.state.facts import ServiceRow, State
from sgoped.state.opening import STEPS, list_backups, open_state, recover_state

__all__ = ["STEPS", "ServiceRow", "State", "list_backups", "open_state", "recover_state"]
