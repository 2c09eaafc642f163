"""``CourteousModel``: a model that is asked only while nobody waits for its service."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from sgoped.errors import ServiceError
from sgoped.llm import Message, ModelChoice


@dataclass(frozen=True, slots=True)
class _Answer:
    text: str | None


class CourteousModel:
    """Fulfils ``actions.Asks``.

    Attributes:
        failure: Why the model failed last; empty when it did not.
    """

    def __init__(self, choice: ModelChoice) -> None:
        self.failure = ""
        self._choice = choice.for_background()
        self._traffic = choice.guard.traffic

    async def context_tokens(self) -> int:
        """See ``Asks.context_tokens``."""
        return await self._choice.context_tokens()

    async def complete(self, messages: Sequence[Message]) -> str | None:
        """See ``Asks.complete``.

        When a person asks the same service meanwhile, the question is taken back, which closes
        its connection, and asked again when all is quiet.
        """
        while True:
            await self._traffic.quiet()
            answer = await self._unless_disturbed(messages)
            if answer is not None:
                return answer.text

    async def _unless_disturbed(self, messages: Sequence[Message]) -> _Answer | None:
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(self._ask(messages))
            disturbed = tasks.create_task(self._traffic.busy())
            await asyncio.wait({asking, disturbed}, return_when=asyncio.FIRST_COMPLETED)
            asking.cancel()
            disturbed.cancel()
        return None if asking.cancelled() else asking.result()

    async def _ask(self, messages: Sequence[Message]) -> _Answer:
        try:
            return _Answer(await self._choice.complete(messages))
        except ServiceError as error:
            self.failure = error.message
            return _Answer(None)
