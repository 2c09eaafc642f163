"""A daemon that is kept busy holds no more of anything at the end than after its warm-up."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sgoped.background import background
from tests.conftest import NoteFigure, StartDaemon
from tests.fakes.scripts import Script
from tests.fakes.upstream import FakeUpstream
from tests.processes import DaemonProcess
from tests.scale import Scale
from tests.torture.load import Load

SEED = 20_26
PHASES = 4
MEBIBYTE = 2**20
MAX_GROWTH = 1.10
SLACK_BYTES = 8 * MEBIBYTE
# In a few seconds an allocator does not come to rest; a short run finds gross leaks only.
LONG_SECONDS = 120.0
SHORT_SLACK_BYTES = 48 * MEBIBYTE
SAMPLES = 80
IDLE_SECONDS = 40.0
# So long after the last commit what indexing took is given back; see worker.MERGE_SECONDS.
RELEASED_SECONDS = 20.0
COUNTED = ("open_files", "threads", "tasks")


def held(daemon: DaemonProcess) -> dict[str, Any]:
    status, health = daemon.request("GET", "/health")
    assert status == 200
    return dict(health["process"])


async def sample_for_ever(daemon: DaemonProcess, every: float, samples: list[int]) -> None:
    while True:
        samples.append((await asyncio.to_thread(held, daemon))["resident_bytes"])
        await asyncio.sleep(every)


async def at_rest(
    daemon: DaemonProcess, upstream: FakeUpstream, wanted: dict[str, Any] | None
) -> dict[str, Any]:
    """What it holds once nobody asks anything: as soon as that is not more than ``wanted``."""
    await upstream.stop()  # and with it every connection that would be kept for the next question
    await upstream.start()
    deadline = time.monotonic() + IDLE_SECONDS
    last: dict[str, Any] = {}
    while True:
        found = await asyncio.to_thread(held, daemon)
        counts = {name: found[name] for name in COUNTED}
        calm = counts == last if wanted is None else is_within(counts, wanted)
        if calm or time.monotonic() > deadline:
            return counts
        last = counts
        await asyncio.sleep(0.5)


async def after_release(daemon: DaemonProcess) -> int:
    """The memory that stays when nothing is indexed."""
    await asyncio.sleep(RELEASED_SECONDS)
    return int((await asyncio.to_thread(held, daemon))["resident_bytes"])


def is_within(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(found[name] <= wanted[name] for name in COUNTED)


def quarters(samples: Sequence[int]) -> list[float]:
    size = max(1, len(samples) // 4)
    return [statistics.median(samples[at * size : (at + 1) * size]) for at in range(4)]


async def test_memory_descriptors_threads_and_tasks_stay_flat(
    tmp_path: Path, start_daemon: StartDaemon, scale: Scale, note_figure: NoteFigure
) -> None:
    script = Script(chunks=("word ",) * 20, pause_seconds=0.003)
    async with FakeUpstream(script) as upstream:
        environment = {"OLLAMA_HOST": upstream.url, "DEFAULT_MODEL": "beta"}
        daemon = await asyncio.to_thread(start_daemon, environment=environment)
        load = Load(daemon.url, upstream.url, daemon.memory_dir, SEED)
        await load.go_on(scale.soak_seconds / PHASES)
        await load.fill_pools()
        first = await at_rest(daemon, upstream, None)
        is_long = scale.soak_seconds >= LONG_SECONDS
        resting = [await after_release(daemon)] if is_long else []
        samples: list[int] = []
        last = first
        for _ in range(PHASES):
            every = scale.soak_seconds / SAMPLES
            async with background(sampling=sample_for_ever(daemon, every, samples)):
                await load.go_on(scale.soak_seconds / PHASES)
            last = await at_rest(daemon, upstream, first)
            assert is_within(last, first), f"{last}, after the warm-up it was {first}"
            resting += [await after_release(daemon)] if is_long else []
    _, second, _, fourth = quarters(samples)
    rested = ", ".join(f"{held_bytes / MEBIBYTE:.1f}" for held_bytes in resting)
    note_figure(
        f"{scale.soak_seconds:.0f} s of work, {sum(load.done.values())} things done: resident "
        f"{second / MEBIBYTE:.1f} MiB in the second quarter, {fourth / MEBIBYTE:.1f} in the last; "
        f"at rest {first} and at the end {last}; resident in pauses: {rested or 'not waited for'}"
    )
    slack = SLACK_BYTES if is_long else SHORT_SLACK_BYTES
    assert fourth <= second * MAX_GROWTH + slack
    assert not resting or resting[-1] <= resting[0] * MAX_GROWTH + SLACK_BYTES
    assert "Traceback" not in daemon.log()
    assert daemon.stop() == 0
