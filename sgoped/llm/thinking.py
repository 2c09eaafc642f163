"""Telling a model's thinking from its answer where both come as one text with ``<think>`` tags."""

from __future__ import annotations

from sgoped.llm.types import ReasoningDelta, TextDelta

OPEN_TAG = "<think>"
CLOSE_TAG = "</think>"


class ThinkSplitter:
    """Splits text that arrives in pieces, tags possibly cut over several of them, without I/O.

    A closing tag that nothing opened is text. What might be the beginning of a tag is held back
    until the next piece tells, never longer than the tag.
    """

    def __init__(self) -> None:
        self._thinking = False
        self._held = ""

    def feed(self, text: str) -> list[TextDelta | ReasoningDelta]:
        """The deltas that ``text`` completes, without tags; none of them empty."""
        if "<" not in text and not self._held:
            return self._deltas(text)
        rest = self._held + text
        self._held = ""
        deltas: list[TextDelta | ReasoningDelta] = []
        while rest:
            tag = CLOSE_TAG if self._thinking else OPEN_TAG
            before, found, rest = rest.partition(tag)
            if not found:
                held = _beginning_of(tag, before)
                self._held = before[len(before) - held :]
                before = before[: len(before) - held]
            deltas += self._deltas(before)
            self._thinking ^= bool(found)
        return deltas

    def close(self) -> list[TextDelta | ReasoningDelta]:
        """What was held back: the end of the text tells that it was no tag."""
        held, self._held = self._held, ""
        return self._deltas(held)

    def _deltas(self, text: str) -> list[TextDelta | ReasoningDelta]:
        if not text:
            return []
        return [ReasoningDelta(text) if self._thinking else TextDelta(text)]


def _beginning_of(tag: str, text: str) -> int:
    """How many characters at the end of ``text`` begin ``tag``."""
    for length in range(min(len(tag) - 1, len(text)), 0, -1):
        if text.endswith(tag[:length]):
            return length
    return 0
