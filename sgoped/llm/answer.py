"""One answer being received: bytes in, stream events out, and how it ended. No I/O."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

from sgoped.errors import ServiceError
from sgoped.llm import faults
from sgoped.llm.decode import Decoder, JsonObject, whole_number
from sgoped.llm.thinking import ThinkSplitter
from sgoped.llm.types import Finished, ReasoningDelta, StreamEvent, Usage

REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")

_SURROGATE = re.compile(r"[\ud800-\udfff]")

log = logging.getLogger(__name__)


class Answer:
    """Collects what a dialect reads in the objects of one answer.

    The dialect's ``read`` is called with every decoded object and calls back ``text``,
    ``reasoning``, ``usage``, ``stop``, ``finish`` and ``fail``.

    Attributes:
        begun: Something was written or thought.
        stopped: The model said why it stopped; only counts and the end mark may follow.
        ended: There will be no more events.
        failure: Why the answer is not whole, once ended.
    """

    def __init__(self, decoder: Decoder, read: Callable[[JsonObject, Answer], None]) -> None:
        self.begun = False
        self.stopped = False
        self.ended = False
        self.failure: ServiceError | None = None
        self._decoder = decoder
        self._read = read
        self._reason = ""
        self._understood = False
        self._events: list[StreamEvent] = []
        self._splitter = ThinkSplitter()
        self._text = WholeCharacters()
        self._thought = WholeCharacters()

    def feed(self, data: bytes) -> list[StreamEvent]:
        """The events that ``data`` brings."""
        self._interpret(self._decoder.feed(data))
        if self._decoder.ended:
            self._end_at_mark()
        elif self._decoder.overflowed and not self.ended:
            self.fail(faults.fault(faults.TOO_LARGE))
        return self._take()

    def close(self) -> list[StreamEvent]:
        """The events that the end of the stream brings: its end, or that it was no end."""
        self._interpret(self._decoder.close())
        if self._decoder.ended or self.stopped:
            self._end_at_mark()
        elif not self._understood:
            self.fail(faults.fault(faults.NOT_A_SERVICE))
        elif not self.ended:
            self.fail(faults.fault(faults.ENDED_EARLY))
        return self._take()

    def break_off(self, failure: ServiceError) -> list[StreamEvent]:
        """The events left when the stream broke; an answer that had stopped is whole."""
        if self.stopped:
            self.finish(self._reason)
        else:
            self.fail(failure)
        return self._take()

    def text(self, text: str) -> None:
        """The model wrote ``text``, thinking tags possibly among it."""
        text = self._text.feed(text)
        if text:
            self.begun = True
            self._events += self._splitter.feed(text)

    def reasoning(self, text: str) -> None:
        """The model thought ``text``."""
        text = self._thought.feed(text)
        if text:
            self.begun = True
            self._events.append(ReasoningDelta(text))

    def usage(self, prompt_tokens: Any, completion_tokens: Any) -> None:
        """The service counted."""
        counts = (whole_number(prompt_tokens), whole_number(completion_tokens))
        if counts != (None, None):
            self._events.append(Usage(*counts))

    def stop(self, reason: str) -> None:
        """The model stopped because of ``reason``; the end mark is still to come."""
        self.stopped = True
        self._reason = reason

    def finish(self, reason: str) -> None:
        """The answer is whole."""
        if self.ended:
            return
        self.ended = True
        self._flush()
        skipped = self._decoder.skipped
        if skipped:
            log.warning("%d unreadable lines of an answer were left out", skipped)
        self._events.append(Finished(reason, skipped))

    def fail(self, failure: ServiceError) -> None:
        """The answer will not become whole; what arrived of it is kept."""
        if self.ended:
            return
        self.ended = True
        self._flush()
        self.failure = failure

    def _interpret(self, objects: list[JsonObject]) -> None:
        for value in objects:
            if self.ended:
                return
            self._understood = True
            self._read(value, self)

    def _end_at_mark(self) -> None:
        """The end mark came: whole if the model stopped or wrote anything."""
        if self.stopped or self.begun:
            self.finish(self._reason or "stop")
        else:
            self.fail(faults.fault(faults.EMPTY))

    def _flush(self) -> None:
        thought = self._thought.close()
        if thought:
            self._events.append(ReasoningDelta(thought))
        self._events += self._splitter.feed(self._text.close())
        self._events += self._splitter.close()

    def _take(self) -> list[StreamEvent]:
        events, self._events = self._events, []
        return events


class WholeCharacters:
    """Joins surrogate pairs cut over two pieces of text; lone halves become U+FFFD.

    JSON may escape one character as two halves, and services cut text between them.
    """

    def __init__(self) -> None:
        self._half = ""

    def feed(self, text: str) -> str:
        """``text`` as whole characters; a first half at its end waits for the second."""
        if not self._half and (text.isascii() or not _SURROGATE.search(text)):
            return text
        text, self._half = self._half + text, ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def close(self) -> str:
        """What waits for a half that never came."""
        half, self._half = self._half, ""
        return "\ufffd" if half else ""


def written(value: Any) -> str:
    """The text in a ``content`` field: a string, or a list of parts that have text."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return ""
    parts = (part for part in value if isinstance(part, dict))
    return "".join(text for part in parts if isinstance(text := part.get("text"), str))


def thought(message: JsonObject) -> str:
    """The thinking in a message, whichever of the usual fields it is in."""
    for field in REASONING_FIELDS:
        if field in message:
            value = message[field]
            if isinstance(value, str) and value:
                return value
    return ""
