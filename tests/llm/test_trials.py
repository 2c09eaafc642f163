from __future__ import annotations

from pydantic import SecretStr

from sgoped.llm.openai import OpenAIConfig
from sgoped.llm.trials import MAX_TRIALS, RECENT_SECONDS, Trials


def config(url: str = "http://h", key: str = "k") -> OpenAIConfig:
    return OpenAIConfig(base_url=url, api_key=SecretStr(key))


def test_a_trial_counts_for_the_same_place_and_key_for_a_while() -> None:
    now = [0.0]
    trials = Trials(lambda: now[0])
    trials.keep("openai", config(), ("m",))
    assert trials.recent("openai", config()) == ("m",)
    assert trials.recent("openai", config(key="other")) is None
    assert trials.recent("openai", config("http://elsewhere")) is None
    assert trials.recent("ollama", config()) is None
    now[0] = RECENT_SECONDS + 1
    assert trials.recent("openai", config()) is None


def test_only_so_many_trials_are_kept() -> None:
    trials = Trials()
    for number in range(MAX_TRIALS + 1):
        trials.keep("openai", config(f"http://h{number}"), ("m",))
    assert trials.recent("openai", config("http://h0")) is None
    assert trials.recent("openai", config("http://h1")) == ("m",)
