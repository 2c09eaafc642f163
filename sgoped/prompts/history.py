"""Turns: what was said before in a conversation, as a model is sent it again; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation.

    Attributes:
        role: Who said it.
        text: What was said, without any thinking.
        paths: The memory files that it referred to, relative to the memory folder.
    """

    role: Literal["user", "assistant"]
    text: str
    paths: tuple[str, ...] = ()
