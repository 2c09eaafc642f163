"""Texts as they are stored, and as they are searched."""

from __future__ import annotations

import unicodedata


def storable(text: str) -> str:
    """``text`` without lone surrogates, which SQLite refuses."""
    return text.encode("utf-8", "replace").decode("utf-8")


def folded(text: str) -> str:
    """``text`` without the differences of case and accents."""
    text = storable(text)
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def searchable(text: str) -> str | None:
    """What ``folded`` makes of ``text``, or ``None`` where SQLite's ``lower`` makes the same."""
    return None if text.isascii() else folded(text)
