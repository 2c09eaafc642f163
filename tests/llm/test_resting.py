"""A service that fails is left alone, is seen to be, and is used again at once when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sgoped.config import Settings
from sgoped.errors import ServiceError
from sgoped.events import Bus, ServiceChanged
from sgoped.llm import Message, ModelChoice, Registry, ServiceInfo, open_registry
from sgoped.llm.capabilities import Capabilities
from sgoped.llm.guard import RESTING
from sgoped.llm.service import Timeouts
from sgoped.state import open_state
from tests.fakes.scripts import Script
from tests.fakes.upstream import FakeUpstream

HI = [Message("user", "hi")]
KINDS = ["ollama", "openai"]


@asynccontextmanager
async def opened(
    root: Path, bus: Bus | None = None, timeouts: Timeouts | None = None, **settings: Any
) -> AsyncIterator[Registry]:
    quick = Timeouts(first_token_seconds=0.2, request_seconds=5, retry_pause_seconds=0.01)
    async with (
        open_state(root / "state.db", root / "backups") as state,
        open_registry(
            Settings(**settings), state, bus or Bus(), timeouts=timeouts or quick
        ) as registry,
    ):
        yield registry


async def serve(registry: Registry, kind: str, url: str, **more: Any) -> ModelChoice:
    place = {"host": url} if kind == "ollama" else {"base_url": f"{url}/v1"}
    await registry.put("s", kind, {"name": "S", "models": ["beta"], **place, **more})
    await registry.refresh()
    choice = registry.find_model("s/beta")
    assert choice is not None
    return choice


def info(registry: Registry) -> ServiceInfo:
    return registry.services()[0]


async def failure_of(choice: ModelChoice) -> str:
    with pytest.raises(ServiceError) as raised:
        await choice.complete(HI)
    return raised.value.code


@pytest.mark.parametrize("kind", KINDS)
async def test_one_that_is_gone_is_left_alone_and_used_at_once_when_it_is_back(
    tmp_path: Path, upstream: FakeUpstream, kind: str
) -> None:
    bus = Bus()
    async with opened(tmp_path, bus) as registry:
        choice = await serve(registry, kind, upstream.url)
        await upstream.stop()
        codes = [await failure_of(choice) for _ in range(4)]
        assert codes == ["service_unreachable"] * 3 + [RESTING]
        shown = info(registry)
        assert (shown.circuit, shown.available) == ("open", False)
        assert shown.status.startswith("error: Connection failed")
        assert shown.retry_at is not None
        assert shown.failing_since is not None
        assert shown.failing_since < shown.retry_at
        assert registry.find_model("") is None
        await upstream.start()
        assert await choice.complete(HI) == "Hello, world"  # the first one, without a wait
        assert info(registry).circuit == "closed"
    statuses = [event.status for _, event in bus.since(0) if isinstance(event, ServiceChanged)]
    assert any(status.startswith("error: Connection") for status in statuses)


@pytest.mark.parametrize("kind", KINDS)
async def test_one_that_answers_probes_but_hangs_is_not_asked_again_and_again(
    tmp_path: Path, upstream: FakeUpstream, kind: str
) -> None:
    async with opened(tmp_path) as registry:
        choice = await serve(registry, kind, upstream.url)
        upstream.behave(Script(fault="stall_early"))
        codes = [await failure_of(choice) for _ in range(3)]
        assert codes == ["service_timeout"] * 3
        asked = len(upstream.chats)
        assert [await failure_of(choice) for _ in range(5)] == [RESTING] * 5
        assert len(upstream.chats) == asked
        assert info(registry).circuit == "open"
        assert info(registry).status.startswith("error: First token timeout")
        assert (await registry.health("s/beta")).status == info(registry).status
        upstream.behave(Script())
        await registry.refresh()
        assert await choice.complete(HI) == "Hello, world"
        assert (info(registry).status, info(registry).circuit) == ("online", "closed")


async def test_a_test_of_the_same_place_has_it_asked_again(
    tmp_path: Path, upstream: FakeUpstream
) -> None:
    async with opened(tmp_path) as registry:
        choice = await serve(registry, "ollama", upstream.url)
        upstream.behave(Script(fault="stall_early"))
        for _ in range(3):
            await failure_of(choice)
        assert info(registry).circuit == "open"
        upstream.behave(Script())
        assert (await registry.test("ollama", {"host": upstream.url, "models": ["beta"]})).ok
        assert info(registry).circuit == "closed"


@pytest.mark.parametrize("fault", ["401", "404", "429"])
async def test_a_refusal_is_no_failure_of_the_service(
    tmp_path: Path, upstream: FakeUpstream, fault: str
) -> None:
    async with opened(tmp_path) as registry:
        choice = await serve(registry, "openai", upstream.url)
        upstream.behave(Script(fault=fault, retry_after="3600"))
        for _ in range(6):
            assert await failure_of(choice) != RESTING
        assert info(registry).circuit == "closed"


async def test_with_the_setting_at_0_it_is_always_asked(
    tmp_path: Path, upstream: FakeUpstream
) -> None:
    async with opened(tmp_path, circuit_failures=0) as registry:
        choice = await serve(registry, "openai", upstream.url)
        await upstream.stop()
        assert {await failure_of(choice) for _ in range(6)} == {"service_unreachable"}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_list_from_before_says_that_it_is_stale(
    tmp_path: Path, upstream: FakeUpstream, kind: str
) -> None:
    async with opened(tmp_path) as registry:
        await serve(registry, kind, upstream.url, models=[])
        assert not info(registry).stale
        assert info(registry).checked_at is not None
        assert [model.stale for model in registry.models()] == [False, False]
    await upstream.stop()
    async with opened(tmp_path) as registry:
        assert info(registry).models == ("alpha:latest", "beta")
        assert info(registry).stale
        assert info(registry).checked_at is None
        await registry.refresh()
        assert info(registry).stale
        assert info(registry).checked_at is not None
        assert [model.stale for model in registry.models()] == [True, True]


async def learnt(registry: Registry, bus: Bus, name: str, expected: Capabilities) -> None:
    def known() -> list[Capabilities]:
        return [model.capabilities for model in registry.models() if model.name == name]

    async with asyncio.timeout(10):
        with bus.subscribe() as events:
            if known() == [expected]:
                return
            async for _ in events:
                if known() == [expected]:
                    return


async def test_what_models_can_do_is_learnt_once_for_each_version_and_kept(
    tmp_path: Path, upstream: FakeUpstream
) -> None:
    upstream.digests = {"alpha:latest": "one", "beta": "two"}
    upstream.shown = {"alpha:latest": {"capabilities": ["completion", "vision"]}}
    seeing = Capabilities(32768, thinking=False, vision=True, embeddings=False, digest="one")

    def shows() -> list[Any]:
        return [each.body["model"] for each in upstream.requests if each.path == "/api/show"]

    bus = Bus()
    async with opened(tmp_path, bus) as registry:
        await serve(registry, "ollama", upstream.url, models=[])
        await learnt(registry, bus, "alpha:latest", seeing)
        await learnt(registry, bus, "beta", Capabilities(digest="two"))
        await registry.refresh()
        assert sorted(shows()) == ["alpha:latest", "beta"]
    async with opened(tmp_path, bus) as registry:
        await learnt(registry, bus, "alpha:latest", seeing)  # from state.db
        upstream.digests["beta"] = "three"
        upstream.shown["beta"] = {"capabilities": ["completion", "thinking"]}
        await registry.refresh()
        thinking = Capabilities(None, thinking=True, vision=False, embeddings=False, digest="three")
        await learnt(registry, bus, "beta", thinking)
        assert sorted(shows()) == ["alpha:latest", "beta", "beta"]


async def test_what_a_list_tells_costs_no_request(tmp_path: Path, upstream: FakeUpstream) -> None:
    upstream.shown = {"beta": {"architecture": {"input_modalities": ["text", "image"]}}}
    bus = Bus()
    async with opened(tmp_path, bus) as registry:
        await serve(registry, "openai", upstream.url)
        await learnt(registry, bus, "beta", Capabilities(vision=True))
    assert {request.path for request in upstream.requests} == {"/v1/models"}


async def test_a_service_that_hangs_when_asked_what_its_models_can_do_delays_no_probe(
    tmp_path: Path, upstream: FakeUpstream
) -> None:
    upstream.behave(Script(fault="stall_early", fault_on=("show",)))
    async with opened(tmp_path) as registry:
        await serve(registry, "ollama", upstream.url)
        await upstream.until(lambda: any(each.path == "/api/show" for each in upstream.requests))
        await registry.refresh()
        assert info(registry).status == "online"
        assert registry.models()[0].capabilities == Capabilities()
