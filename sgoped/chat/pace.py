"""``Pace``: how long a model took until its first token, and how fast it wrote after that."""

from __future__ import annotations

import time

from sgoped.chat.events import UsageTold
from sgoped.llm import Usage


class Pace:
    """A clock that begins when the model is asked."""

    def __init__(self) -> None:
        self._asked_at = time.monotonic()
        self._first_at: float | None = None

    def note_first(self) -> None:
        """The first token is here."""
        self._first_at = time.monotonic()

    def told(self, model: str, estimated_prompt_tokens: int, usage: Usage | None) -> UsageTold:
        """What the answer took up to now."""
        now = time.monotonic()
        completion = usage.completion_tokens if usage else None
        writing = 0.0 if self._first_at is None else now - self._first_at
        return UsageTold(
            model=model,
            prompt_tokens=usage.prompt_tokens if usage else None,
            completion_tokens=completion,
            estimated_prompt_tokens=estimated_prompt_tokens,
            first_token_seconds=None if self._first_at is None else self._first_at - self._asked_at,
            seconds=now - self._asked_at,
            tokens_per_second=completion / writing if completion and writing else None,
            at=time.time(),
        )
