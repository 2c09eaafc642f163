"""What ``/commands`` do: the Protocol for actions, and the registry that holds them."""

from sgoped.actions.action import Action, ActionRequest, ActionResult, Saved, Source, Tools
from sgoped.actions.registry import ActionRegistry, open_actions

__all__ = [
    "Action",
    "ActionRegistry",
    "ActionRequest",
    "ActionResult",
    "Saved",
    "Source",
    "Tools",
    "open_actions",
]
