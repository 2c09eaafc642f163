"""``KeylessService``: a service as it may be listened to: what it tells has no key in it.

Services repeat the key that they were sent, in errors above all, and a kind that a plug-in adds may
do so as well. Every text that comes from any service passes here, on its way to the registry.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager

from sgoped.errors import ServiceError
from sgoped.llm import faults
from sgoped.llm.capabilities import Capabilities
from sgoped.llm.service import AskableService, EmbeddingService
from sgoped.llm.types import Finished, Message, ReasoningDelta, StreamEvent, TextDelta
from sgoped.redaction import Redactor, TextRedactor

MAX_REASON_CHARS = 100


class KeylessService:
    """Passes on what ``service`` does; see ``Service``."""

    def __init__(self, service: AskableService, redactor: Redactor) -> None:
        self._service = service
        self._redactor = redactor

    async def models(self) -> list[str]:
        """The models whose names have no key in them.

        Raises:
            ServiceError: It did not tell.
        """
        with self._keyless_errors():
            names = await self._service.models()
        return [name for name in names if self._redactor.redact(name) == name]

    async def stream(
        self, model: str, messages: Sequence[Message], *, context_tokens: int | None = None
    ) -> AsyncGenerator[Sequence[StreamEvent], None]:
        """The next turn; see ``Service.stream``.

        Raises:
            ServiceError: After everything that had arrived was yielded.
        """
        pieces = _Pieces(self._redactor)
        stream = self._service.stream(model, messages, context_tokens=context_tokens)
        try:
            with self._keyless_errors():
                async with aclosing(stream) as batches:
                    async for batch in batches:
                        events = pieces.pass_on(batch)
                        if events:
                            yield events
        except ServiceError:
            rest = pieces.close()
            if rest:
                yield rest
            raise

    async def context_tokens(self, model: str) -> int | None:
        """The model's window, when it can be known.

        Raises:
            ServiceError: It did not tell.
        """
        with self._keyless_errors():
            return await self._service.context_tokens(model)

    async def capabilities(
        self, models: Sequence[str], known: Mapping[str, Capabilities]
    ) -> dict[str, Capabilities]:
        """What ``models`` can do; nothing where the kind of service does not tell.

        Raises:
            ServiceError: It did not tell.
        """
        tell = getattr(self._service, "capabilities", None)
        if tell is None:
            return {}
        with self._keyless_errors():
            told: dict[str, Capabilities] = await tell(models, known)
        return told

    @property
    def embedding_models(self) -> Sequence[str]:
        """Of those that only embed, the ones whose names have no key in them."""
        names: Sequence[str] = getattr(self._service, "embedding_models", ())
        return [name for name in names if self._redactor.redact(name) == name]

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text; see ``EmbeddingService.embed``.

        Raises:
            ServiceError: It did not tell, or its kind cannot.
        """
        if not isinstance(self._service, EmbeddingService):
            raise faults.fault(faults.CANNOT_EMBED)
        with self._keyless_errors():
            return await self._service.embed(model, texts)

    @contextmanager
    def _keyless_errors(self) -> Iterator[None]:
        try:
            yield
        except ServiceError as failure:
            message = self._redactor.redact(failure.message)
            if message == failure.message:
                raise
            raise ServiceError(
                message,
                code=failure.code,
                retry_after_seconds=failure.retry_after_seconds,
                limit_tokens=failure.limit_tokens,
                prompt_tokens=failure.prompt_tokens,
            ) from None


class _Pieces:
    """The events of one stream, with keys taken out of texts and thoughts."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._text = TextRedactor(redactor)
        self._kind: type[TextDelta | ReasoningDelta] = TextDelta

    def pass_on(self, batch: Sequence[StreamEvent]) -> Sequence[StreamEvent]:
        if self._text.is_idle and batch and not isinstance(batch[-1], Finished):
            return batch
        events: list[StreamEvent] = []
        for event in batch:
            if isinstance(event, TextDelta | ReasoningDelta):
                events += self._piece(event)
            elif isinstance(event, Finished):
                reason = self._redactor.redact(event.reason)[:MAX_REASON_CHARS]
                events += [*self.close(), Finished(reason, event.skipped_lines)]
            else:
                events.append(event)
        return events

    def _piece(self, event: TextDelta | ReasoningDelta) -> list[StreamEvent]:
        if self._text.is_idle:
            return [event]
        before = [] if type(event) is self._kind else self.close()
        self._kind = type(event)
        text = self._text.feed(event.text)
        if text is event.text and not before:  # nearly always
            return [event]
        return [*before, self._kind(text)] if text else before

    def close(self) -> list[StreamEvent]:
        """What waited, in case it was the beginning of a key."""
        text = self._text.close()
        return [self._kind(text)] if text else []
