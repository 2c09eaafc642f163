"""Order statistics of samples, and how sure a ratio is; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

Pair = tuple[float, float]


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


def ratio_interval(
    strata: Sequence[Sequence[Pair]], seed: int, resamples: int = 2000
) -> tuple[float, float]:
    """Between which the ratio of two sums of paired samples lies with 95 % confidence.

    A percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13):
    pairs stay together, and each stratum keeps its size.

    Args:
        strata: Pairs of ours and the baseline's, by kind.
        seed: Of the resampling.
        resamples: How often to draw.

    Raises:
        ValueError: There is no sample.
    """
    if not any(strata):
        raise ValueError("no samples were taken")
    random = Random(seed)
    ratios = []
    for _ in range(resamples):
        drawn = [pair for pairs in strata if pairs for pair in random.choices(pairs, k=len(pairs))]
        ours, baseline = (sum(side) for side in zip(*drawn, strict=True))
        ratios.append(ours / baseline if baseline else math.inf)
    return percentile(ratios, 0.025), percentile(ratios, 0.975)
