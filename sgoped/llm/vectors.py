"""Vectors as services tell them, checked number by number, and made of length 1; pure.

What is not one vector for each text, all of one length, finite and not zero, is refused whole:
a single bad vector would spoil the order of everything that is compared with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sgoped.llm import faults

MAX_DIMENSIONS = 16_384


def read_vectors(told: Any, count: int) -> list[list[float]]:
    """``told`` as ``count`` vectors.

    Raises:
        ServiceError: It is anything else.
    """
    if not isinstance(told, list) or len(told) != count or not count:
        raise faults.fault(faults.BAD_VECTORS)
    vectors = [_vector(each) for each in told]
    if any(len(vector) != len(vectors[0]) for vector in vectors):
        raise faults.fault(faults.BAD_VECTORS)
    return vectors


def read_indexed_vectors(told: Any, count: int) -> list[list[float]]:
    """The vectors of objects with ``embedding`` and, unless they are in order, ``index``.

    Raises:
        ServiceError: It is anything else, or an index is missing or there twice.
    """
    if not isinstance(told, list) or not all(isinstance(each, dict) for each in told):
        raise faults.fault(faults.BAD_VECTORS)
    if any("index" in each for each in told):
        places = [each.get("index") for each in told]
        if not _is_order(places):
            raise faults.fault(faults.BAD_VECTORS)
        told = [
            each for _, each in sorted(zip(places, told, strict=True), key=lambda pair: pair[0])
        ]
    return read_vectors([each.get("embedding") for each in told], count)


def _is_order(places: Sequence[Any]) -> bool:
    whole = all(isinstance(place, int) and not isinstance(place, bool) for place in places)
    return whole and sorted(places) == list(range(len(places)))


def _vector(told: Any) -> list[float]:
    if not isinstance(told, list) or not 0 < len(told) <= MAX_DIMENSIONS:
        raise faults.fault(faults.BAD_VECTORS)
    if not all(type(number) is float or type(number) is int for number in told):
        raise faults.fault(faults.BAD_VECTORS)
    try:
        vector = [float(number) for number in told]
        length = math.hypot(*vector)
    except OverflowError:  # an integer of hundreds of digits
        raise faults.fault(faults.BAD_VECTORS) from None
    if not (math.isfinite(length) and length > 0):
        raise faults.fault(faults.BAD_VECTORS)
    return [number / length for number in vector]
