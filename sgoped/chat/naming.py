"""Names for files that a person is about to save: from a model in time, else from the content."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from sgoped.errors import NotFound, ServiceError
from sgoped.llm import ModelChoice, Registry
from sgoped.prompts import file_name_messages, name_from_answer, name_from_content

NAMING_SECONDS = 20.0

_MAX_MODELS = 3
_MAX_TEXTS = 50
_MAX_CHARS = 6000


async def name_file(previews: Any, registry: Registry, seconds: float = NAMING_SECONDS) -> str:
    """A short ``snake_case`` name without extension for what ``previews`` shows.

    Args:
        previews: A text, a list or an object; every text within counts, in order.
        registry: The default model is asked, then up to two others that are usable.
        seconds: For all of them together; then the content names itself.
    """
    text = "\n\n".join(_texts(previews))[:_MAX_CHARS]
    if not text.strip():
        return name_from_content("")
    name = ""
    try:
        async with asyncio.timeout(seconds):
            name = await _ask(text, registry)
    except TimeoutError:
        pass
    return name or name_from_content(text)


async def _ask(text: str, registry: Registry) -> str:
    for choice in _choices(registry):
        try:
            name = name_from_answer(await choice.complete(file_name_messages(text)))
        except ServiceError:
            continue
        if name:
            return name
    return ""


def _choices(registry: Registry) -> Iterator[ModelChoice]:
    """The default model, then others that are usable, one of each service."""
    first = registry.find_model("")
    if first is None:
        return
    yield first
    asked = {first.service_id}
    for model in registry.models():
        if len(asked) < _MAX_MODELS and model.available and model.service_id not in asked:
            asked.add(model.service_id)
            with suppress(NotFound):  # its service may have been removed meanwhile
                choice = registry.find_model(model.id)
                if choice is not None:
                    yield choice


def _texts(previews: Any) -> Iterator[str]:
    """Every text in a JSON value, in order, up to a bound."""
    waiting = [previews]
    for _ in range(20 * _MAX_TEXTS):
        if not waiting:
            return
        value = waiting.pop()
        if isinstance(value, str):
            yield value[:_MAX_CHARS]
        elif isinstance(value, list):
            waiting.extend(reversed(value[:_MAX_TEXTS]))
        elif isinstance(value, dict):
            waiting.extend(reversed(list(value.values())[:_MAX_TEXTS]))
