"""``ModelChoice``: one model of one service, ready to be asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from copy import copy

from sgoped.errors import ServiceError
from sgoped.llm import faults
from sgoped.llm.guard import Guard
from sgoped.llm.learned import Learned
from sgoped.llm.service import AskableService
from sgoped.llm.types import Message, StreamEvent, TextDelta

WINDOW_SECONDS = 3.0
ANSWER_TOKENS = 2048
MAX_COMPLETE_CHARS = 4 * 2**20
_BYTES_PER_TOKEN = 3
_TOKENS_PER_MESSAGE = 16


class ModelChoice:
    """A model that was chosen for a request.

    Attributes:
        id: The model's id over all services.
        name: What its service calls it.
        service_id: Its service.
        is_local: Whether what it is sent stays on this machine or network.
        guard: What lets requests to its service through.
        in_background: Whether nobody waits for it; see ``for_background``.
    """

    def __init__(
        self,
        model_id: str,
        name: str,
        service_id: str,
        *,
        service: AskableService,
        assumed_tokens: int,
        report: Callable[[ServiceError | None], None],
        set_tokens: int | None = None,
        learned: Learned | None = None,
        guard: Guard | None = None,
        known_tokens: int | None = None,
        is_local: bool = False,
    ) -> None:
        self.id = model_id
        self.name = name
        self.service_id = service_id
        self._service = service
        self._assumed_tokens = assumed_tokens
        self._report = report
        self._set_tokens = set_tokens
        self._learned = learned or Learned()
        self._known_tokens = known_tokens
        self.is_local = is_local
        self.guard = guard or Guard()
        self.in_background = False

    @property
    def correction(self) -> float:
        """How many tokens the model's own count has for each estimated one, as far as is known."""
        return self._learned.correction(self.id)

    def note_count(self, estimated: int, counted: int | None) -> None:
        """Learn from what the service counted in a prompt of ``estimated`` tokens."""
        self._learned.note_count(self.id, estimated, counted)

    def note_limit(self, tokens: int) -> None:
        """Remember that the service refused a prompt, and that the model takes ``tokens``."""
        self._learned.note_window(self.id, tokens)

    def for_background(self) -> ModelChoice:
        """The same for work that nobody waits for: it is not counted as traffic."""
        choice = copy(self)
        choice.in_background = True
        return choice

    async def ready(self) -> None:
        """Return if its service is asked at present.

        Raises:
            ServiceError: It failed too often just now (``service_resting``).
        """
        await self.guard.ready()

    async def stream(
        self, messages: Sequence[Message], *, context_tokens: int | None = None
    ) -> AsyncGenerator[Sequence[StreamEvent], None]:
        """Ask for the next turn; batches of events as in ``Service.stream``.

        Args:
            messages: The conversation so far.
            context_tokens: The most to reserve for prompt and answer; the model's window if None.
                What is reserved is what these messages need, see ``reserved_tokens``.

        Raises:
            ServiceError: After everything that had arrived was yielded; or at once, because its
                service failed too often just now (``service_resting``).
        """
        window = context_tokens or await self.context_tokens()
        reserved = reserved_tokens(
            messages,
            at_least=self._assumed_tokens,
            at_most=window,
            correction=self.correction,
        )
        heard = False
        async with self.guard.attempt(in_background=self.in_background) as attempt:
            try:
                stream = self._service.stream(self.name, messages, context_tokens=reserved)
                async with aclosing(stream) as batches:
                    async for batch in batches:
                        if not heard:
                            heard = True
                            attempt.answered()
                            self._report(None)
                        yield batch
            except ServiceError as failure:
                attempt.failed(failure)
                self._report(failure)
                raise

    async def context_tokens(self) -> int:
        """The model's window in tokens.

        What the settings say for this model, else what its service tells, else what is assumed;
        but not more than the service said when it refused a prompt.
        """
        told = self._set_tokens or await self._told_tokens()
        limit = self._learned.window(self.id)
        if told is None or limit is None:
            return told or limit or self._assumed_tokens
        return min(told, limit)

    async def _told_tokens(self) -> int | None:
        """What the service tells; one that is left alone is not asked."""
        if self.guard.is_open:
            return self._known_tokens
        try:
            async with asyncio.timeout(WINDOW_SECONDS):
                window = await self._service.context_tokens(self.name)
        except (ServiceError, TimeoutError):
            return self._known_tokens
        return window or self._known_tokens

    async def complete(self, messages: Sequence[Message]) -> str:
        """The whole next turn, without the thinking.

        Raises:
            ServiceError: It did not become whole, or is empty.
        """
        pieces: list[str] = []
        chars = 0
        async with aclosing(self.stream(messages)) as batches:
            async for batch in batches:
                texts = [event.text for event in batch if isinstance(event, TextDelta)]
                pieces += texts
                chars += sum(map(len, texts))
                if chars > MAX_COMPLETE_CHARS:
                    raise faults.fault(faults.TOO_LARGE)
        text = "".join(pieces).strip()
        if not text:
            raise faults.fault(faults.EMPTY)
        return text


def reserved_tokens(
    messages: Sequence[Message], *, at_least: int, at_most: int, correction: float = 1.0
) -> int:
    """How large a window to ask of a service that reserves memory for it.

    A model's own window can be far larger than the memory of a desktop, and each new size makes
    Ollama load the model again: so the least power-of-two multiple of ``at_least`` that holds the
    messages (three bytes of UTF-8 a token is cautious for text and code) and an answer.

    Args:
        messages: What is to be sent.
        at_least: The least to reserve, unless ``at_most`` is less.
        at_most: The model's window.
        correction: How many tokens the model counts for each estimated one.
    """
    prompt_bytes = sum(len(message.content.encode("utf-8", "replace")) for message in messages)
    estimate = prompt_bytes // _BYTES_PER_TOKEN + _TOKENS_PER_MESSAGE * len(messages)
    needed = int(estimate * max(1.0, correction)) + ANSWER_TOKENS
    reserved = at_least
    while reserved < min(needed, at_most):
        reserved *= 2
    return min(reserved, at_most)
