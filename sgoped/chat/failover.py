"""Which model answers where another one cannot: only those that the person listed for it.

Without ``fallback_models`` nobody stands in. A remote model is listed by its id: a bare name means
a local one only, since whose it is changes with the services that are there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from sgoped.chat.events import ServiceTold
from sgoped.config import Settings
from sgoped.errors import NotFound, ServiceError
from sgoped.llm import ModelChoice, Registry

_ABOUT_THE_REQUEST = frozenset({"prompt_too_long", "service_refused"})


def may_fail_over(failure: ServiceError) -> bool:
    """Whether another model may do better: the request itself is not what is wrong."""
    return failure.code not in _ABOUT_THE_REQUEST


def stand_ins(
    registry: Registry, settings: Settings, chosen: ModelChoice | None
) -> Iterator[ModelChoice]:
    """The listed models that are usable when their turn comes, each once."""
    asked = {"" if chosen is None else chosen.id}
    for name in settings.fallback_models:
        usable = {model.id for model in registry.models() if model.available}
        try:
            choice = registry.find_model(name)
        except NotFound:
            continue
        if choice is None or not (choice.is_local or choice.id == name):
            continue
        if choice.id in usable - asked:
            asked.add(choice.id)
            yield choice


def other_model_told(failed_model: str, reason: str, choice: ModelChoice) -> ServiceTold:
    """Says that ``choice`` answers, and why."""
    failed = f"{failed_model} cannot answer" if failed_model else "No model is available"
    why = f" ({reason})" if reason else ""
    message = f"{failed}{why}; {choice.id} answers instead."
    return ServiceTold(message, choice.id, failed_model, time.time())
