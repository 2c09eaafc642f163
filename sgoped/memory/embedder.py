"""``Embedder``: what the memory wants of whoever turns texts into vectors, and what it tells of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Embedder(Protocol):
    """A model that gives texts of like meaning vectors of like direction."""

    def model_id(self) -> str:
        """What names the model that would be asked now; vectors of two are never compared.

        Raises:
            SgopedError: There is none at present.
        """

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text, all of one length, none of it zero.

        Raises:
            SgopedError: There is none at present, or it did not answer.
        """


@dataclass(frozen=True, slots=True)
class EmbeddingStatus:
    """How far finding by meaning is.

    Attributes:
        model: The model's id, or what the setting says while that means none; empty when off.
        state: ``off``, ``working``, ``ready``, or ``waiting: `` and why.
        embedded: Files that can be found by meaning.
        total: Files that could be.
    """

    model: str = ""
    state: str = "off"
    embedded: int = 0
    total: int = 0
