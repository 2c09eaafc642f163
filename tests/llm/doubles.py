"""Services without a network."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, ClassVar

from sgoped.errors import ServiceError
from sgoped.llm.openai import OpenAIConfig
from sgoped.llm.service import ServiceConfig
from sgoped.llm.types import Finished, Message, StreamEvent, TextDelta


class SilentService:
    """Answers with what it was made with, and remembers the window it was asked to reserve."""

    title: ClassVar[str] = "Silent"
    config_type: ClassVar[type[ServiceConfig]] = OpenAIConfig

    def __init__(
        self,
        config: Any = None,
        session: Any = None,
        timeouts: Any = None,
        *,
        window: int | None = None,
        texts: Sequence[str] = (),
        failure: Exception | None = None,
    ) -> None:
        self.window = window
        self.texts = texts
        self.failure = failure
        self.reserved: list[int | None] = []

    async def models(self) -> list[str]:
        if self.failure is not None:
            raise self.failure
        return ["silent"]

    async def stream(
        self, model: str, messages: Sequence[Message], *, context_tokens: int | None = None
    ) -> AsyncGenerator[Sequence[StreamEvent], None]:
        self.reserved.append(context_tokens)
        for text in self.texts:
            yield [TextDelta(text)]
        if self.failure is not None:
            raise self.failure
        yield [Finished("stop")]

    async def context_tokens(self, model: str) -> int | None:
        if self.window is None:
            raise ServiceError("does not tell")
        return self.window
