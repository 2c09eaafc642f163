"""``Learned``: what asking models showed of them: how they count tokens, how much they take.

Kept in one value of ``state.db``, which is no reason for a backup: all of it is learned again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from sgoped.errors import SgopedError
from sgoped.state import State

LEARNED_KEY = "learned"
MAX_MODELS = 500
MIN_CORRECTION = 0.5
MAX_CORRECTION = 2.0
WINDOW_SECONDS = 7 * 86_400.0

_MIN_ESTIMATE = 200
_WEIGHT = 0.3
_WORTH_KEEPING = 0.02

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What was learned of one model.

    Attributes:
        correction: How many tokens it counts for each estimated one.
        window: The most tokens that its service said it takes; None when it never refused.
        window_at: When it said so, in unix seconds.
    """

    correction: float = 1.0
    window: int | None = None
    window_at: float = 0.0


class Learned:
    """Facts by a model's id. Loop thread only.

    Args:
        state: Where they are kept; None: only in memory.
        tasks: Where they are written.
        clock: Unix seconds.
    """

    def __init__(
        self,
        state: State | None = None,
        tasks: asyncio.TaskGroup | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._state = state
        self._tasks = tasks
        self._clock = clock
        self._facts: dict[str, ModelFacts] = {}
        self._writing = False
        self._dirty = False

    async def load(self) -> None:
        """Take up what was kept; what cannot be read is learned again."""
        if self._state is None:
            return
        try:
            stored = json.loads(await self._state.get_value(LEARNED_KEY) or "{}")
            self._facts = {str(model): _restored(facts) for model, facts in stored.items()}
        except (ValueError, TypeError, AttributeError, SgopedError):
            log.warning("what was learned of models cannot be read; it is learned again")

    def correction(self, model_id: str) -> float:
        """How many tokens the model counts for each that ``estimate_tokens`` estimates."""
        return self._of(model_id).correction

    def window(self, model_id: str) -> int | None:
        """What its service said it takes, unless that is long ago: it may take more by now."""
        facts = self._of(model_id)
        return facts.window if self._clock() - facts.window_at < WINDOW_SECONDS else None

    def note_count(self, model_id: str, estimated: int, counted: int | None) -> None:
        """A prompt of ``estimated`` tokens was counted by the service.

        More than expected counts at once, since too long a prompt fails; less only by and by.
        Short prompts tell more of the service's own additions than of its count, and services
        that leave out what they had cached count far too little: neither is learned from.
        """
        if counted is None or estimated < _MIN_ESTIMATE or counted < estimated * MIN_CORRECTION:
            return
        facts = self._of(model_id)
        ratio = min(MAX_CORRECTION, counted / estimated)
        weight = 1.0 if ratio > facts.correction else _WEIGHT
        correction = facts.correction + weight * (ratio - facts.correction)
        self._set(model_id, replace(facts, correction=correction))

    def note_window(self, model_id: str, tokens: int) -> None:
        """Its service refused a prompt and said that it takes ``tokens``."""
        facts = replace(self._of(model_id), window=tokens, window_at=self._clock())
        self._set(model_id, facts)

    def forget(self, service_id: str) -> None:
        """Another endpoint answers under that id now, or none."""
        for model_id in list(self._facts):
            if model_id.startswith(f"{service_id}/"):
                del self._facts[model_id]
                self._write_soon()

    def _of(self, model_id: str) -> ModelFacts:
        return self._facts.get(model_id, ModelFacts())

    def _set(self, model_id: str, facts: ModelFacts) -> None:
        old = self._facts.pop(model_id, None) or ModelFacts()
        self._facts[model_id] = facts
        while len(self._facts) > MAX_MODELS:
            del self._facts[next(iter(self._facts))]
        shift = abs(facts.correction - old.correction)
        if shift > _WORTH_KEEPING or facts.window_at != old.window_at:
            self._write_soon()

    def _write_soon(self) -> None:
        self._dirty = True
        if self._state is not None and self._tasks is not None and not self._writing:
            self._writing = True
            self._tasks.create_task(self._write(self._state), name="what was learned of models")

    async def _write(self, state: State) -> None:
        try:
            while self._dirty:
                self._dirty = False
                facts = {model: asdict(facts) for model, facts in self._facts.items()}
                await state.set_value(LEARNED_KEY, json.dumps(facts), worth_backup=False)
        except SgopedError as error:
            log.warning("what was learned of models could not be kept: %s", error.code)
        finally:
            self._writing = False


def _restored(stored: dict[str, Any]) -> ModelFacts:
    correction = float(stored["correction"])
    window = stored["window"]
    return ModelFacts(
        min(MAX_CORRECTION, max(MIN_CORRECTION, correction)),
        window if isinstance(window, int) and window > 0 else None,
        float(stored["window_at"]),
    )
