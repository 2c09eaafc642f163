"""The actions there are, and how they are found."""

from __future__ import annotations

import pytest

from sgoped.actions import ActionRegistry, ActionRequest, ActionResult, Tools, open_actions
from sgoped.actions import registry as registry_module
from sgoped.plugins import Plugin, PluginFailure


class Named:
    """An action of any name."""

    description = "x"
    category = "x"

    def __init__(self, name: str = "named", *tags: str) -> None:
        self.name = name
        self.tags = tags

    async def run(self, request: ActionRequest, tools: Tools) -> ActionResult:
        return ActionResult({}, "done")


def found(query: str, *actions: Named) -> list[str]:
    registry = ActionRegistry(actions) if actions else open_actions()
    return [action.name for action in registry.search(query, 10)]


@pytest.mark.parametrize(
    "query", ["", "a", "add", "add_know", "/add", "KNOW", "know", "rem", "save", "add know"]
)
def test_words_of_label_and_tags_are_matched_from_their_beginning(query: str) -> None:
    assert found(query) == ["add_knowledge"]


@pytest.mark.parametrize(
    "query", ["or", "no", "her", "off", "dd", "nowledge", "ledge", "add x", "memory file", "new"]
)
def test_nothing_else_opens_the_menu(query: str) -> None:
    assert found(query) == []


def test_the_labels_beginning_comes_before_its_words_and_those_before_tags() -> None:
    actions = [Named("b", "word"), Named("count_words"), Named("word_count")]
    assert found("word", *actions) == ["word_count", "count_words", "b"]


def test_an_action_is_known_by_id_label_and_command() -> None:
    registry = open_actions()
    for name in ("add_knowledge", "/add_knowledge", "Add_Knowledge", " add_knowledge "):
        action = registry.get(name)
        assert action is not None
        assert action.name == "add_knowledge"
    assert registry.get("add") is None
    assert registry.get("") is None


@pytest.mark.parametrize(
    ("message", "rest"),
    [
        ("/add_knowledge buy milk", "buy milk"),
        ("  /add_knowledge  buy\n milk ", "buy\n milk "),
        ("/add_knowledge\n  indented\n", "  indented\n"),
        ("/add_knowledge", ""),
        ("/add_knowledgeable", None),
        ("/add_knowledge/x", None),
        ("say /add_knowledge x", None),
        ("/Add_Knowledge x", None),
        ("/unknown x", None),
        ("", None),
    ],
)
def test_a_leading_exact_command_calls_the_action(message: str, rest: str | None) -> None:
    called = open_actions().parse(message)
    assert (called[1] if called else None) == rest


def test_our_own_action_comes_through_the_entry_point() -> None:
    registry = open_actions()
    assert [action.name for action in registry.all()][:1] == ["add_knowledge"]
    assert registry.failures == ()


class Broken:
    """A plug-in that cannot be made."""

    def __init__(self) -> None:
        raise RuntimeError("no such device")


class BadName(Named):
    def __init__(self) -> None:
        super().__init__("Bad Name!")


def test_a_broken_plug_in_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    offered: list[object] = [Named, Broken, BadName, "not callable", object, Named]
    plugins = [Plugin(f"p{number}", "theirs", value) for number, value in enumerate(offered)]
    failure = PluginFailure("p9", "theirs", "ImportError: x")
    monkeypatch.setattr(registry_module, "load_plugins", lambda _: (plugins, [failure]))
    registry = open_actions()
    assert [action.name for action in registry.all()] == ["named"]
    assert [failed.name for failed in registry.failures] == ["p9", "p1", "p2", "p3", "p4", "p5"]
    assert "no such device" in registry.failures[1].error
