"""Order statistics of samples; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence


def median(samples: Sequence[float]) -> float:
    """The middle sample, or the mean of the two middle ones.

    Raises:
        ValueError: There is no sample.
    """
    if not samples:
        raise ValueError("no samples were taken")
    ordered = sorted(samples)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that ``share`` (0 to 1) of all do not exceed (nearest rank).

    Raises:
        ValueError: There is no sample.
    """
    if not samples:
        raise ValueError("no samples were taken")
    rank = max(1, math.ceil(share * len(samples)))
    return sorted(samples)[rank - 1]
