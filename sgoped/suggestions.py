"""Suggestions while a person types: files behind ``@``, actions behind ``/``.

Ranking belongs to memory and to the action registry; here their finds take the shape that the
menus show. Sections come one below the other, names first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from sgoped.actions import Action, ActionRegistry
from sgoped.memory import LETTERS, Document, Kind, Memory, PathHit, shown

MAX_LISTED = 1000
MAX_KEPT_MENUS = 1000
# With more names than this, words in texts would only be in the way, and take milliseconds.
FEW_NAMES = 4
MAX_MENTIONS = 3
MIN_MENTION_CHARS = 3

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


class Mention(NamedTuple):
    """A file whose text, not whose name, holds what was typed.

    Attributes:
        document: The file.
        label: What identifies it.
        line: Where in it, counted from 1.
        snippet: That line.
    """

    document: Document
    label: str
    line: int
    snippet: str


class Menu:
    """The files that answer one query, best first; below them those that only mention it.

    The same object is given again as long as it is the answer, so faces can keep what they made of
    it.
    """

    __slots__ = ("__weakref__", "hits", "mentions")

    def __init__(self, hits: Sequence[PathHit], mentions: Sequence[Mention] = ()) -> None:
        self.hits = hits
        self.mentions = mentions

    @property
    def suggestions(self) -> list[Suggestion]:
        """The lines of the menu."""
        return [*map(found, self.hits), *map(mentioned, self.mentions)]


class Suggestions:
    """Answers the two menus from memory and the action registry; waits for no service.

    The menus of the last queries are kept until memory changes: while people type and correct
    themselves, the same beginnings come again and again.
    """

    def __init__(self, memory: Memory, actions: ActionRegistry) -> None:
        self._memory = memory
        self._actions = actions
        self._menus: dict[tuple[str, int], Menu] = {}
        self._stamp = memory.stamp

    def menu_now(self, query: str, limit: int = 10) -> Menu | None:
        """The files for ``query``; ``None`` when that takes more than a moment."""
        self._forget_outdated()
        menu = self._menus.get((query, limit))
        if menu is None:
            hits = self._memory.find_now(query, limit)
            if hits is not None and not self._wants_mentions(query, hits, limit):
                menu = self._keep(query, limit, Menu(hits))
        return menu

    async def menu(self, query: str, limit: int = 10) -> Menu:
        """The files for ``query``; where few have such a name, also those that mention it."""
        menu = self.menu_now(query, limit)
        if menu is None:
            stamp = self._memory.stamp
            hits = await self._memory.find(query, limit)
            menu = Menu(hits)
            if self._wants_mentions(query, hits, limit):
                menu = await self._add_mentions(query, hits, limit)
            self._forget_outdated()
            if self._stamp == stamp:
                self._keep(query, limit, menu)
        return menu

    async def _add_mentions(self, query: str, hits: Sequence[PathHit], limit: int) -> Menu:
        named = [hit for hit in hits if hit.why != LETTERS]
        room = min(MAX_MENTIONS, limit - len(named))
        passages = await self._memory.content_hits(query, room, {hit.document.pid for hit in hits})
        label = self._memory.label
        mentions = [
            Mention(one.document, label(one.document), one.line_start, shown(one.snippet).strip())
            for one in passages
        ]
        # Letters scattered over names say less than the very word in a text.
        return Menu(hits[: limit - len(mentions)], mentions)

    async def files(self, query: str, limit: int = 10) -> list[Suggestion]:
        """Files, folders and images for ``query``, best first; all of them when it is empty."""
        if not query.strip():
            return (await self.all_files(limit))[0]
        return (await self.menu(query, limit)).suggestions

    async def all_files(self, limit: int = MAX_LISTED) -> tuple[list[Suggestion], int]:
        """The first ``limit`` of everything, newest use first, and how many there are."""
        documents, total = await self._memory.documents(limit)
        label = self._memory.label
        return [_listed(document, label(document)) for document in documents], total

    async def actions(self, query: str, limit: int = 10) -> list[Suggestion]:
        """Actions of which label or tags have words that begin as ``query`` does."""
        return [_action(action) for action in self._actions.search(query, limit)]

    def _wants_mentions(self, query: str, hits: Sequence[PathHit], limit: int) -> bool:
        named = sum(hit.why != LETTERS for hit in hits[:FEW_NAMES])
        # Several words that lie in one path are hardly a coincidence.
        few = FEW_NAMES if len(query.split()) == 1 else 1
        wanted = named < min(limit, few) and len(query.strip()) >= MIN_MENTION_CHARS
        return wanted and self._memory.may_mention(query)

    def _forget_outdated(self) -> None:
        stamp = self._memory.stamp
        if stamp != self._stamp:
            self._stamp = stamp
            self._menus.clear()

    def _keep(self, query: str, limit: int, menu: Menu) -> Menu:
        if len(self._menus) >= MAX_KEPT_MENUS:
            self._menus.clear()
        self._menus[query, limit] = menu
        return menu


def found(hit: PathHit) -> Suggestion:
    """A found file as a line of a menu."""
    suggestion = _listed(hit.document, hit.label)
    suggestion.metadata["why"] = hit.why
    suggestion.metadata["matches"] = [list(span) for span in hit.matches]
    suggestion.metadata["target"] = hit.target
    return suggestion


def mentioned(mention: Mention) -> Suggestion:
    """A file that mentions what was typed, as a line of a menu."""
    listed = _listed(mention.document, mention.label)
    listed.metadata.update(why="in the text", target="label", section="contents", line=mention.line)
    return listed._replace(description=f"line {mention.line}: {mention.snippet}")


def _listed(document: Document, label: str) -> Suggestion:
    path = document.shown_path
    kind = kind_of(document.kind)
    metadata = {
        "type": kind,
        "path": path,
        "size": document.size,
        "modified": timestamp(document.mtime_ns),
        "why": "",
        "matches": [],
    }
    return Suggestion(document.id, label, describe(path, kind, document.size), kind, metadata)


def kind_of(kind: Kind) -> SuggestionKind:
    """What a document's kind is called in a menu."""
    if kind is Kind.FOLDER:
        return "folder"
    return "image" if kind is Kind.IMAGE else "file"


def describe(path: str, kind: SuggestionKind, size: int) -> str:
    """The line below a label: the folder it is in, and its size."""
    folder = path.rpartition("/")[0]
    size_words = "folder" if kind == "folder" else _size_words(size)
    return f"{folder} · {size_words}" if folder else size_words


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


def timestamp(mtime_ns: int) -> str:
    """ISO 8601 UTC, to the second; the epoch for a time that no calendar holds."""
    try:
        return datetime.fromtimestamp(mtime_ns // _NS, UTC).isoformat()[:-6] + "Z"
    except (OverflowError, ValueError, OSError):
        return "1970-01-01T00:00:00Z"


def _action(action: Action) -> Suggestion:
    metadata = {
        "command": f"/{action.name}",
        "category": action.category,
        "tags": list(action.tags),
    }
    return Suggestion(action.name, action.name, action.description, "action", metadata)
