"""The vectors of passages, asked for some at a time, with what is done when a model refuses some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sgoped.errors import ServiceError
from sgoped.memory.embedder import Embedder

# Instead of a text that is refused as it is, perhaps for its length.
SHORTENED_CHARS = (1000, 400)
REFUSALS = frozenset({"service_refused", "prompt_too_long"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered.

    Attributes:
        model: Its id.
        dimensions: Of each vector; 0 when there is none.
        vectors: One for each text; ``None`` where it refuses the text however short it is.
    """

    model: str
    dimensions: int
    vectors: Sequence[list[float] | None]


class PassageVectors:
    """Asks ``embedder``."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._has_answered = False

    async def ask(self, texts: Sequence[str]) -> Answer:
        """The vectors of some texts.

        One text may be longer than the model can take, for which it refuses all: so each is then
        tried alone, and shortened.

        Raises:
            SgopedError: Nobody answered, or not in one piece.
        """
        model = self._embedder.model_id()
        try:
            vectors: list[list[float] | None] = [*await self._embedder.embed(texts)]
        except ServiceError as failure:
            if failure.code not in REFUSALS:
                raise
            vectors = [await self._ask_shortened(text) for text in texts]
            if not any(vectors) and not self._has_answered:
                raise  # it is not the texts that it refuses
        dimensions = {len(vector) for vector in vectors if vector}
        if len(dimensions) > 1 or self._embedder.model_id() != model:
            raise ServiceError("The model changed while it was asked")
        self._has_answered = True
        return Answer(model, max(dimensions, default=0), vectors)

    async def _ask_shortened(self, text: str) -> list[float] | None:
        for chars in (len(text), *SHORTENED_CHARS):
            try:
                [vector] = await self._embedder.embed([text[:chars]])
            except ServiceError as failure:
                if failure.code not in REFUSALS:
                    raise
            else:
                return vector
        return None
