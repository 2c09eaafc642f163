"""``Relay``: a model's stream into a run's content, with thinking marked."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from sgoped.chat.events import Content
from sgoped.chat.pace import Pace
from sgoped.chat.run import Run
from sgoped.chat.usage import UsageTotals
from sgoped.errors import ServiceError
from sgoped.llm import Finished, ReasoningDelta, StreamEvent, TextDelta, Usage

THINK = "<think>"
END_THINK = "</think>"


class Relay:
    """Passes one stream on; what it reached can be asked even when the stream failed.

    Attributes:
        said: Whether the model wrote anything but thoughts.
        began: Whether the model wrote anything at all.
        finished: Its last word, ``None`` until then.
        usage: What the service counted, ``None`` until it told.
        pace: When it was asked, and when it said what.
        asked: Whether it was asked at all.
        estimated_tokens: About how many tokens it is sent; for who asks to fill in.
    """

    def __init__(self, run: Run) -> None:
        self.said = False
        self.began = False
        self.finished: Finished | None = None
        self.usage: Usage | None = None
        self.pace = Pace()
        self.asked = False
        self.estimated_tokens = 0
        self._run = run
        self._thinking = False

    async def play(self, stream: AsyncGenerator[Sequence[StreamEvent], None]) -> None:
        """Pass on everything until the stream ends; then, or when it fails, it is closed.

        Pieces that one read of the upstream brought together become one content event; nothing
        waits for more. Between reads the run's followers are waited for where they are behind.

        Raises:
            ServiceError: The service failed, or ended without finishing.
        """
        self.pace = Pace()
        self.asked = True
        try:
            async with aclosing(stream) as batches:
                async for batch in batches:
                    self._pass_on(batch)
                    self._run.hand_over()
                    await self._run.room()
        finally:
            self._set_thinking(thinking=False)
            self._run.hand_over()
        if self.finished is None:
            raise ServiceError(
                "The service ended its answer without finishing it: what is shown may be incomplete",
                code="service_ended_early",
            )

    def tell_usage(self, model: str, totals: UsageTotals) -> None:
        """Tell what was taken up to now, of an answer that failed or was stopped as well."""
        if self.asked:
            told = self.pace.told(model, self.estimated_tokens, self.usage)
            self._run.add(told)
            totals.note(told)

    def _pass_on(self, batch: Sequence[StreamEvent]) -> None:
        pieces: list[str] = []
        for event in batch:
            if isinstance(event, TextDelta | ReasoningDelta):
                thinking = isinstance(event, ReasoningDelta)
                if thinking is not self._thinking:
                    self._say(pieces)
                    self._set_thinking(thinking=thinking)
                pieces.append(event.text)
            elif isinstance(event, Finished):
                self.finished = event
            else:
                self.usage = event
        self._say(pieces)

    def _say(self, pieces: list[str]) -> None:
        text = "".join(pieces)
        pieces.clear()
        if text:
            if not self.began:
                self.began = True
                self.pace.note_first()
            self.said = self.said or not self._thinking
            self._run.push(Content(text, time.time(), "thought" if self._thinking else "answer"))

    def _set_thinking(self, *, thinking: bool) -> None:
        if thinking is not self._thinking:
            self._thinking = thinking
            self._run.push(Content(THINK if thinking else END_THINK, time.time(), "tag"))
