"""Asking a model for summaries within its window, and stopping to ask once it has failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sgoped.actions.action import Asks
from sgoped.actions.knowledge_file import Summary
from sgoped.llm import Message
from sgoped.prompts import (
    estimate_tokens,
    file_name_messages,
    name_from_answer,
    reduce_messages,
    summary_messages,
    summary_parts,
    without_thoughts,
)

MAX_PARTS = 200

_MIN_SUMMARY_CHARS = 300
_MAX_SUMMARY_CHARS = 8000


class Summariser:
    """One model, asked until it fails; then nothing more is asked of it.

    A model that hangs would otherwise cost its time limit once for every question.

    Attributes:
        alive: Whether the model answered all that it was asked so far.
    """

    def __init__(self, tools: Asks) -> None:
        self._tools = tools
        self._window_tokens = 0
        self.alive = True

    async def summarise(self, name: str, text: str) -> Summary | None:
        """Summarise a text: as a whole, or part by part and then together.

        Of a text that takes more than 200 parts the first 200 are read; ``Summary.covers`` says
        so, as it does when the model failed on the way.
        """
        window = await self._window()
        parts = summary_parts(text, window)
        said: list[str] = []
        for number, part in enumerate(parts[:MAX_PARTS], start=1):
            answer = await self._ask(summary_messages(name, part, number, len(parts)))
            if not answer:
                break
            said.append(answer[: self._max_chars(window)])
        if not said:
            return None
        covers = "" if len(said) == len(parts) else f"parts 1 to {len(said)} of {len(parts)}"
        return Summary(await self._together(name, said, window), covers)

    async def name(self, text: str) -> str:
        """A ``snake_case`` name for a text, ``""`` when the model gives none."""
        return name_from_answer(await self._ask(file_name_messages(text)))

    async def _together(self, name: str, summaries: Sequence[str], window: int) -> str:
        while len(summaries) > 1:
            merged: list[str] = []
            for group in _groups(summaries, window // 2):
                answer = group[0]
                if len(group) > 1:
                    answer = await self._ask(reduce_messages(name, group))
                if not answer:
                    return "\n\n".join(summaries)
                merged.append(answer[: self._max_chars(window)])
            summaries = merged
        return summaries[0]

    async def _window(self) -> int:
        if not self._window_tokens:
            self._window_tokens = await self._tools.context_tokens()
        return self._window_tokens

    async def _ask(self, messages: Sequence[Message]) -> str:
        if not self.alive:
            return ""
        answer = await self._tools.complete(messages)
        if answer is None:
            self.alive = False
            return ""
        return without_thoughts(answer)

    @staticmethod
    def _max_chars(window_tokens: int) -> int:
        """So few that two summaries always fit the window together."""
        return min(_MAX_SUMMARY_CHARS, max(_MIN_SUMMARY_CHARS, window_tokens * 3 // 16))


def _groups(summaries: Sequence[str], max_tokens: int) -> Iterator[list[str]]:
    """Neighbours that fit ``max_tokens`` together, two at least while there are two."""
    group: list[str] = []
    tokens = 0
    for summary in summaries:
        cost = estimate_tokens(summary) + 8
        if len(group) > 1 and tokens + cost > max_tokens:
            yield group
            group, tokens = [], 0
        group.append(summary)
        tokens += cost
    yield group
