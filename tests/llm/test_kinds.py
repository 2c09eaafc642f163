from __future__ import annotations

import pytest

from sgoped.errors import InvalidInput
from sgoped.llm import kinds
from sgoped.llm.kinds import as_shown, as_stored, load_kinds
from sgoped.llm.ollama import OllamaService
from sgoped.llm.openai import OpenAIService
from sgoped.plugins import Plugin, PluginFailure
from tests.llm.doubles import SilentService


def test_the_built_in_kinds_come_through_the_entry_points() -> None:
    loaded = load_kinds()
    assert loaded.classes["ollama"] is OllamaService
    assert loaded.classes["openai"] is OpenAIService


def test_what_is_no_service_is_a_failure_and_harms_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Nameless:
        config_type = SilentService.config_type

    def load(group: str) -> tuple[list[Plugin], list[PluginFailure]]:
        values = {"good": SilentService, "text": "x", "bare": object, "half": Nameless}
        return [Plugin(name, "other", value) for name, value in values.items()], []

    monkeypatch.setattr(kinds, "load_plugins", load)
    loaded = load_kinds()
    assert list(loaded.classes) == ["good"]
    assert {failure.name: failure.error for failure in loaded.failures} == {
        "text": "not a class",
        "bare": "config_type is not a ServiceConfig",
        "half": "lacks title, models, stream, context_tokens",
    }
    assert str(loaded.bind("good", {"base_url": "http://h"}).address) == "http://h/v1"
    assert loaded.title("unheard") == "unheard"


def test_a_configuration_is_stored_whole_and_shown_without_its_key() -> None:
    config = load_kinds().bind("openai", {"api_key": " sk-1 ", "models": ["m"], "other": 1})
    assert as_stored(config) == {"name": "", "base_url": "", "models": ["m"], "api_key": "sk-1"}
    assert as_shown(config, "stored:a") == {
        "name": "",
        "base_url": "",
        "models": ["m"],
        "api_key": "stored:a",
    }


def test_a_wrong_field_is_named_without_its_value() -> None:
    with pytest.raises(InvalidInput) as raised:
        load_kinds().bind("openai", {"api_key": "sk-secret\nx"})
    assert raised.value.message.startswith("api_key: contains characters")
    assert "sk-secret" not in raised.value.message


def test_an_ollama_without_host_is_the_one_on_this_machine() -> None:
    assert str(load_kinds().bind("ollama", {"host": ""}).address) == "http://localhost:11434"
