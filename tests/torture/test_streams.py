"""Streams under attack: readers that stall, clients that leave, stops at every moment."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from random import Random

import pytest

from tests.conftest import NoteFigure, StartDaemon
from tests.scale import Scale
from tests.torture.streaming import (
    DEADLINE_SECONDS,
    MEBIBYTE,
    Watch,
    World,
    eventually,
    in_batches,
    open_world,
    pieces_of,
    prepared,
    spread,
)
from tests.torture.wire_client import ChatClient, call, check_end, live_runs
from tests.torture.wire_upstream import Call

MAX_GROWTH_BYTES = 60 * MEBIBYTE
WRITE_TIMEOUT_SECONDS = 4.0
AT_ONCE = 50
PACES = ((700, 0.002), (4096, 0.01), (65536, 0.0))


@pytest.fixture
async def world(start_daemon: StartDaemon) -> AsyncIterator[World]:
    environment = {"SGOPED_WRITE_TIMEOUT_SECONDS": str(WRITE_TIMEOUT_SECONDS)}
    async with open_world(start_daemon, environment) as world:
        yield world


class Crowd:
    """Readers of answers of different length, some of whom stall after the headers."""

    def __init__(self, count: int, rng: Random) -> None:
        self.lengths = {f"reader {number}": rng.randrange(50, 600) for number in range(count)}
        self.stalled = set(rng.sample(sorted(self.lengths), count // 10))
        self.clients: dict[str, ChatClient] = {}
        self._rng = rng

    async def play(self, upstream_call: Call) -> None:
        """The upstream's part: no end for those who do not read."""
        prompt = upstream_call.prompt
        await upstream_call.head()
        while prompt in self.stalled:
            await upstream_call.tokens("x" * 16_000)
        pause = Random(prompt).choice((0, 0, 0.001, 0.01))
        for text in pieces_of(prompt, self.lengths[prompt]):
            await upstream_call.tokens(text)
            await asyncio.sleep(pause)
        await upstream_call.finish()

    async def read_all(self, world: World) -> None:
        """Everybody asks; whoever reads has read everything in the end."""
        async with asyncio.TaskGroup() as group:
            for prompt in self.lengths:
                small = 4096 if prompt in self.stalled else 0
                client = await world.ask(prompt, self._rng, receive_bytes=small)
                self.clients[prompt] = client
                read = client.read_head if prompt in self.stalled else self._reader(client)
                group.create_task(read())

    def _reader(self, client: ChatClient) -> Callable[[], Coroutine[None, None, None]]:
        return partial(client.read_all, *self._rng.choice(PACES))

    async def stalled_are_closed(self, world: World) -> None:
        """Wait until the upstream of every stalled reader was closed."""
        for prompt in self.stalled:
            upstream_call = await world.call_of(prompt)
            async with asyncio.timeout(WRITE_TIMEOUT_SECONDS + DEADLINE_SECONDS):
                await upstream_call.closed.wait()
            assert upstream_call.left_at is not None

    def check(self) -> None:
        """Every reader has its own whole answer and exactly one end."""
        for prompt, client in self.clients.items():
            if prompt not in self.stalled:
                check_end(client)
                assert client.kinds[-1] == "complete"
                assert client.text == "".join(pieces_of(prompt, self.lengths[prompt]))
            client.close()


async def test_stalled_readers_harm_neither_the_others_nor_memory(
    world: World, scale: Scale, seed: int, note_figure: NoteFigure
) -> None:
    crowd = Crowd(scale.streams, Random(seed))
    files = await prepared(world)
    world.upstream.play = crowd.play
    watch = Watch(world)
    async with watch.watching():
        await crowd.read_all(world)
        await crowd.stalled_are_closed(world)
    crowd.check()
    assert watch.growth_bytes < MAX_GROWTH_BYTES
    await world.is_back_to(files)
    note_figure(
        f"seed {seed}: {len(crowd.clients)} streams, {len(crowd.stalled)} stalled: all others "
        f"whole and in order; {watch.told}; no descriptor left"
    )


LEAVING: dict[str, Callable[[ChatClient], None]] = {
    "close": lambda client: client.close(),
    "reset": lambda client: client.reset(),
    "half-close": lambda client: client.shut_down(socket.SHUT_WR),
    "shutdown": lambda client: client.shut_down(socket.SHUT_RDWR),
}
MOMENTS = ("at once", "headers", "start", "middle", "end")
KINDS = ("silent", "flood", "race")


class Visits:
    """Clients that leave; the upstream goes on for ever, but where it races with them."""

    def __init__(self, world: World, rng: Random) -> None:
        self.ways: Counter[str] = Counter()
        self.clients: list[ChatClient] = []
        self._world = world
        self._rng = rng
        self._left: dict[str, float] = {}

    async def play(self, upstream_call: Call) -> None:
        """Ten tokens, and then what the prompt says."""
        chance = Random(upstream_call.prompt)
        await asyncio.sleep(chance.choice((0, 0, 0.01)))
        await upstream_call.head()
        for text in pieces_of(upstream_call.prompt, 10):
            await upstream_call.tokens(text)
            await asyncio.sleep(chance.choice((0, 0.002, 0.01)))
        while upstream_call.prompt.endswith("flood"):
            await upstream_call.tokens("flood " * 500)
        if upstream_call.prompt.endswith("race"):
            await asyncio.sleep(chance.uniform(0, 0.01))
            await upstream_call.finish()
        else:
            await asyncio.Event().wait()

    async def pay(self, number: int) -> None:
        """Ask, read for a while, leave."""
        moment, how = self._rng.choice(MOMENTS), self._rng.choice(sorted(LEAVING))
        self.ways[f"{moment}, {how}"] += 1
        prompt = f"visit {number} {moment} {how} {self._rng.choice(KINDS)}"
        client = await self._world.ask(prompt, self._rng)
        await _read_until(client, moment)
        self._left[prompt] = time.monotonic()
        LEAVING[how](client)
        self.clients.append(client)

    async def closing_times(self) -> list[float]:
        """For each question that had reached the upstream: seconds until it was closed."""
        taken = []
        for upstream_call in self._world.upstream.calls:
            if upstream_call.prompt in self._left:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    await upstream_call.closed.wait()
            if upstream_call.prompt in self._left and upstream_call.left_at is not None:
                taken.append(max(upstream_call.left_at - self._left[upstream_call.prompt], 0.0))
        return taken


async def _read_until(client: ChatClient, moment: str) -> None:
    """Read as far as the client will ever read."""
    if moment == "headers":
        await client.read_head()
    enough: dict[str, Callable[[], bool]] = {
        "start": lambda: bool(client.kinds),
        "middle": lambda: "/3]" in client.text,
        "end": lambda: "/9]" in client.text,
    }
    while moment in enough and not enough[moment]() and await client.read(1024):
        pass


async def test_whoever_leaves_at_whatever_moment_closes_their_upstream(
    world: World, scale: Scale, seed: int, note_figure: NoteFigure
) -> None:
    files = await prepared(world)
    visits = Visits(world, Random(seed))
    world.upstream.play = visits.play
    await in_batches([partial(visits.pay, number) for number in range(scale.disconnects)], AT_ONCE)
    await eventually(world.is_quiet)
    taken = await visits.closing_times()
    for client in visits.clients:
        client.close()
    await world.is_back_to(files)
    assert max(taken, default=0.0) < DEADLINE_SECONDS
    note_figure(
        f"seed {seed}: {len(visits.clients)} left in {len(visits.ways)} ways; "
        f"{len(taken)} had an upstream to be closed, {spread(taken)} after leaving; no run left"
    )


async def stop(world: World, stream_id: str) -> bool:
    """Stop a stream; whether one lived."""
    status, told = await call(world.port, "POST", "/api/chat/stop", {"stream_id": stream_id})
    assert (status, told["success"]) == (200, True)
    return bool(told["stopped"])


async def stay_at(upstream_call: Call) -> None:
    """Reach the moment that the prompt names, and stay there."""
    moment = moment_of(upstream_call.prompt)
    if moment == "before-headers":
        await asyncio.Event().wait()
    await upstream_call.head()
    if moment == "between-tokens":
        await upstream_call.tokens("one ", "two ")
    while moment == "flooding":
        await upstream_call.tokens("flood " * 1000)
    await asyncio.Event().wait()


def moment_of(prompt: str) -> str:
    return prompt.partition(" ")[0]


STAYS = ("before-headers", "before-tokens", "between-tokens", "flooding")


async def stopped(world: World, rng: Random, prompt: str, times: int) -> float:
    """Stop a stream so many times at once; the seconds until its upstream was closed."""
    client = await world.ask(prompt, rng, stream_id=prompt)
    says = moment_of(prompt) in ("between-tokens", "flooding")
    while says and "content" not in client.kinds and await client.read():
        pass
    upstream_call = await world.call_of(prompt)
    asked = time.monotonic()
    async with asyncio.TaskGroup() as group:
        group.create_task(client.read_all())
        stops = [group.create_task(stop(world, prompt)) for _ in range(times)]
    assert any(one.result() for one in stops)
    async with asyncio.timeout(DEADLINE_SECONDS):
        await upstream_call.closed.wait()
    check_end(client)
    assert client.kinds[-1] == "cancelled"
    assert client.text == "one two " or moment_of(prompt) != "between-tokens"
    assert not await stop(world, prompt), "the run has ended"
    client.close()
    assert upstream_call.left_at is not None
    return max(upstream_call.left_at - asked, 0.0)


async def test_a_stop_ends_each_stream_once_whatever_its_upstream_does(
    world: World, scale: Scale, seed: int, note_figure: NoteFigure
) -> None:
    rng = Random(seed)
    world.upstream.play = stay_at
    taken: dict[str, list[float]] = {moment: [] for moment in STAYS}

    async def stop_one(moment: str, number: int) -> None:
        seconds = await stopped(world, rng, f"{moment} {number}", 1 + number % 2)
        taken[moment].append(seconds)

    numbers = range(scale.disconnects // 8)
    for moment in STAYS:
        await in_batches([partial(stop_one, moment, number) for number in numbers], 4)
    for unknown in ("unknown", "", "../x", "x" * 500, "between-tokens 0"):
        assert not await stop(world, unknown)
    assert await live_runs(world.port) == 0
    figures = "; ".join(f"{moment} {spread(seconds)}" for moment, seconds in taken.items())
    note_figure(f"seed {seed}: {4 * len(numbers)} stops, one `cancelled` each; {figures}")


async def test_a_stop_that_meets_the_natural_end_leaves_one_end(
    world: World, scale: Scale, seed: int, note_figure: NoteFigure
) -> None:
    rng = Random(seed)
    ends: Counter[str] = Counter()

    async def play(upstream_call: Call) -> None:
        await upstream_call.head()
        await upstream_call.tokens(*pieces_of(upstream_call.prompt, 3))
        await asyncio.sleep(Random(upstream_call.prompt).uniform(0, 0.01))
        await upstream_call.finish()

    async def race(number: int) -> None:
        prompt = f"race {number}"
        client = await world.ask(prompt, rng, stream_id=prompt)
        while "content" not in client.kinds and await client.read():
            pass
        await asyncio.sleep(rng.uniform(0, 0.01))
        async with asyncio.TaskGroup() as group:
            group.create_task(client.read_all())
            was_live = await stop(world, prompt)
        check_end(client)
        assert client.kinds[-1] == ("cancelled" if was_live else "complete")
        assert client.text == "".join(pieces_of(prompt, 3))
        ends[client.kinds[-1]] += 1
        client.close()

    world.upstream.play = play
    await in_batches([partial(race, number) for number in range(scale.disconnects)], 8)
    note_figure(f"seed {seed}: {ends.total()} stops raced with the end: {dict(ends)}, never both")


async def test_a_second_stream_of_a_live_id_is_refused_and_the_first_goes_on(world: World) -> None:
    go_on = asyncio.Event()

    async def play(upstream_call: Call) -> None:
        await upstream_call.head()
        await upstream_call.tokens("one ")
        await go_on.wait()
        await upstream_call.tokens("two")
        await upstream_call.finish()

    world.upstream.play = play
    rng = Random(1)
    first = await world.ask("first", rng, stream_id="same")
    while "content" not in first.kinds:
        assert await first.read()
    second = await world.ask("second", rng, stream_id="same")
    await second.read_all()
    check_end(second)
    assert second.kinds[-1] == "error"
    assert len(world.upstream.calls) == 1
    go_on.set()
    await first.read_all()
    check_end(first)
    assert (first.text, first.kinds[-1]) == ("one two", "complete")
    third = await world.ask("third", rng, stream_id="same")
    await third.read_all()
    assert third.kinds[-1] == "complete", "the id is free again"
    for client in (first, second, third):
        client.close()
