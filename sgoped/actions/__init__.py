"""What ``/commands`` do: the Protocol for actions, and the registry that holds them."""

from sgoped.actions.action import (
    Action,
    ActionRequest,
    ActionResult,
    Asks,
    Saved,
    Source,
    Tools,
)
from sgoped.actions.later import Recipe, enriched, is_enriched, recipe_from
from sgoped.actions.registry import ActionRegistry, open_actions

__all__ = [
    "Action",
    "ActionRegistry",
    "ActionRequest",
    "ActionResult",
    "Asks",
    "Recipe",
    "Saved",
    "Source",
    "Tools",
    "enriched",
    "is_enriched",
    "open_actions",
    "recipe_from",
]
