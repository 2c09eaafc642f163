from __future__ import annotations

import pytest
from pydantic import SecretStr

from sgoped.errors import InvalidInput
from sgoped.llm.keys import REMEMBERED_SECONDS, KeyRing, placeholder
from sgoped.llm.openai import OpenAIConfig


def config(key: str, url: str = "https://api.example/v1") -> OpenAIConfig:
    return OpenAIConfig(base_url=url, api_key=SecretStr(key))


def filled(ring: KeyRing, service_id: str, url: str = "https://api.example/v1") -> str:
    return ring.fill_in(config(placeholder(service_id), url))[0].api_key.get_secret_value()


def test_the_key_of_a_removed_service_is_forgotten_after_some_minutes() -> None:
    now = [0.0]
    ring = KeyRing(clock=lambda: now[0])
    ring.keep("a", config("k"), from_environment=False)
    ring.forget("a")
    now[0] = REMEMBERED_SECONDS - 1
    assert filled(ring, "a") == "k"
    now[0] = REMEMBERED_SECONDS
    with pytest.raises(InvalidInput, match="Enter the key again"):
        filled(ring, "a")


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example/v1",
        "https://api.example:444/v1",
        "https://api.example.evil/v1",
        "https://evil/api.example/v1",
        "",
    ],
)
def test_a_key_goes_nowhere_else(url: str) -> None:
    ring = KeyRing()
    ring.keep("a", config("k"), from_environment=False)
    with pytest.raises(InvalidInput, match="another address"):
        filled(ring, "a", url)
    ring.forget("a")
    with pytest.raises(InvalidInput, match="another address"):
        filled(ring, "a", url)


def test_another_path_of_the_same_endpoint_is_the_same_place() -> None:
    ring = KeyRing()
    ring.keep("a", config("k"), from_environment=True)
    assert filled(ring, "a", "https://API.example:443/other") == "k"
    assert ring.fill_in(config(placeholder("a")))[1]


def test_a_service_without_a_key_has_nothing_to_stand_for() -> None:
    ring = KeyRing()
    ring.keep("a", config("k"), from_environment=False)
    ring.keep("a", config(""), from_environment=False)
    with pytest.raises(InvalidInput, match="not known"):
        filled(ring, "a")


def test_ids_with_spaces_have_placeholders_too() -> None:
    ring = KeyRing()
    ring.keep("my café", config("k"), from_environment=False)
    assert filled(ring, "my café") == "k"


def test_a_key_that_is_no_placeholder_is_left_as_it_is() -> None:
    given = config("plain")
    assert KeyRing().fill_in(given) == (given, False)
    assert "plain" not in repr(given)
