"""Compares what the daemon sends with the types that the document shows."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter


def check(kind: Any, answer: Any) -> None:
    """Raise unless ``answer`` has exactly the shape of ``kind``, one of the replies' types."""
    TypeAdapter(kind).validate_python(answer, strict=True)
    if isinstance(kind, type) and hasattr(kind, "__annotations__"):
        unknown = set(answer) - set(kind.__annotations__)
        assert not unknown, f"undocumented fields: {unknown}"
