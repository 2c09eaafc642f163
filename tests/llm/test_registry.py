from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sgoped.config import Settings
from sgoped.errors import InvalidInput, NotFound, StorageError
from sgoped.events import Bus, Event, ServiceChanged, SettingsChanged
from sgoped.llm import Message, Registry, TextDelta, open_registry
from sgoped.llm.service import Timeouts
from sgoped.state import ServiceRow, State, open_state
from tests.fakes.scripts import Script
from tests.fakes.upstream import FakeUpstream

KEY = "sk-planted-secret"


class Desk:
    """A registry on a real state.db that can be opened again, as after a restart."""

    def __init__(self, root: Path, timeouts: Timeouts) -> None:
        self.root = root
        self.timeouts = timeouts
        self.bus = Bus()

    @asynccontextmanager
    async def open(self, **settings: Any) -> AsyncIterator[Registry]:
        async with (
            open_state(self.root / "state.db", self.root / "backups") as state,
            open_registry(Settings(**settings), state, self.bus, timeouts=self.timeouts) as opened,
        ):
            yield opened

    def events(self) -> list[Event]:
        return [event for _, event in self.bus.since(0)]

    async def until_status(self, registry: Registry, service_id: str, beginning: str) -> None:
        def status() -> str:
            return next(s.status for s in registry.services() if s.id == service_id)

        async with asyncio.timeout(10):
            with self.bus.subscribe() as events:
                if status().startswith(beginning):
                    return
                async for _, event in events:
                    if isinstance(event, ServiceChanged) and status().startswith(beginning):
                        return


@pytest.fixture
def desk(tmp_path: Path, timeouts: Timeouts) -> Desk:
    return Desk(tmp_path, timeouts)


def ollama(upstream: FakeUpstream, **more: Any) -> dict[str, Any]:
    return {"name": "Home", "host": upstream.url, **more}


def openai(upstream: FakeUpstream, **more: Any) -> dict[str, Any]:
    return {"name": "Cloud", "base_url": f"{upstream.url}/v1", "api_key": KEY, **more}


async def test_a_first_start_is_a_clean_slate(desk: Desk) -> None:
    async with desk.open() as registry:
        assert registry.services() == []
        assert registry.models() == []
        assert registry.default_model() is None
        assert registry.find_model("") is None
        with pytest.raises(NotFound, match="Model 'x' not available") as raised:
            registry.find_model("x")
        assert raised.value.code == "model_not_found"
        await registry.refresh()


async def test_a_service_is_probed_in_the_background_after_it_was_added(
    desk: Desk, upstream: FakeUpstream
) -> None:
    async with desk.open() as registry:
        info = await registry.put("home", "ollama", ollama(upstream))
        assert (info.status, info.available, info.models) == ("configured", True, ())
        await desk.until_status(registry, "home", "online")
        assert registry.services()[0].models == ("alpha:latest", "beta")
        assert [model.id for model in registry.models()] == ["home/alpha:latest", "home/beta"]
    assert ServiceChanged("home", "configured") in desk.events()
    assert ServiceChanged("home", "online") in desk.events()
    assert upstream.chats == []


async def test_nothing_waits_for_a_service_that_does_not_answer(
    desk: Desk, upstream: FakeUpstream
) -> None:
    upstream.behave(Script(fault="stall_early", fault_on=("models", "show")))
    async with desk.open() as registry:
        await registry.put("home", "ollama", ollama(upstream, models=["alpha:latest"]))
        assert registry.services()[0].status == "configured"
        assert registry.default_model() == "home/alpha:latest"
        assert (await registry.health("home/alpha:latest")).checked_at is None
        choice = registry.find_model("")
        assert choice is not None


async def test_services_and_their_order_survive_a_restart(
    desk: Desk, upstream: FakeUpstream
) -> None:
    async with desk.open() as registry:
        await registry.put("b", "openai", openai(upstream, models=["gpt"]))
        await registry.put("a", "ollama", ollama(upstream))
        await desk.until_status(registry, "a", "online")
        await registry.set_default("a/beta")
        await registry.put("b", "openai", openai(upstream, models=["gpt", "other"]))
    await upstream.stop()
    async with desk.open() as registry:
        services = registry.services()
        assert [(s.id, s.kind, s.name) for s in services] == [
            ("b", "openai", "Cloud"),
            ("a", "ollama", "Home"),
        ]
        assert services[0].models == ("gpt", "other")
        assert services[1].models == ("alpha:latest", "beta")  # as discovered before
        assert registry.default_model() == "a/beta"
        await desk.until_status(registry, "a", "error: Connection failed")
        assert registry.default_model() == "a/beta"
        assert not registry.services()[1].available


async def test_down_and_back(desk: Desk, upstream: FakeUpstream) -> None:
    async with desk.open() as registry:
        await registry.put("home", "ollama", ollama(upstream))
        await desk.until_status(registry, "home", "online")
        await upstream.stop()
        await registry.refresh()
        assert registry.services()[0].status.startswith("error: Connection failed")
        assert registry.find_model("") is None
        assert registry.find_model("home/beta") is not None  # a named one is tried
        await upstream.start()
        await desk.until_status(registry, "home", "online")  # without anybody asking
        assert registry.find_model("") is not None


async def test_a_chat_that_fails_or_works_corrects_the_status(
    desk: Desk, upstream: FakeUpstream
) -> None:
    async with desk.open() as registry:
        await registry.put("home", "ollama", ollama(upstream))
        await desk.until_status(registry, "home", "online")
        await upstream.stop()
        choice = registry.find_model("home/beta")
        assert choice is not None
        with pytest.raises(Exception, match="Connection failed"):
            await choice.complete([Message("user", "hi")])
        await desk.until_status(registry, "home", "error")


async def test_a_service_that_refuses_the_key_says_so(desk: Desk, upstream: FakeUpstream) -> None:
    upstream.key = "another"
    async with desk.open() as registry:
        await registry.put("cloud", "openai", openai(upstream, models=["gpt"]))
        await desk.until_status(registry, "cloud", "error: Authentication failed (401)")
        assert registry.services()[0].models == ("gpt",)
        assert not registry.models()[0].available


async def test_an_answer_is_streamed_from_the_found_model(
    desk: Desk, upstream: FakeUpstream
) -> None:
    async with desk.open() as registry:
        await registry.put("home", "ollama", ollama(upstream))
        await desk.until_status(registry, "home", "online")
        for name in ("", "beta", "home/beta", "alpha", "alpha:latest", "home/alpha"):
            choice = registry.find_model(name)
            assert choice is not None
            assert await choice.complete([Message("user", "hi")]) == "Hello, world"
        asked = [chat.body["model"] for chat in upstream.chats]
        assert asked == ["alpha:latest", "beta", "beta"] + ["alpha:latest"] * 3


async def test_equal_names_get_distinct_ids_that_do_not_change(
    desk: Desk, upstream: FakeUpstream
) -> None:
    async with desk.open() as registry:
        await registry.put("one", "ollama", ollama(upstream, models=["beta"]))
        before = registry.models()[0].id
        assert registry.find_model("beta") is not None
        await registry.put("two", "ollama", ollama(upstream, models=["beta"]))
        assert [model.id for model in registry.models()] == [before, "two/beta"]
        assert sum(model.is_default for model in registry.models()) == 1
        with pytest.raises(NotFound, match="one/beta, two/beta") as raised:
            registry.find_model("beta")
        assert raised.value.code == "model_ambiguous"


async def test_an_id_of_a_service_that_was_not_heard_yet_is_tried(
    desk: Desk, upstream: FakeUpstream
) -> None:
    async with desk.open() as registry:
        await registry.put("home", "ollama", ollama(upstream))
        choice = registry.find_model("home/beta")
        assert choice is not None
        assert await choice.complete([Message("user", "hi")]) == "Hello, world"


async def test_test_tells_what_would_be_and_keeps_nothing(
    desk: Desk, upstream: FakeUpstream
) -> None:
    async with desk.open() as registry:
        good = await registry.test("ollama", ollama(upstream))
        assert (good.ok, good.models, good.error) == (True, ("alpha:latest", "beta"), "")
        good = await registry.test("openai", openai(upstream, models=[]))
        assert good.models == ("alpha:latest", "beta")
        assert registry.services() == []
        assert upstream.chats == []


@pytest.mark.parametrize(
    ("fault", "mark"),
    [("401", "401"), ("403", "403"), ("404", "404"), ("html", "web page"), ("500", "500")],
)
@pytest.mark.parametrize("kind", ["ollama", "openai"])
async def test_test_says_what_went_wrong(
    *, desk: Desk, upstream: FakeUpstream, kind: str, fault: str, mark: str
) -> None:
    upstream.behave(Script(fault=fault, fault_on=("models", "chat")))
    async with desk.open() as registry:
        bad = await registry.test(kind, {**ollama(upstream), **openai(upstream, models=["m"])})
        assert not bad.ok
        assert mark in bad.error
        assert upstream.url.rsplit(":", 1)[1] not in bad.error
        assert KEY not in bad.error


@pytest.mark.parametrize(
    ("kind", "config", "mark"),
    [
        ("nonsense", {}, "choose from ollama, openai"),
        ("ollama", {"host": "file:///etc/passwd"}, "Only http"),
        ("ollama", {"host": "http://169.254.169.254"}, "never asked"),
        ("ollama", {"host": 5}, "host"),
        ("openai", {"base_url": "http://u:p@h/"}, "user name"),
        ("openai", {"base_url": "localhost:1"}, "http://"),
        ("openai", {"api_key": "a\nb"}, "api_key"),
        ("openai", {"api_key": "clé"}, "api_key"),
        ("openai", {"api_key": ["x"]}, "api_key"),
        ("openai", {"models": 5}, "models"),
        ("openai", {"models": ["a\x00"]}, "models.0"),
        ("openai", {"models": ["m"] * 2000}, "models"),
        ("ollama", {"name": "x" * 300}, "name"),
        ("openai", {"api_key": "stored:nobody"}, "Enter the key again"),
    ],
)
async def test_bad_input_is_told_and_changes_nothing(
    desk: Desk, kind: str, config: dict[str, Any], mark: str
) -> None:
    async with desk.open() as registry:
        tested = await registry.test(kind, config)
        assert not tested.ok
        assert mark in tested.error
        with pytest.raises(InvalidInput, match=mark.replace("(", r"\(")):
            await registry.put("x", kind, config)
        assert registry.services() == []


@pytest.mark.parametrize("service_id", ["", "a/b", "a\\b", "a\x00", "..", "x" * 101, "\ud800"])
async def test_an_id_that_cannot_be_in_a_url_is_refused(
    desk: Desk, upstream: FakeUpstream, service_id: str
) -> None:
    async with desk.open() as registry:
        with pytest.raises(InvalidInput, match="service_id"):
            await registry.put(service_id, "ollama", ollama(upstream))


async def test_models_may_be_written_with_commas_and_repeats(
    desk: Desk, upstream: FakeUpstream
) -> None:
    async with desk.open() as registry:
        info = await registry.put("home", "ollama", ollama(upstream, models=" a, b ,a,"))
        assert info.models == ("a", "b")


async def test_a_key_is_never_shown_again(
    desk: Desk, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with desk.open() as registry:
        info = await registry.put("cloud", "openai", openai(upstream, models=["gpt"]))
        assert info.config == {
            "name": "Cloud",
            "base_url": f"{upstream.url}/v1",
            "models": ["gpt"],
            "api_key": "stored:cloud",
        }
        keyless = await registry.put("home", "ollama", ollama(upstream))
        assert "api_key" not in keyless.config
        await registry.refresh()
        shown = repr((registry.services(), registry.models(), desk.events(), registry))
        assert KEY not in shown
    assert KEY not in caplog.text
    sent = [request.headers.get("Authorization") for request in upstream.requests]
    assert f"Bearer {KEY}" in sent


async def test_a_placeholder_stands_for_the_key_at_the_same_endpoint_only(
    desk: Desk, upstream: FakeUpstream
) -> None:
    upstream.key = KEY
    async with FakeUpstream() as elsewhere, desk.open() as registry:
        await registry.put("cloud", "openai", openai(upstream))
        form = {**openai(upstream), "api_key": "stored:cloud"}
        assert (await registry.test("openai", form)).ok
        stolen = await registry.test("openai", {**form, "base_url": f"{elsewhere.url}/v1"})
        assert "Enter the key again" in stolen.error
        as_ollama = {"host": elsewhere.url, "api_key": "stored:cloud"}
        assert "Enter the key again" in (await registry.test("ollama", as_ollama)).error
        with pytest.raises(InvalidInput, match="Enter the key again"):
            await registry.put("cloud", "openai", {**form, "base_url": elsewhere.url})
        assert elsewhere.requests == []

        # The edit form removes, then adds again with the same id.
        await registry.remove("cloud")
        assert (await registry.test("openai", form)).ok
        with pytest.raises(InvalidInput, match="Enter the key again"):
            await registry.put("cloud", "openai", {**form, "base_url": elsewhere.url})
        await registry.put("cloud", "openai", {**form, "name": "Renamed"})
        await desk.until_status(registry, "cloud", "online")
    async with desk.open() as registry:  # the key itself was stored, not its placeholder
        assert registry.services()[0].name == "Renamed"
        await desk.until_status(registry, "cloud", "online")


async def test_a_service_tested_a_moment_ago_is_online_at_once(
    desk: Desk, upstream: FakeUpstream
) -> None:
    async with desk.open() as registry:
        assert (await registry.test("ollama", ollama(upstream))).ok
        info = await registry.put("home", "ollama", ollama(upstream))
        assert (info.status, info.models) == ("online", ("alpha:latest", "beta"))


async def test_removing_an_unknown_service_is_not_found(desk: Desk) -> None:
    async with desk.open() as registry:
        with pytest.raises(NotFound, match="no service 'ghost'"):
            await registry.remove("ghost")


async def test_a_removed_service_is_gone_with_its_models(
    desk: Desk, upstream: FakeUpstream
) -> None:
    async with desk.open() as registry:
        await registry.put("home", "ollama", ollama(upstream))
        await registry.remove("home")
        assert (registry.services(), registry.models()) == ([], [])
    async with desk.open() as registry:
        assert registry.services() == []
    assert ServiceChanged("home", "removed") in desk.events()


async def test_the_default_is_the_choice_and_comes_back_with_its_service(
    desk: Desk, upstream: FakeUpstream
) -> None:
    async with desk.open() as registry:
        await registry.put("one", "ollama", ollama(upstream, models=["a"]))
        await registry.put("two", "ollama", ollama(upstream, models=["b"]))
        assert registry.default_model() == "one/a"
        await registry.set_default("b")
        assert registry.default_model() == "two/b"
        assert [model.id for model in registry.models() if model.is_default] == ["two/b"]
        with pytest.raises(NotFound, match="'ghost' not available"):
            await registry.set_default("ghost")
        await registry.remove("two")
        assert registry.default_model() == "one/a"
        await registry.put("two", "ollama", ollama(upstream, models=["b"]))
        assert registry.default_model() == "two/b"
    assert SettingsChanged("default_model") in desk.events()


async def test_a_disabled_service_offers_nothing(desk: Desk, upstream: FakeUpstream) -> None:
    async with desk.open() as registry:
        info = await registry.put(
            "home", "ollama", ollama(upstream, models=["beta"], enabled=False)
        )
        assert (info.enabled, info.available, info.status) == (False, False, "disabled")
        assert registry.models() == []
        with pytest.raises(NotFound):
            registry.find_model("beta")


async def test_health_is_what_the_last_probe_saw(desk: Desk, upstream: FakeUpstream) -> None:
    async with desk.open() as registry:
        await registry.put("home", "ollama", ollama(upstream))
        await desk.until_status(registry, "home", "online")
        health = await registry.health("home/beta")
        assert (health.model, health.status, health.available) == ("home/beta", "online", True)
        assert health.checked_at is not None
        with pytest.raises(NotFound):
            await registry.health("home/ghost")


async def test_a_change_completes_although_its_caller_left(
    desk: Desk, upstream: FakeUpstream
) -> None:
    async with desk.open() as registry:
        adding = asyncio.timeout(0)
        with pytest.raises(TimeoutError):
            async with adding:
                await registry.put("home", "ollama", ollama(upstream))
        await registry.put("other", "ollama", ollama(upstream))
        assert {service.id for service in registry.services()} == {"home", "other"}
    async with desk.open() as registry:
        assert {service.id for service in registry.services()} == {"home", "other"}


async def test_what_cannot_be_stored_changes_nothing(
    desk: Desk, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(self: State, row: object) -> None:
        raise StorageError("the disk is full", code="storage_full")

    async with desk.open() as registry:
        monkeypatch.setattr(State, "save_service", refuse)
        with pytest.raises(StorageError):
            await registry.put("home", "ollama", ollama(upstream))
        assert registry.services() == []


async def test_a_stored_service_of_a_missing_kind_is_kept_and_says_why(
    desk: Desk, upstream: FakeUpstream
) -> None:
    async with open_state(desk.root / "state.db", desk.root / "backups") as state:
        row = ServiceRow("odd", "plugin", "Odd", True, {"api_key": KEY, "url": "x"})
        await state.save_service(row)
    async with desk.open() as registry:
        [info] = registry.services()
        assert info.status.startswith("error: Unknown service type 'plugin'")
        assert (info.available, info.config) == (False, {"name": "Odd"})
        await registry.refresh()
        await registry.remove("odd")


async def test_refresh_sees_new_models(desk: Desk, upstream: FakeUpstream) -> None:
    async with desk.open() as registry:
        await registry.put("home", "ollama", ollama(upstream))
        upstream.models = ["gamma"]
        await registry.refresh()
        assert registry.services()[0].models == ("gamma",)


async def test_closing_is_quick_although_a_probe_hangs(desk: Desk, upstream: FakeUpstream) -> None:
    upstream.behave(Script(fault="stall_early", fault_on=("models",)))
    async with asyncio.timeout(5):
        async with desk.open() as registry:
            await registry.put("home", "ollama", ollama(upstream))
            await upstream.until(lambda: bool(upstream.requests))


async def test_an_error_of_the_block_is_raised_as_it_is(desk: Desk) -> None:
    with pytest.raises(KeyError):
        async with desk.open():
            raise KeyError("own")


async def test_the_environment_is_applied_until_a_person_decides(
    desk: Desk, upstream: FakeUpstream
) -> None:
    environment = {
        "ollama_host": upstream.url,
        "openai_api_key": KEY,
        "openai_base_url": f"{upstream.url}/v1",
        "openai_models": ("gpt",),
        "default_model": "gpt",
    }
    async with desk.open(**environment) as registry:
        assert [service.id for service in registry.services()] == ["ollama", "openai"]
        assert registry.default_model() == "openai/gpt"
    for path in desk.root.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes()

    changed = {**environment, "openai_models": ("gpt", "new")}
    async with desk.open(**changed) as registry:
        assert registry.services()[1].models == ("gpt", "new")
        form = registry.services()[1].config
        assert form["api_key"] == "stored:openai"
        await registry.remove("ollama")
        await registry.remove("openai")
        await registry.put("openai", "openai", {**form, "name": "Mine"})
    for path in desk.root.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes()

    upstream.key = KEY
    async with desk.open(**environment) as registry:
        [service] = registry.services()
        assert (service.name, service.models) == ("Mine", ("gpt", "new"))
        await desk.until_status(registry, "openai", "online")  # with the environment's key
    moved = {**environment, "openai_base_url": "http://127.0.0.1:9/v1"}
    async with desk.open(**moved) as registry:
        await desk.until_status(registry, "openai", "error: Authentication")
    async with desk.open() as registry:
        assert [service.id for service in registry.services()] == ["openai"]


async def test_a_service_of_the_same_id_added_by_a_person_is_left_alone(
    desk: Desk, upstream: FakeUpstream
) -> None:
    async with desk.open() as registry:
        await registry.put("ollama", "ollama", ollama(upstream, models=["mine"]))
    async with desk.open(ollama_host="http://127.0.0.1:9") as registry:
        assert registry.services()[0].models == ("mine",)


async def test_a_strange_variable_of_another_program_does_not_stop_the_start(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    async with desk.open(ollama_host="http://169.254.169.254") as registry:
        assert registry.services() == []
    assert "left out" in caplog.text


async def test_a_choice_at_run_time_outlives_the_default_of_the_environment(
    desk: Desk, upstream: FakeUpstream
) -> None:
    async with desk.open(ollama_host=upstream.url, default_model="beta") as registry:
        await desk.until_status(registry, "ollama", "online")
        assert registry.default_model() == "ollama/beta"
        await registry.set_default("alpha")
    async with desk.open(ollama_host=upstream.url, default_model="beta") as registry:
        assert registry.default_model() == "ollama/alpha:latest"


async def test_reasoning_is_no_part_of_a_completed_text(desk: Desk, upstream: FakeUpstream) -> None:
    upstream.behave(Script(("<think>so", "</think>", " yes "), reasoning=("hm",)))
    async with desk.open() as registry:
        await registry.put("home", "ollama", ollama(upstream, models=["beta"]))
        choice = registry.find_model("beta")
        assert choice is not None
        assert await choice.complete([Message("user", "hi")]) == "yes"
        batches = [batch async for batch in choice.stream([Message("user", "hi")])]
        assert any(isinstance(event, TextDelta) for batch in batches for event in batch)
