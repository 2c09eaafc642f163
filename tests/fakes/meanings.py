"""``meaning_of``: vectors that are near for texts of like meaning, the same every time.

Words of one line of ``SYNONYMS`` count as the same word; each word has a direction of its own,
drawn by its hash. No real model, but one that finds a text without a common word.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

DIMENSIONS = 96
SYNONYMS = (
    "car automobile vehicle motor",
    "doctor physician surgeon clinic",
    "money cash budget price cost",
    "ship boat vessel harbour",
)
_CONCEPTS = {word: line.split()[0] for line in SYNONYMS for word in line.split()}


def meaning_of(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """The sum of the directions of a text's words."""
    vector = [1e-3] * dimensions
    for word in re.findall(r"\w+", text.lower()):
        for place, part in enumerate(_direction(_CONCEPTS.get(word, word), dimensions)):
            vector[place] += part
    return vector


def in_dimensions(dimensions: int) -> Callable[[str], list[float]]:
    """The same in another number of dimensions."""
    return lambda text: meaning_of(text, dimensions)


def _direction(word: str, dimensions: int) -> list[float]:
    digest = hashlib.shake_128(word.encode()).digest(dimensions)
    return [(byte - 127.5) / 127.5 for byte in digest]
