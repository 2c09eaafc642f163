"""Pages: stretches of numbered events, packed small, as memory and ``state.db`` keep them.

A token takes some 200 bytes as an object and about ten in a page, so a long answer can be played
again from its beginning without memory growing by it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

from pydantic import TypeAdapter

from sgoped.chat.events import (
    ActionCompleted,
    ActionStarted,
    Cancelled,
    Citations,
    Completed,
    Content,
    ContextTold,
    Failed,
    RunEvent,
    ServiceTold,
    Started,
    UsageTold,
)

OF_ANOTHER_VERSION = "Something that another version of sgoped told of this answer is left out."

_LEVEL = 1
_KINDS: Mapping[str, type] = MappingProxyType(
    {
        kind.__name__: kind
        for kind in (
            ActionCompleted,
            ActionStarted,
            Cancelled,
            Citations,
            Completed,
            ContextTold,
            Failed,
            ServiceTold,
            Started,
            UsageTold,
        )
    }
)
_PARTS: Mapping[str, Literal["answer", "thought", "tag"]] = MappingProxyType(
    {"a": "answer", "t": "thought", "g": "tag"}
)
_LETTERS = MappingProxyType({part: letter for letter, part in _PARTS.items()})


@dataclass(frozen=True, slots=True)
class Page:
    """Events ``first`` to ``last``, packed.

    Attributes:
        first: Number of the first one.
        last: Number of the last one.
        data: Compressed JSON.
    """

    first: int
    last: int
    data: bytes

    @property
    def kept_bytes(self) -> int:
        """About how much memory it takes."""
        return len(self.data) + 200

    def events(self) -> list[RunEvent]:
        """What was packed.

        Raises:
            ValueError: It is damaged.
        """
        try:
            rows = json.loads(zlib.decompress(self.data))
        except zlib.error as error:
            raise ValueError(str(error)) from error
        return [_event(row) for row in rows]


def pack(first: int, events: Sequence[RunEvent]) -> Page:
    """Pack at least one event; ``first`` is the first one's number."""
    text = json.dumps([_row(event) for event in events], separators=(",", ":"))
    return Page(first, first + len(events) - 1, zlib.compress(text.encode(), _LEVEL))


def event_text(event: RunEvent) -> str:
    """One event as JSON."""
    return json.dumps(_row(event))


def text_event(text: str) -> RunEvent:
    """The event of ``event_text``.

    Raises:
        ValueError: It is none.
    """
    return _event(json.loads(text))


def _row(event: RunEvent) -> list[Any]:
    if isinstance(event, Content):
        return [_LETTERS[event.part], event.at, event.text]
    return [type(event).__name__, asdict(event)]


def _event(row: list[Any]) -> RunEvent:
    kind, *values = row
    if kind in _PARTS:
        at, text = values
        return Content(text, at, _PARTS[kind])
    try:
        event: RunEvent = _reader(_KINDS[kind]).validate_python(values[0])
    except (KeyError, ValueError):
        return ServiceTold(OF_ANOTHER_VERSION, "", "", 0.0)
    return event


@cache
def _reader(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
