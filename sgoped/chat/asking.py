"""Asking: history, files and message made into a prompt, told, sent; the answer's citations.

What goes along is told before the model says anything. A service that refuses the prompt as too
long, before its first byte, is asked once more with what it said it takes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from sgoped.chat.compaction import fit_history
from sgoped.chat.context import Gathered, run_in_thread
from sgoped.chat.events import Citation, Citations, ContextTold, HistoryTold
from sgoped.chat.relay import Relay
from sgoped.chat.run import Run
from sgoped.errors import ServiceError
from sgoped.llm import ModelChoice
from sgoped.prompts import (
    FoundCitation,
    History,
    Prompt,
    Window,
    assemble,
    find_citations,
    never,
    room_for_history,
)

if TYPE_CHECKING:
    from sgoped.chat.answering import Desk, Question

TOO_LONG = "prompt_too_long"
INLINE_CHARS = 16_384


async def ask(
    run: Run,
    relay: Relay,
    *,
    choice: ModelChoice,
    desk: Desk,
    question: Question,
    gathered: Gathered,
) -> None:
    """Ask a model into ``run``: context, its answer and citations are told, in this order.

    Raises:
        ServiceError: The model failed; what it had said is told, and its citations.
    """
    asking = _Asking(run, relay, choice=choice, desk=desk, question=question, gathered=gathered)
    try:
        await asking.play()
    finally:
        asking.learn_count()
        await asking.tell_citations()


class _Asking:
    """One model being asked one question."""

    def __init__(
        self,
        run: Run,
        relay: Relay,
        *,
        choice: ModelChoice,
        desk: Desk,
        question: Question,
        gathered: Gathered,
    ) -> None:
        self._run = run
        self._relay = relay
        self._choice = choice
        self._desk = desk
        self._question = question
        self._gathered = gathered
        self._prompt: Prompt | None = None
        self._unavailable = (*gathered.missing, *gathered.unknown)

    async def play(self) -> None:
        """Send the prompt, a second time where it was refused as too long."""
        window_tokens = await self._choice.context_tokens()
        try:
            await self._send(window_tokens, window_tokens)
        except ServiceError as refusal:
            prompt = self._prompt
            if refusal.code != TOO_LONG or self._relay.began or prompt is None:
                raise
            again = self._learn(refusal, window_tokens, prompt)
            await self._send(
                again, refusal.limit_tokens or window_tokens, _refused(refusal, prompt)
            )

    def _learn(self, refusal: ServiceError, window_tokens: int, prompt: Prompt) -> int:
        """What to remember of a refusal; returns the window to assemble within again."""
        self._choice.note_count(prompt.estimate, refusal.prompt_tokens)
        limit = refusal.limit_tokens
        if limit is not None:
            self._choice.note_limit(limit)
            counts_more = self._choice.correction * prompt.estimate > prompt.tokens
            if limit < window_tokens or counts_more:
                return limit
        return min(window_tokens, prompt.tokens) // 2

    async def _send(self, window_tokens: int, reserved_tokens: int, note: str = "") -> None:
        """Assemble within a window, tell that, and relay the answer.

        Raises:
            ServiceError: The model failed.
        """
        window = Window(window_tokens, self._choice.correction)
        history, prompt = await self._assembled(window)
        self._prompt = prompt
        told = ContextTold(
            items=prompt.items,
            missing=self._unavailable,
            notes=(*filter(None, (note,)), *self._gathered.notes, *prompt.notes),
            tokens=prompt.tokens,
            window_tokens=window_tokens,
            at=time.time(),
            history=HistoryTold(
                len(history.turns), history.compacted, history.left_out, history.how
            ),
        )
        self._run.add(told)
        self._relay.estimated_tokens = prompt.tokens
        stream = self._choice.stream(prompt.messages, context_tokens=reserved_tokens)
        await self._relay.play(stream)

    async def _assembled(self, window: Window) -> tuple[History, Prompt]:
        message, sources = self._question.message, self._gathered.sources
        history = History()
        if self._question.history:
            room = await run_in_thread(
                lambda _: room_for_history(message, sources, self._unavailable, window)
            )
            turns, summaries = self._question.history, self._desk.summaries
            owner = self._run.info.conversation_id
            history = await fit_history(turns, room, self._choice, summaries, conversation_id=owner)

        def work(should_stop: Callable[[], bool]) -> Prompt:
            return assemble(
                message,
                sources,
                window=window,
                missing=self._unavailable,
                history=history,
                should_stop=should_stop,
            )

        said = len(message) + sum(len(turn.text) for turn in history.turns)
        if not sources and said <= INLINE_CHARS:  # a thread would take longer than the work
            return history, work(never)
        prompt = await run_in_thread(work)
        return history, prompt

    async def tell_citations(self) -> None:
        """Tell which places the answer names, whole or not, and which of them were sent."""
        text, prompt = self._run.text, self._prompt
        if not text or prompt is None:
            return
        has_brackets = "[" in text or "\N{LEFT BLACK LENTICULAR BRACKET}" in text
        found = await asyncio.to_thread(find_citations, text, prompt.items) if has_brackets else []
        if found or any(item.lines for item in prompt.items):
            self._run.add(Citations(tuple(map(_citation, found)), time.time()))

    def learn_count(self) -> None:
        """Learn how the model counts, where the service told."""
        prompt, usage = self._prompt, self._relay.usage
        if prompt is not None and usage is not None:
            self._choice.note_count(prompt.estimate, usage.prompt_tokens)


def _refused(refusal: ServiceError, prompt: Prompt) -> str:
    if refusal.limit_tokens is None:
        return (
            f"The service refused about {prompt.tokens} tokens as too many: half of that is sent."
        )
    return (
        f"The service refused about {prompt.tokens} tokens, since the model takes "
        f"{refusal.limit_tokens}: less is sent."
    )


def _citation(found: FoundCitation) -> Citation:
    return Citation(
        text=found.text,
        path=found.path,
        name=found.name,
        line_start=found.line_start,
        line_end=found.line_end,
        resolved=not found.reason,
        reason=found.reason,
    )
