"""Suggestions while a person types: files behind ``@``, actions behind ``/``.

Ranking belongs to memory and to the action registry; here their finds take the shape that the
menus show. Sections come one below the other, names first.
"""

from __future__ import annotations

import time
from typing import Any, Literal, NamedTuple

from sgoped.actions import Action, ActionRegistry
from sgoped.memory import Document, Kind, Memory, PathHit

MAX_LISTED = 1000

_BYTE_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_THOUSAND = 1000
_NS = 1_000_000_000

SuggestionKind = Literal["file", "folder", "image", "action"]


class Suggestion(NamedTuple):
    """One line of a menu.

    Attributes:
        id: Stable and unique: a document's id or an action's name.
        label: What comes back with a chat; identifies the file or action.
        description: One line below the label; may be empty.
        kind: What it is.
        metadata: Of files ``{type, path, size, modified, why, matches}``: the path relative to
            the memory folder, bytes, ISO 8601 UTC, which rule found it (empty when nothing was
            asked) and ``[[start, end], ...]`` in the label, or in the path where ``target`` says
            so. Of actions ``{command, category, tags}``.
    """

    id: str
    label: str
    description: str
    kind: SuggestionKind
    metadata: dict[str, Any]


class Suggestions:
    """Answers the two menus from memory and the action registry; waits for no service."""

    def __init__(self, memory: Memory, actions: ActionRegistry) -> None:
        self._memory = memory
        self._actions = actions

    async def files(self, query: str, limit: int = 10) -> list[Suggestion]:
        """Files, folders and images for ``query``, best first; all of them when it is empty."""
        if not query.strip():
            return (await self.all_files(limit))[0]
        return [_found(hit) for hit in await self._memory.find(query, limit)]

    async def all_files(self, limit: int = MAX_LISTED) -> tuple[list[Suggestion], int]:
        """The first ``limit`` of everything, newest use first, and how many there are."""
        documents, total = await self._memory.documents(limit)
        label = self._memory.label
        return [_file(document, label(document), "", ()) for document in documents], total

    async def actions(self, query: str, limit: int = 10) -> list[Suggestion]:
        """Actions of which label or tags have words that begin as ``query`` does."""
        return [_action(action) for action in self._actions.search(query, limit)]


def _found(hit: PathHit) -> Suggestion:
    suggestion = _file(hit.document, hit.label, hit.why, hit.matches)
    suggestion.metadata["target"] = hit.target
    return suggestion


def _file(
    document: Document, label: str, why: str, matches: tuple[tuple[int, int], ...]
) -> Suggestion:
    path = document.shown_path
    kind = _kind(document.kind)
    metadata = {
        "type": kind,
        "path": path,
        "size": document.size,
        "modified": _timestamp(document.mtime_ns),
        "why": why,
        "matches": [list(span) for span in matches],
    }
    return Suggestion(document.id, label, _description(document, kind, path), kind, metadata)


def _kind(kind: Kind) -> SuggestionKind:
    if kind is Kind.FOLDER:
        return "folder"
    return "image" if kind is Kind.IMAGE else "file"


def _description(document: Document, kind: SuggestionKind, path: str) -> str:
    folder = path.rpartition("/")[0]
    size = "folder" if kind == "folder" else _size_words(document.size)
    return f"{folder} · {size}" if folder else size


def _size_words(size: int) -> str:
    """``1.2 kB`` and the like, in powers of 1000."""
    if size < _THOUSAND:
        return f"{size} byte{'' if size == 1 else 's'}"
    amount = float(size)
    unit = 0
    while amount >= _THOUSAND - 0.05 and unit < len(_BYTE_UNITS) - 1:
        amount /= _THOUSAND
        unit += 1
    return f"{amount:.1f} {_BYTE_UNITS[unit]}"


def _timestamp(mtime_ns: int) -> str:
    """ISO 8601 UTC, to the second; the epoch for a time that no calendar holds."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(mtime_ns // _NS))
    except (OverflowError, ValueError, OSError):
        return "1970-01-01T00:00:00Z"


def _action(action: Action) -> Suggestion:
    metadata = {
        "command": f"/{action.name}",
        "category": action.category,
        "tags": list(action.tags),
    }
    return Suggestion(action.name, action.name, action.description, "action", metadata)
