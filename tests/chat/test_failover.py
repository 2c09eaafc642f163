"""Another model answers only where the person listed it, before the first word, and is seen to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sgoped.chat import (
    Cancelled,
    ChatRequest,
    Completed,
    Content,
    ContextTold,
    Failed,
    RunEvent,
    ServiceTold,
    Started,
    UsageTold,
)
from sgoped.llm.address import Address
from sgoped.llm.configured import ConfiguredService
from sgoped.web.run_events import event_json
from tests.chat.world import World, events_of, open_world, said_in, until
from tests.fakes.scripts import Script
from tests.fakes.upstream import FakeUpstream
from tests.prompts.accounting import assert_told_exactly

KINDS = ["ollama", "openai"]


@asynccontextmanager
async def two(home: Path, kind: str, **settings: Any) -> AsyncIterator[tuple[World, FakeUpstream]]:
    """A world with the service ``s`` and, on another upstream, ``t``."""
    listed = {"fallback_models": ("t/beta",), **settings}
    async with (
        FakeUpstream(Script(chunks=("from t",))) as other,
        open_world(home, **listed) as world,
    ):
        await world.serve(kind)
        place = {"host": other.url, "base_url": f"{other.url}/v1"}
        await world.registry.put("t", kind, {"name": "T", "models": ["beta"], **place})
        await world.registry.refresh()
        yield world, other


def kinds(events: list[RunEvent]) -> list[str]:
    """The kinds of events but what goes along, which is told to each model that is asked."""
    return [type(event).__name__ for event in events if not isinstance(event, ContextTold)]


def told(events: list[RunEvent]) -> list[ServiceTold]:
    return [event for event in events if isinstance(event, ServiceTold)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["stop", "500", "401", "404", "reset_early", "html"])
async def test_the_listed_model_answers_and_the_stream_says_so(
    home: Path, kind: str, fault: str
) -> None:
    async with two(home, kind) as (world, _):
        if fault == "stop":
            await world.upstream.stop()
        else:
            world.upstream.behave(Script(fault=fault))
        run = world.chat.start(ChatRequest("hello", model="s/beta"))
        events = await events_of(run)
        assert kinds(events) == ["Started", "ServiceTold", "Content", "UsageTold", "Completed"]
        assert isinstance(events[0], Started)
        assert events[0].model == "s/beta"
        (service,) = told(events)
        assert (service.failed_model, service.model) == ("s/beta", "t/beta")
        assert "s/beta cannot answer (" in service.message
        assert run.text == said_in(events) == "from t"
        (usage,) = [event for event in events if isinstance(event, UsageTold)]
        assert usage.model == "t/beta"
        shown = [event_json(event, typed=False) for event in events]
        lines = [each["content"] for each in shown if each and each["type"] == "content"]
        assert lines == [f"{service.message}\n\n", "from t"]
        typed = event_json(service, typed=True)
        assert typed is not None
        assert (typed["type"], typed["model"]) == ("service", "t/beta")


@pytest.mark.parametrize("kind", KINDS)
async def test_each_model_is_told_what_it_is_sent_with_history_and_what_was_found(
    home: Path, kind: str
) -> None:
    async with two(home, kind) as (world, other):
        other.windows["beta"] = 2500
        await world.registry.refresh()
        files = {
            "big.md": "".join(f"filler {line} about pumps\n" for line in range(2000)),
            "earlier.md": "".join(f"earlier {line}\n" for line in range(300)),
            "d/walrus.md": "".join(f"line {line}\n" for line in range(200))
            + "The walrus sleeps below the pier at noon.\n"
            + "more\n" * 200,
        }
        await world.write(files)
        asked = {"conversation_id": "c", "model": "s/beta", "context": "auto"}
        await world.ask("what is in @earlier.md?", **asked)
        world.upstream.behave(Script(fault="500"))
        question = "Where does the walrus sleep at noon? See @big.md"
        events = await world.ask(question, **asked)
        contexts = [event for event in events if isinstance(event, ContextTold)]
        for context, upstream in zip(contexts, (world.upstream, other), strict=True):
            prompt = upstream.chats[-1].body["messages"][-1]["content"]
            assert_told_exactly(prompt, question, context.items, files)
            assert [item.why for item in context.items] == ["referenced", "history", "retrieved"]
            assert context.history.whole == 2
        assert contexts[0].items[0].lines != contexts[1].items[0].lines


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["reset", "error", "close"])
async def test_never_after_the_first_word(home: Path, kind: str, fault: str) -> None:
    async with two(home, kind) as (world, other):
        world.upstream.behave(Script(fault=fault, fault_at=1))
        events = await world.ask("hello", model="s/beta")
        assert kinds(events) == ["Started", "Content", "UsageTold", "Failed"]
        assert other.chats == []


async def test_never_after_the_first_thought(home: Path) -> None:
    async with two(home, "ollama") as (world, other):
        world.upstream.behave(Script(reasoning=("hm",), fault="reset", fault_at=0))
        events = await world.ask("hello", model="s/beta")
        assert isinstance(events[-1], Failed)
        assert other.chats == []


@pytest.mark.parametrize("fault", ["400", "500"])
async def test_without_the_setting_nobody_stands_in(home: Path, fault: str) -> None:
    async with two(home, "openai", fallback_models=()) as (world, other):
        world.upstream.behave(Script(fault=fault))
        events = await world.ask("hello", model="s/beta")
        assert kinds(events) == ["Started", "UsageTold", "Failed"]
        assert other.chats == []


async def test_a_request_that_is_itself_wrong_goes_to_nobody_else(home: Path) -> None:
    async with two(home, "openai") as (world, other):
        world.upstream.behave(Script(fault="400", error_body="maximum context length exceeded"))
        assert isinstance((await world.ask("hello", model="s/beta"))[-1], Failed)
        assert other.chats == []


async def test_one_that_is_down_itself_is_passed_over(home: Path) -> None:
    listed = ("gone/beta", "s/beta", "t/beta", "u/beta")
    async with two(home, "openai", fallback_models=listed) as (world, other):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        await world.registry.put("u", "openai", {"name": "U", "models": ["beta"], "base_url": url})
        await world.registry.refresh()
        other.behave(Script(fault="500"))
        world.upstream.behave(Script(fault="503"))
        events = await world.ask("hello", model="s/beta")
        assert [service.model for service in told(events)] == ["t/beta"]
        assert isinstance(events[-1], Failed)


async def test_one_that_is_left_alone_is_not_waited_for(home: Path) -> None:
    async with two(home, "ollama", first_token_timeout_seconds=0.2) as (world, _):
        world.upstream.behave(Script(fault="stall_early"))
        for _ in range(3):
            await world.ask("hello", model="s/beta")
        asked = len(world.upstream.chats)
        events = await world.ask("hello", model="s/beta")
        assert said_in(events) == "from t"
        assert "fails since" in told(events)[0].message
        assert len(world.upstream.chats) == asked


@pytest.mark.parametrize("kind", KINDS)
async def test_without_a_stand_in_it_fails_at_once_and_says_when_it_is_tried(
    home: Path, kind: str
) -> None:
    quick = {"first_token_timeout_seconds": 0.2, "fallback_models": ()}
    async with two(home, kind, **quick) as (world, other):
        world.upstream.behave(Script(fault="stall_early"))
        for _ in range(3):
            await world.ask("hello", model="s/beta")
        asked = len(world.upstream.requests)
        (started, end) = await world.ask("hello", model="s/beta")
        assert isinstance(started, Started)
        assert isinstance(end, Failed)
        assert end.message.startswith("First token timeout")
        assert "fails since" in end.message
        assert "tried next at" in end.message
        assert len(world.upstream.chats) == 3
        assert {each.path for each in world.upstream.requests[asked:]} <= {
            "/api/tags",
            "/v1/models",
        }
        await world.registry.remove("t")
        events = await world.ask("hello", model="s/beta")
        assert said_in(events).startswith("No model is available (First token timeout")
        assert other.chats == []


async def test_a_remote_one_stands_in_for_a_local_default_only_where_it_is_listed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = property(lambda service: service.id != "t")
    monkeypatch.setattr(ConfiguredService, "is_local", elsewhere)
    for listed in ((), ("t/beta",)):
        async with two(home / f"{len(listed)}", "ollama", fallback_models=listed) as (world, other):
            await world.registry.set_default("s/beta")
            await world.upstream.stop()
            await world.registry.refresh()
            events = await world.ask("hello")
            assert isinstance(events[-1], Completed)
            if not listed:
                assert said_in(events).startswith("No model is available")
                assert other.chats == []
                continue
            assert said_in(events) == "from t"
            (service,) = told(events)
            assert (service.failed_model, service.model) == ("s/beta", "t/beta")


async def test_what_the_other_model_gets_is_told_again(home: Path) -> None:
    async with two(home, "openai") as (world, other):
        await world.write({"a.md": "walrus"})
        world.upstream.behave(Script(fault="500"))
        events = await world.ask("what is in @a.md?", model="s/beta")
        names = [type(event).__name__ for event in events]
        order = [name for name in names if name in ("ContextTold", "ServiceTold")]
        assert order == ["ContextTold", "ServiceTold", "ContextTold"]
        assert all(event.items for event in events if isinstance(event, ContextTold))
        assert "walrus" in str(other.chats[-1].body)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stopped_and_a_failed_answer_tell_what_they_took(home: Path, kind: str) -> None:
    async with two(home, kind, fallback_models=()) as (world, _):
        world.upstream.behave(Script(gate_at=2))
        run = world.chat.start(ChatRequest("hello", model="s/beta"))
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(events_of(run))
            await until(run, ", ")
            world.chat.stop(run.stream_id)
        stopped = reading.result()
        assert kinds(stopped)[-2:] == ["UsageTold", "Cancelled"]
        world.upstream.behave(Script(fault="reset", fault_at=2))
        failed = await world.ask("hello", model="s/beta")
        assert kinds(failed)[-2:] == ["UsageTold", "Failed"]
        for usage in (stopped[-2], failed[-2]):
            assert isinstance(usage, UsageTold)
            assert usage.first_token_seconds is not None
            assert usage.completion_tokens is None
            assert usage.estimated_prompt_tokens > 0
        world.upstream.behave(Script())
        await world.ask("hello", model="s/beta")
        total = world.chat.usage.models()["s/beta"]
        assert (total.runs, total.prompt_tokens, total.completion_tokens) == (3, 7, 3)
        assert total.first_token_seconds is not None


async def test_the_confirmation_of_an_action_tells_what_it_took(served: World) -> None:
    events = await served.ask("x", selected_action="add_knowledge", knowledge_filename="n")
    assert kinds(events)[-2:] == ["UsageTold", "Completed"]
    assert any(isinstance(event, Content) for event in events)
    assert served.chat.usage.models()["s/beta"].runs == 1


async def test_stopped_before_a_word_it_is_cancelled_and_nobody_else_is_asked(home: Path) -> None:
    async with two(home, "openai") as (world, other):
        world.upstream.behave(Script(gate_at=-1))
        run = world.chat.start(ChatRequest("hello", model="s/beta"))
        await world.upstream.until(lambda: bool(world.upstream.chats))
        world.chat.stop(run.stream_id)
        assert isinstance((await events_of(run))[-1], Cancelled)
        assert other.chats == []


async def test_a_bare_name_lists_a_local_model_only(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two(home, "openai", fallback_models=("other",)) as (world, other):
        place = {"base_url": f"{other.url}/v1", "models": ["other"]}
        await world.registry.put("t", "openai", {"name": "T", **place})
        world.upstream.behave(Script(fault="500"))
        assert said_in(await world.ask("hello", model="s/beta")).endswith("from t")
        is_local = property(lambda address: address.url.port != other.port)
        monkeypatch.setattr(Address, "is_local", is_local)
        asked = len(other.chats)
        events = await world.ask("hello", model="s/beta")
        assert isinstance(events[-1], Failed)
        assert len(other.chats) == asked
