"""``UsageTotals``: what the answers of each model took since the start, in memory only."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from sgoped.chat.events import UsageTold

MAX_MODELS = 1000
MAX_SAMPLES = 100


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """One model's answers, those that failed or were stopped among them.

    Attributes:
        runs: How many.
        prompt_tokens: As far as its service counted them.
        completion_tokens: Likewise.
        first_token_seconds: Median of the last ``MAX_SAMPLES``; None where no token came.
        tokens_per_second: Likewise.
    """

    runs: int
    prompt_tokens: int
    completion_tokens: int
    first_token_seconds: float | None
    tokens_per_second: float | None


@dataclass(slots=True)
class _Total:
    runs: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    first: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_SAMPLES))
    pace: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_SAMPLES))


class UsageTotals:
    """Sums what each answer told; the model that was silent longest makes room for a new one.

    Attributes:
        since: From when on it counts, in unix seconds.
    """

    def __init__(self) -> None:
        self.since = time.time()
        self._totals: dict[str, _Total] = {}

    def note(self, told: UsageTold) -> None:
        """An answer ended."""
        total = self._totals.pop(told.model, None) or _Total()
        self._totals[told.model] = total
        while len(self._totals) > MAX_MODELS:
            del self._totals[next(iter(self._totals))]
        total.runs += 1
        total.prompt_tokens += told.prompt_tokens or 0
        total.completion_tokens += told.completion_tokens or 0
        if told.first_token_seconds is not None:
            total.first.append(told.first_token_seconds)
        if told.tokens_per_second is not None:
            total.pace.append(told.tokens_per_second)

    def models(self) -> Mapping[str, ModelUsage]:
        """By the models' ids."""
        return {
            model: ModelUsage(
                total.runs,
                total.prompt_tokens,
                total.completion_tokens,
                median(total.first) if total.first else None,
                median(total.pace) if total.pace else None,
            )
            for model, total in self._totals.items()
        }
