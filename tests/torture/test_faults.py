"""Every fault of an upstream at random, many at once: one end, own text, fixed words."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from random import Random

import pytest

from tests.conftest import NoteFigure, StartDaemon
from tests.scale import Scale
from tests.torture.fault_plans import CLOSE, NEVER, OPEN, Plan, Player, make_plan
from tests.torture.streaming import (
    World,
    eventually,
    in_batches,
    in_order,
    open_world,
    pieces_of,
    prepared,
)
from tests.torture.wire_client import KEY, ChatClient, add_service, call, check_end
from tests.torture.wire_upstream import Call

AT_ONCE = 60
ENVIRONMENT = {
    "SGOPED_CONNECT_TIMEOUT_SECONDS": "5",
    "SGOPED_FIRST_TOKEN_TIMEOUT_SECONDS": "6",
    "SGOPED_IDLE_TIMEOUT_SECONDS": "4",
    "SGOPED_LOG_LEVEL": "debug",
}
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
async def world(start_daemon: StartDaemon) -> AsyncIterator[World]:
    async with open_world(start_daemon, ENVIRONMENT) as world:
        await add_service(world.port, "ollama", {"host": NOWHERE}, "gone")
        yield world
        assert KEY not in world.daemon.log()


def model_of(world: World, plan: Plan) -> str:
    """The service that the plan needs."""
    return "gone/beta" if plan.end == "refused" else world.models[plan.dialect]


def check(plan: Plan, client: ChatClient) -> None:
    """What every answer is held against."""
    check_end(client)
    last = client.events[-1]
    assert last["type"] == ("complete" if plan.completes else "error"), last
    check_text(plan, client)
    if last["type"] == "error":
        assert last["message"]
        for secret in ("ECHO", KEY, "127.0.0.1", "10.1.2.3", "localhost", ":9"):
            assert secret not in last["message"]


def check_text(plan: Plan, client: ChatClient) -> None:
    """Own text, whole up to the fault, with each tag alone in its event."""
    texts = [event["content"] for event in client.events if event["type"] == "content"]
    assert texts.count(OPEN) == texts.count(CLOSE)
    assert not [text for text in texts if CLOSE in text and text != CLOSE]
    if not plan.may_lose_the_last:
        assert client.text == plan.shown
    else:
        bare, expected = (
            text.replace(OPEN, "").replace(CLOSE, "") for text in (client.text, plan.shown)
        )
        # Of a tag that never came whole the beginning is text.
        assert any(expected.startswith(bare[: len(bare) - n]) for n in range(len(CLOSE)))


async def test_whatever_an_upstream_does_there_is_one_end_and_the_right_text(
    world: World, scale: Scale, seed: int, note_figure: NoteFigure
) -> None:
    files = await prepared(world)
    rng = Random(seed)
    plans = {plan.prompt: plan for plan in (make_plan(n, rng) for n in range(scale.faults))}
    world.upstream.play = Player(plans, seed).play
    wrong: list[str] = []

    async def ask(plan: Plan) -> None:
        client = await ChatClient.ask(world.port, plan.prompt, model=model_of(world, plan))
        await client.read_all()
        client.close()
        try:
            check(plan, client)
        except AssertionError as error:
            wrong.append(f"{plan}\n  {str(error)[:500]}\n  got {client.events!r}"[:6000])

    await in_batches([partial(ask, plan) for plan in plans.values()], AT_ONCE)
    assert not wrong, f"{len(wrong)} of {len(plans)} wrong:\n" + "\n\n".join(wrong[:5])
    assert sorted(path.name for path in world.daemon.memory_dir.iterdir()) == ["notes.md"]
    await world.is_back_to(files)
    ends = Counter("never begun" if plan.end in NEVER else plan.end for plan in plans.values())
    whole = sum(plan.completes for plan in plans.values())
    note_figure(f"seed {seed}: {len(plans)} answers, {whole} whole, all as foretold: {dict(ends)}")


async def test_an_upstream_that_was_down_is_used_at_once_when_it_is_back(world: World) -> None:
    await prepared(world)
    await world.upstream.stop()
    for model in world.models.values():
        client = await ChatClient.ask(world.port, "down", model=model)
        await client.read_all()
        check_end(client)
        assert client.kinds[-1] in ("error", "complete"), "from memory where no model is left"
        client.close()
    await world.upstream.start()
    world.upstream.play = in_order
    for dialect, model in world.models.items():
        client = await ChatClient.ask(world.port, f"back {dialect}", model=model)
        await client.read_all()
        check_end(client)
        assert client.kinds[-1] == "complete"
        assert client.text == "".join(pieces_of(f"back {dialect}", 5))
        client.close()


async def test_knowledge_is_kept_whole_whatever_the_model_does_meanwhile(
    world: World, scale: Scale, seed: int, note_figure: NoteFigure
) -> None:
    await prepared(world)
    rng = Random(seed)
    plans = [make_plan(number, rng) for number in range(max(scale.faults // 6, 10))]
    player = Player({}, seed)

    async def play(upstream_call: Call) -> None:
        named = re.search(r"(?:fact |kept)(\d+)", upstream_call.prompt)
        await player.play_as(plans[int(named[1]) if named else 0], upstream_call)

    world.upstream.play = play
    texts = {
        f"kept{number}": f"fact {number}. " + "".join(rng.choices("abc äöü\n", k=400)).strip()
        for number in range(len(plans))
    }

    stopped = {name for name in texts if rng.random() < 0.2}

    async def keep(plan: Plan, name: str) -> None:
        client = await ChatClient.ask(
            world.port,
            texts[name],
            model=model_of(world, plan),
            selected_action="add_knowledge",
            knowledge_filename=name,
            stream_id=name,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(client.read_all())
            if name in stopped:
                await asyncio.sleep(rng.uniform(0.1, 1.0))
                await call(world.port, "POST", "/api/chat/stop", {"stream_id": name})
        client.close()
        check_end(client)
        assert client.kinds[-1] == "complete" or name in stopped

    work = [partial(keep, plan, name) for plan, name in zip(plans, texts, strict=True)]
    await in_batches(work, 20)
    await eventually(world.is_quiet)
    kept = {
        path.stem: path.read_text() for path in world.daemon.home.rglob("kept*") if path.is_file()
    }
    assert set(kept) | stopped == set(texts)
    assert all(texts[name] in text for name, text in kept.items())
    note_figure(
        f"seed {seed}: {len(kept)} texts kept whole, {len(stopped)} of {len(texts)} stopped"
    )
