"""Vectors from services, in both dialects, and which model a name means when it is to embed."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from sgoped.config import Settings
from sgoped.errors import NotFound, ServiceError
from sgoped.events import Bus
from sgoped.llm import Registry, open_registry
from sgoped.llm.address import Address
from sgoped.llm.kinds import Kinds
from sgoped.llm.ollama import OllamaService
from sgoped.llm.openai import OpenAIService
from sgoped.llm.service import Timeouts
from sgoped.state import open_state
from tests.fakes.meanings import meaning_of
from tests.fakes.scripts import Script
from tests.fakes.upstream import FakeUpstream
from tests.llm.doubles import SilentService

AnyService = OllamaService | OpenAIService
TEXTS = ["a car", "the doctor", "some money"]


def numbers(told: Any) -> list[Any]:
    """The vector in an element of either dialect's answer."""
    found: list[Any] = told["embedding"] if isinstance(told, dict) else told
    return found


def changed(told: list[Any], change: Callable[[list[Any]], None]) -> list[Any]:
    change(numbers(told[1]))
    return told


def set_to(value: Any) -> Callable[[list[Any]], Any]:
    return lambda told: changed(told, lambda vector: vector.__setitem__(3, value))


def filled(value: Any) -> Callable[[list[Any]], Any]:
    return lambda told: changed(
        told, lambda vector: vector.__setitem__(slice(None), [value] * len(vector))
    )


SPOILED: dict[str, Callable[[list[Any]], Any]] = {
    "too few": lambda told: told[:2],
    "too many": lambda told: [*told, told[0]],
    "none": lambda told: [],
    "no list": lambda told: {"0": told[0]},
    "null": lambda told: None,
    "null in it": lambda told: [told[0], None, told[2]],
    "text in it": lambda told: [told[0], "vector", told[2]],
    "one is shorter": lambda told: changed(told, lambda vector: vector.pop()),
    "one is empty": lambda told: changed(told, lambda vector: vector.clear()),
    "NaN": set_to(math.nan),
    "infinity": set_to(math.inf),
    "an endless integer": set_to(10**400),
    "text": set_to("0.5"),
    "true": set_to(True),
    "null number": set_to(None),
    "a list": set_to([0.5]),
    "all zero": filled(0.0),
    "too far away": filled(1.7e308),
    "too long": lambda told: changed(told, lambda vector: vector.extend([0.5] * 20_000)),
}


async def test_each_text_gets_its_vector_of_length_one(
    service: AnyService, upstream: FakeUpstream
) -> None:
    vectors = await service.embed("nomic:latest", TEXTS)
    assert upstream.embedded == TEXTS
    for text, vector in zip(TEXTS, vectors, strict=True):
        raw = meaning_of(text)
        assert vector == pytest.approx([number / math.hypot(*raw) for number in raw])


async def test_vectors_that_come_in_any_order_are_put_in_theirs(
    service: AnyService, upstream: FakeUpstream
) -> None:
    expected = await service.embed("nomic", TEXTS)
    if isinstance(service, OpenAIService):
        upstream.spoil = lambda told: told[::-1]
        assert await service.embed("nomic", TEXTS) == expected
        upstream.spoil = lambda told: [{"embedding": each["embedding"]} for each in told]
        assert await service.embed("nomic", TEXTS) == expected
        for index in (1, 7, None, "1", True, 0.5):
            upstream.spoil = lambda told, index=index: [
                told[0],
                told[1] | {"index": index},
                told[0],
            ]
            with pytest.raises(ServiceError, match="one usable vector for each text"):
                await service.embed("nomic", TEXTS)


@pytest.mark.parametrize("spoiled", SPOILED)
async def test_anything_else_is_refused_in_a_fixed_phrase(
    service: AnyService, upstream: FakeUpstream, spoiled: str
) -> None:
    upstream.spoil = SPOILED[spoiled]
    with pytest.raises(ServiceError) as caught:
        await service.embed("nomic", TEXTS)
    assert caught.value.code == "service_bad_vectors"
    assert caught.value.message == (
        "The service did not answer with one usable vector for each text"
    )


@pytest.mark.parametrize(
    ("fault", "phrase"),
    [
        ("html", "does not answer as an LLM service does"),
        ("trailing_html", "does not answer as an LLM service does"),
        ("json", "one usable vector"),
        ("401", "Authentication failed"),
        ("404", "Not found"),
        ("429", "Too many requests"),
        ("500", "The service failed"),
        ("302", "which is not followed"),
        ("reset_early", "Connection lost"),
    ],
)
async def test_what_is_no_answer_fails_as_it_does_for_a_chat(
    service: AnyService, upstream: FakeUpstream, fault: str, phrase: str
) -> None:
    upstream.behave(Script(fault=fault, fault_on=("embed",)))
    with pytest.raises(ServiceError, match=phrase) as caught:
        await service.embed("nomic", TEXTS)
    assert "10.1.2.3" not in caught.value.message


async def test_a_model_that_cannot_embed_is_told_from_other_refusals(
    service: AnyService, upstream: FakeUpstream
) -> None:
    words = "this model does not support embeddings"
    upstream.behave(Script(fault="400", fault_on=("embed",), error_body=words))
    with pytest.raises(ServiceError, match="cannot embed texts"):
        await service.embed("alpha", TEXTS)


async def test_more_than_can_be_read_is_not_read(
    service: AnyService, upstream: FakeUpstream
) -> None:
    upstream.spoil = lambda told: changed(told, lambda vector: vector.extend([0.123456] * 600_000))
    with pytest.raises(ServiceError, match="more at once than can be read"):
        await service.embed("nomic", TEXTS)


class TestInTime:
    @pytest.fixture
    def timeouts(self) -> Timeouts:
        return Timeouts(request_seconds=0.1)

    async def test_silence_is_not_waited_out(
        self, service: AnyService, upstream: FakeUpstream
    ) -> None:
        upstream.behave(Script(fault="stall_early", fault_on=("embed",)))
        with pytest.raises(ServiceError, match="Request timeout"):
            await service.embed("nomic", TEXTS)


@pytest.fixture
async def registry(tmp_path: Path, timeouts: Timeouts) -> AsyncIterator[Registry]:
    async with (
        open_state(tmp_path / "state.db", tmp_path / "backups") as state,
        open_registry(Settings(), state, Bus(), timeouts=timeouts) as opened,
    ):
        yield opened


async def add(registry: Registry, service_id: str, upstream: FakeUpstream) -> None:
    await registry.put(service_id, "ollama", {"host": upstream.url})
    await registry.refresh()


async def test_a_model_that_only_embeds_is_found_by_any_name_and_not_offered_for_chats(
    registry: Registry, upstream: FakeUpstream
) -> None:
    await add(registry, "home", upstream)
    assert "home/nomic:latest" not in [model.id for model in registry.models()]
    for name in ("nomic", "nomic:latest", "home/nomic:latest"):
        embedder = registry.embedder(name)
        assert embedder.model_id() == "home/nomic:latest", name
        assert len(await embedder.embed(TEXTS)) == 3
    assert registry.embedder("beta").model_id() == "home/beta"


async def test_the_model_is_looked_for_anew_each_time(
    registry: Registry, upstream: FakeUpstream
) -> None:
    embedder = registry.embedder("nomic")
    with pytest.raises(NotFound, match="'nomic' not available"):
        embedder.model_id()
    await add(registry, "one", upstream)
    assert embedder.model_id() == "one/nomic:latest"
    await add(registry, "two", upstream)
    with pytest.raises(NotFound) as caught:
        await embedder.embed(TEXTS)
    assert caught.value.code == "model_ambiguous"
    await registry.remove("one")
    assert embedder.model_id() == "two/nomic:latest"
    await registry.put("two", "ollama", {"host": upstream.url, "enabled": False})
    with pytest.raises(NotFound):
        embedder.model_id()


async def test_a_bare_name_never_means_a_remote_model(
    registry: Registry, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeUpstream() as remote:
        is_local = property(lambda address: address.url.port != remote.port)
        monkeypatch.setattr(Address, "is_local", is_local)
        embedder = registry.embedder("nomic")
        await add(registry, "remote", remote)
        for _ in range(2):
            with pytest.raises(NotFound, match="name it as remote/nomic:latest"):
                await embedder.embed(TEXTS)
            await add(registry, "home", upstream)
            assert embedder.model_id() == "home/nomic:latest"
            await registry.remove("home")
        assert remote.embedded == []
        assert len(await registry.embedder("remote/nomic:latest").embed(TEXTS)) == 3


async def test_the_id_of_a_service_that_told_nothing_yet_is_taken_at_its_word(
    registry: Registry, upstream: FakeUpstream
) -> None:
    upstream.behave(Script(fault="500", fault_on=("models",)))
    await registry.put("home", "openai", {"base_url": f"{upstream.url}/v1"})
    embedder = registry.embedder("home/nomic")
    assert embedder.model_id() == "home/nomic"
    assert len(await embedder.embed(TEXTS)) == 3


async def test_the_key_goes_with_the_texts_and_is_in_no_error(
    registry: Registry, upstream: FakeUpstream
) -> None:
    upstream.key = "sk-planted-secret-key"
    config = {"base_url": f"{upstream.url}/v1", "api_key": upstream.key}
    await registry.put("home", "openai", config)
    embedder = registry.embedder("home/nomic")
    assert len(await embedder.embed(TEXTS)) == 3
    upstream.key = "sk-another"
    with pytest.raises(ServiceError, match="Authentication") as caught:
        await embedder.embed(TEXTS)
    assert "sk-" not in caught.value.message


async def test_a_kind_that_cannot_embed_says_so_when_it_is_asked(
    tmp_path: Path, timeouts: Timeouts
) -> None:
    kinds = Kinds({"silent": SilentService})
    async with (
        open_state(tmp_path / "state.db", tmp_path / "backups") as state,
        open_registry(Settings(), state, Bus(), kinds=kinds, timeouts=timeouts) as registry,
    ):
        await registry.put("plug-in", "silent", {"base_url": "http://localhost:9/v1"})
        await registry.refresh()
        with pytest.raises(ServiceError, match="cannot embed"):
            await registry.embedder("silent").embed(TEXTS)
