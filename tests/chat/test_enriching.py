"""Summaries that wait for a model: made once, by one, and never over what a person wrote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sgoped.actions import open_actions
from sgoped.chat import Attachment, ChatRequest, Enricher, open_chat, open_enricher
from sgoped.chat.enriching import MAX_ATTEMPTS
from sgoped.config import Settings
from sgoped.errors import Conflict, NotFound
from sgoped.events import Bus, EnrichmentChanged, SettingsChanged
from sgoped.llm import open_registry
from sgoped.llm.address import Address
from sgoped.memory import open_memory
from sgoped.state import Enrichment, Enrichments, open_state
from tests.chat.world import World, events_of, said_in, until
from tests.fakes.scripts import Script
from tests.fakes.upstream import FakeUpstream
from tests.memory.opening import paths_below

TEXT = "The walrus sleeps at noon. " * 8
KINDS = ["ollama", "openai"]


class Waiting:
    """A world with a queue, which can be closed and opened again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.upstream = FakeUpstream(Script(chunks=("In ", "short.")))

    @asynccontextmanager
    async def open(self, **settings: Any) -> AsyncIterator[tuple[World, Enricher]]:
        paths = paths_below(self.home / "sgoped")
        configured = Settings(
            quiet_seconds=0.02, max_delay_seconds=0.1, connect_timeout_seconds=2, **settings
        )
        bus, actions = Bus(), open_actions()
        async with (
            open_state(paths.state_db, paths.backups_dir) as state,
            open_memory(paths, configured, state, bus) as memory,
            open_registry(configured, state, bus) as registry,
            open_enricher(
                memory,
                registry,
                state,
                bus,
                first_pause_seconds=0.01,
                is_on=configured.enrich_later,
            ) as later,
            open_chat(memory, registry, actions, configured, bus, state=state, later=later) as chat,
        ):
            await memory.refresh()
            world = World(memory, registry, actions, chat, bus, self.upstream, configured, state)
            yield world, later


@pytest.fixture
async def waiting(home: Path) -> AsyncIterator[Waiting]:
    made = Waiting(home)
    await made.upstream.start()
    yield made
    await made.upstream.stop()


async def save(world: World, name: str = "n", **fields: Any) -> str:
    events = await world.ask(
        TEXT, selected_action="add_knowledge", knowledge_filename=name, **fields
    )
    assert f"Saved as {name}.md" in said_in(events)
    return f"{name}.md"


async def ended(world: World, later: Enricher, number: int = 0) -> Enrichment:
    """One of those that were added, once it has ended."""
    return await reached(world, later, ("done", "skipped", "failed"), number)


async def reached(
    world: World, later: Enricher, states: tuple[str, ...], number: int = 0
) -> Enrichment:
    async with asyncio.timeout(20):
        with world.bus.subscribe() as events:
            if later.all()[number].state in states:
                return later.all()[number]
            async for _, event in events:
                if isinstance(event, EnrichmentChanged) and later.all()[number].state in states:
                    return later.all()[number]
    raise AssertionError


@pytest.mark.parametrize("kind", KINDS)
async def test_a_file_saved_while_its_service_is_down_gets_its_summary_when_it_is_up(
    waiting: Waiting, kind: str
) -> None:
    async with waiting.open() as (world, later):
        await world.serve(kind)
        await waiting.upstream.stop()
        path = await save(world, attachments=(Attachment("up.txt", "one"),))
        before = world.files()[path]
        (row,) = later.all()
        assert (row.state, row.path) == ("queued", path)
        await waiting.upstream.start()
        row = await ended(world, later)
        assert (row.state, row.why, row.attempts) == ("done", "", 1)
        after = world.files()[path]
        assert "## Summary\n\n> In short.\n\n## Summary of up.txt\n\n> In short.\n\n" in after
        assert (
            after.replace("## Summary\n\n> In short.\n\n", "").replace(
                "## Summary of up.txt\n\n> In short.\n\n", ""
            )
            == before
        )
        assert [version.reason for version in await world.memory.versions(path)] == ["overwritten"]
        (told, *_) = [e for _, e in world.bus.since(0) if isinstance(e, EnrichmentChanged)]
        assert (told.path, told.state) == (path, "queued")


async def test_a_name_made_from_the_content_stays(waiting: Waiting) -> None:
    async with waiting.open() as (world, later):
        events = await world.ask(TEXT, selected_action="add_knowledge")
        assert "walrus_sleeps" in said_in(events)
        (path,) = world.files()
        await world.serve()
        assert (await ended(world, later)).state == "done"
        assert list(world.files()) == [path]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_model_that_dies_on_the_way_is_asked_for_the_rest_later(
    waiting: Waiting, kind: str
) -> None:
    async with waiting.open() as (world, later):
        await world.serve(kind)
        waiting.upstream.behave(Script(fault="reset", fault_at=1, chunks=("In ", "short.")))
        path = await save(world)
        waiting.upstream.behave(Script(chunks=("In ", "short.")))
        assert (await ended(world, later)).state == "done"
        assert "> In short." in world.files()[path]


async def test_what_a_person_changed_meanwhile_is_left_alone(waiting: Waiting) -> None:
    async with waiting.open() as (world, later):
        for name in ("changed", "gone"):
            await save(world, name)
        await world.write({"changed.md": "mine now"})
        (world.root / "gone.md").unlink()
        await world.memory.refresh()
        await world.serve()
        rows = [await ended(world, later, number) for number in (0, 1)]
        assert [(row.state, row.why) for row in rows] == [
            ("skipped", "changed"),
            ("skipped", "gone"),
        ]
        assert world.files() == {"changed.md": "mine now"}
        assert waiting.upstream.chats == []


async def test_what_is_changed_while_the_model_writes_is_left_alone(waiting: Waiting) -> None:
    async with waiting.open() as (world, later):
        await save(world)
        waiting.upstream.behave(Script(gate_at=1))
        await world.serve()
        await waiting.upstream.until(lambda: bool(waiting.upstream.chats))
        await world.write({"n.md": "mine now"})
        waiting.upstream.open_gate()
        row = await ended(world, later)
        assert (row.state, row.why) == ("skipped", "changed")
        assert world.files() == {"n.md": "mine now"}


async def test_a_renamed_file_takes_what_waits_for_it_along(waiting: Waiting) -> None:
    async with waiting.open() as (world, later):
        await save(world)
        await world.memory.rename("n.md", "sub/m.md")
        await later.moved("n.md", "sub/m.md")
        await world.memory.rename("sub", "folder")
        await later.moved("sub", "folder")
        await world.serve()
        row = await ended(world, later)
        assert (row.state, row.path) == ("done", "folder/m.md")
        assert "> In short." in (world.root / "folder" / "m.md").read_text()


async def test_it_survives_the_end_of_the_daemon(waiting: Waiting) -> None:
    async with waiting.open() as (world, _):
        await world.serve()
        await waiting.upstream.stop()
        await save(world)
    await waiting.upstream.start()
    async with waiting.open() as (world, later):
        assert (await ended(world, later)).state == "done"
        assert world.files()["n.md"].count("> In short.") == 1
    async with waiting.open() as (world, later):
        assert [row.state for row in later.all()] == ["done"]


async def test_what_was_written_before_a_kill_is_not_written_twice(waiting: Waiting) -> None:
    """A kill between the save and the note of it leaves the row as one that is being worked on."""
    async with waiting.open() as (world, later):
        await save(world)
        (before,) = later.all()
        await world.serve()
        assert (await ended(world, later)).state == "done"
        asked = len(waiting.upstream.chats)
    paths = paths_below(waiting.home / "sgoped")
    async with open_state(paths.state_db, paths.backups_dir) as state:
        unnoted = {"state": "working", "attempts": 1}
        await Enrichments(state).save(Enrichment(**{**_fields(before), **unnoted}))
    async with waiting.open() as (world, later):
        assert (await ended(world, later)).state == "done"
        assert world.files()["n.md"].count("> In short.") == 1
        assert len(waiting.upstream.chats) == asked


def _fields(row: Enrichment) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}


@pytest.mark.parametrize("kind", KINDS)
async def test_it_steps_back_for_a_person_on_the_same_service(waiting: Waiting, kind: str) -> None:
    async with waiting.open() as (world, later):
        await save(world)
        waiting.upstream.behave(Script(gate_at=1, chunks=("a", "b")))
        await world.serve(kind)
        await waiting.upstream.until(lambda: len(waiting.upstream.chats) == 1)
        run = world.chat.start(ChatRequest("hello", model="s/beta"))
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(events_of(run))
            await until(run, "a")
            await waiting.upstream.client_closed()
            assert waiting.upstream.live_streams == 1
            assert later.all()[0].state == "working"
            waiting.upstream.open_gate()
        assert said_in(reading.result()) == "ab"
        row = await ended(world, later)
        assert (row.state, row.attempts) == ("done", 1)


async def test_a_model_that_never_answers_is_given_up_and_can_be_tried_again(
    waiting: Waiting,
) -> None:
    async with waiting.open(circuit_failures=0) as (world, later):
        await save(world)
        waiting.upstream.behave(Script(fault="404"))
        await world.serve()
        row = await ended(world, later)
        assert (row.state, row.attempts) == ("failed", MAX_ATTEMPTS)
        assert "404" in row.why
        waiting.upstream.behave(Script())
        assert (await later.retry(row.id)).attempts == 0
        assert (await ended(world, later)).state == "done"
        with pytest.raises(Conflict):
            await later.retry(row.id)


async def test_one_that_is_cancelled_touches_nothing(waiting: Waiting) -> None:
    async with waiting.open() as (world, later):
        for name in ("working", "waiting"):
            await save(world, name)
        waiting.upstream.behave(Script(gate_at=1))
        await world.serve()
        await waiting.upstream.until(lambda: bool(waiting.upstream.chats))
        for row in reversed(later.all()):
            await later.cancel(row.id)
        await waiting.upstream.client_closed()
        assert later.all() == []
        assert all("> " not in text for text in world.files().values())
        with pytest.raises(NotFound):
            await later.cancel("nobody")
    async with waiting.open() as (_, later):
        assert later.all() == []


async def test_the_model_that_was_named_is_waited_for(waiting: Waiting) -> None:
    """Another service does not see what was meant for this one."""
    async with FakeUpstream() as other, waiting.open() as (world, later):
        await world.serve(service_id="named")
        await waiting.upstream.stop()
        await save(world, model="named/beta")
        place = {"name": "T", "models": ["beta"], "base_url": f"{other.url}/v1"}
        await world.registry.put("t", "openai", place)
        await world.registry.refresh()
        assert later.all()[0].state == "queued"
        await waiting.upstream.start()
        assert (await ended(world, later)).state == "done"
        assert other.chats == []


@asynccontextmanager
async def with_a_remote(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FakeUpstream]:
    """A second service, ``away``, which is taken for one that is not on this machine."""
    async with FakeUpstream(Script(chunks=("Elsewhere.",))) as other:
        is_local = property(lambda address: address.url.port != other.port)
        monkeypatch.setattr(Address, "is_local", is_local)
        place = {"name": "Away", "models": ["beta"], "base_url": f"{other.url}/v1"}
        await world.registry.put("away", "openai", place)
        await world.registry.refresh()
        yield other


async def settled(world: World) -> None:
    """Give the queue its chance: a change wakes it, and it looks before this returns."""
    await world.registry.refresh()
    for _ in range(20):
        world.bus.publish(SettingsChanged("default_model"))
        await asyncio.sleep(0.005)


async def test_what_was_kept_for_a_local_model_is_not_sent_to_a_remote_default(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with waiting.open() as (world, later):
        await world.serve(service_id="home")
        await world.registry.set_default("home/beta")
        await waiting.upstream.stop()
        await save(world)
        assert (later.all()[0].model, later.all()[0].may_leave) == ("home/beta", False)
        async with with_a_remote(world, monkeypatch) as other:
            await world.registry.set_default("away/beta")
            await settled(world)
            await world.registry.remove("home")
            await settled(world)
            assert later.all()[0].state == "queued"
            assert other.chats == []
            await waiting.upstream.start()
            await world.serve(service_id="home")
            assert (await ended(world, later)).state == "done"
            assert other.chats == []


async def test_what_was_kept_without_any_model_waits_for_a_local_one(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with waiting.open() as (world, later):
        await save(world)
        async with with_a_remote(world, monkeypatch) as other:
            await settled(world)
            assert later.all()[0].state == "queued"
            assert other.chats == []
            await later.retry(later.all()[0].id)
            assert (await ended(world, later)).state == "done"
            assert "> Elsewhere." in world.files()["n.md"]


async def test_a_local_model_that_moves_away_is_not_sent_what_waits_for_it(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with waiting.open() as (world, later):
        await world.serve(service_id="away")
        await waiting.upstream.stop()
        await save(world, model="away/beta")
        async with with_a_remote(world, monkeypatch) as other:
            await settled(world)
            assert later.all()[0].state == "queued"
            assert other.chats == []


@pytest.mark.parametrize("model", ["", "away/beta", "never chosen"])
async def test_the_remote_model_that_was_meant_is_asked_also_after_a_restart(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    async with AsyncExitStack() as stack:
        async with waiting.open() as (world, _):
            other = await stack.enter_async_context(with_a_remote(world, monkeypatch))
            if model != "never chosen":
                await world.registry.set_default("away/beta")
            await other.stop()
            await world.registry.refresh()
            await save(world, model=model if model == "away/beta" else "")
        await other.start()
        async with waiting.open() as (world, later):
            assert (await ended(world, later)).state == "done"
            assert "> Elsewhere." in world.files()["n.md"]


async def test_what_waits_goes_on_waiting_once_it_is_switched_off(waiting: Waiting) -> None:
    async with waiting.open() as (world, _):
        await save(world)
    async with waiting.open(enrich_later=False) as (world, later):
        await world.serve()
        await settled(world)
        assert [row.state for row in later.all()] == ["queued"]
        assert waiting.upstream.chats == []


async def test_a_file_that_is_ignored_meanwhile_is_not_sent(waiting: Waiting) -> None:
    async with waiting.open() as (world, later):
        await save(world)
        await world.write({".sgopedignore": "n.md\n"})
        await world.serve()
        row = await ended(world, later)
        assert (row.state, row.why) == ("skipped", "gone")
        assert waiting.upstream.chats == []


async def test_with_the_setting_off_nothing_waits(waiting: Waiting) -> None:
    async with waiting.open(enrich_later=False) as (world, later):
        await save(world)
        assert later.all() == []


async def test_no_more_wait_than_can_be_meant(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sgoped.chat.enriching.MAX_WAITING", 2)
    async with waiting.open() as (world, later):
        for name in ("a", "b", "c"):
            await save(world, name)
        assert [row.path for row in later.all()] == ["a.md", "b.md"]
