"""How much of the long checks is done: little in ``scripts/test``, much in ``scripts/torture``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes of the long checks; see ``tests/torture``.

    Attributes:
        kills: Times a daemon at work is killed at a random moment.
        stateful_runs: Random sequences of operations, each with a daemon of its own.
        stateful_steps: Operations in each of them.
        api_examples: Requests that schemathesis generates for each operation.
        examples: Inputs that hypothesis generates for each law of a pure function.
        cache_damages: Ways in which a file of the caches is damaged, each with a start after it.
        burst_files: Files created at once, so that the kernel's queue overflows.
        streams: Chats at the same time, a tenth of which are never read.
        disconnects: Clients that leave at a random moment of their stream.
        faults: Answers of an upstream that goes wrong in a random way at a random moment.
        floods: Messages that one socket sends without reading what comes back.
        slow_clients: Clients that never send the rest of their request.
        overwrites: Times a file is overwritten while others read it.
        syscalls: System calls of each sort of change at which it is killed.
        daemon_syscalls: The same, where each takes a start of the daemon.
        soak_seconds: How long a daemon is kept busy while what it holds is looked at.
    """

    kills: int
    stateful_runs: int
    stateful_steps: int
    api_examples: int
    examples: int
    cache_damages: int
    burst_files: int
    streams: int
    disconnects: int
    faults: int
    floods: int
    slow_clients: int
    overwrites: int
    syscalls: int
    daemon_syscalls: int
    soak_seconds: float


SCALES: Mapping[str, Scale] = MappingProxyType(
    {
        "small": Scale(
            kills=8,
            stateful_runs=4,
            stateful_steps=20,
            api_examples=8,
            examples=100,
            cache_damages=6,
            burst_files=1_500,
            streams=80,
            disconnects=60,
            faults=60,
            floods=2_000,
            slow_clients=150,
            overwrites=40,
            syscalls=8,
            daemon_syscalls=1,
            soak_seconds=12.0,
        ),
        "large": Scale(
            kills=1_000,
            stateful_runs=300,
            stateful_steps=50,
            api_examples=1_000,
            examples=20_000,
            cache_damages=400,
            burst_files=30_000,
            streams=200,
            disconnects=500,
            faults=2_000,
            floods=50_000,
            slow_clients=1_400,
            overwrites=400,
            syscalls=10_000,
            daemon_syscalls=30,
            soak_seconds=1_200.0,
        ),
    }
)
