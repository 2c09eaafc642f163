"""The actions there are: loaded through entry points, found by name, searched while typing."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sgoped.actions.action import Action
from sgoped.plugins import Plugin, PluginFailure, load_plugins

GROUP = "sgoped.actions"

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_WORD_START = re.compile(r"(?<![^\W_])[^\W_]")


class ActionRegistry:
    """Every action that could be loaded, in a stable order: our own first.

    Attributes:
        failures: What was offered and could not be loaded, with the reason.
    """

    def __init__(self, actions: Iterable[Action], failures: Iterable[PluginFailure] = ()) -> None:
        self._actions = {action.name: action for action in actions}
        self._phrases = {name: _phrases(action) for name, action in self._actions.items()}
        self.failures = tuple(failures)

    def all(self) -> tuple[Action, ...]:
        """All actions."""
        return tuple(self._actions.values())

    def get(self, name: str) -> Action | None:
        """The action of that id, label or ``/command``, in any case; ``None`` when unknown."""
        return self._actions.get(name.strip().removeprefix("/").casefold())

    def parse(self, message: str) -> tuple[Action, str] | None:
        """The action that a message calls by beginning with its exact ``/command``.

        Returns:
            The action, and the rest of the message: verbatim, but for the blanks behind the
            command and one line break; ``None`` when the message calls no known action.
        """
        called = re.match(r"\s*/([^\s/]+)(?:[^\S\n]*\n|[^\S\n]+|\Z)", message[:256])
        action = self._actions.get(called.group(1)) if called else None
        return (action, message[called.end() :]) if called and action else None

    def search(self, query: str, limit: int) -> list[Action]:
        """Actions of which every word of ``query`` begins a word of the label or of a tag.

        Nothing else matches, so that ``and/or`` or ``yes/no`` opens no menu. The query may run
        over words (``add_know``). Matches of the label come first; an empty query is everything.
        """
        words = query.strip().removeprefix("/").casefold().split()
        ranked = [
            (rank, position, action)
            for position, action in enumerate(self._actions.values())
            if (rank := _rank(words, self._phrases[action.name])) is not None
        ]
        return [action for _, _, action in sorted(ranked, key=lambda item: item[:2])][:limit]


def open_actions() -> ActionRegistry:
    """Load what installed packages offer; one that fails costs only itself."""
    plugins, failures = load_plugins(GROUP)
    actions: list[Action] = []
    for plugin in plugins:
        made = _make(plugin)
        if isinstance(made, PluginFailure):
            failures.append(made)
        elif made.name in {action.name for action in actions}:
            failures.append(_failure(plugin, f"the name {made.name!r} is taken"))
        else:
            actions.append(made)
    return ActionRegistry(actions, failures)


def _make(plugin: Plugin) -> Action | PluginFailure:
    if not callable(plugin.value):
        return _failure(plugin, "the entry point does not name a class")
    try:
        made = plugin.value()
        problem = _problem(made)
    except Exception as error:  # noqa: BLE001 - foreign code may raise anything
        return _failure(plugin, f"{type(error).__name__}: {error}")
    return _failure(plugin, problem) if problem else made


def _problem(made: object) -> str:
    if not isinstance(made, Action):
        return "it lacks name, description, category, tags or run"
    name, description, category = made.name, made.description, made.category
    texts: list[object] = [name, description, category, *made.tags]
    if not all(isinstance(text, str) for text in texts):
        return "its name, description, category or a tag is not text"
    if not _NAME.fullmatch(name):
        return "its name is not lower-case letters, digits, _ and -"
    return ""


def _failure(plugin: Plugin, error: str) -> PluginFailure:
    return PluginFailure(plugin.name, plugin.package, error)


def _phrases(action: Action) -> tuple[tuple[str, ...], ...]:
    """What a query's word may begin: the label, its further words, the tags' words."""
    label = _from_each_word(action.name)
    tags = (phrase for tag in action.tags for phrase in _from_each_word(tag.casefold()))
    return (label[:1], label[1:], tuple(tags))


def _from_each_word(text: str) -> tuple[str, ...]:
    return tuple(text[start.start() :] for start in _WORD_START.finditer(text))


def _rank(words: list[str], phrases: tuple[tuple[str, ...], ...]) -> int | None:
    worst = 0
    for word in words:
        ranks = [
            rank
            for rank, group in enumerate(phrases)
            if any(phrase.startswith(word) for phrase in group)
        ]
        if not ranks:
            return None
        worst = max(worst, ranks[0])
    return worst
