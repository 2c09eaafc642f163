"""What reaches a service, and what is refused in which words."""

from __future__ import annotations

import asyncio
import time

import pytest

from sgoped.errors import ServiceError
from sgoped.llm.circuit import Circuit
from sgoped.llm.guard import RESTING, Guard
from sgoped.llm.traffic import Traffic

REFUSED = ServiceError("Connection failed: nothing answers", code="service_unreachable")


async def fail(guard: Guard, failure: ServiceError) -> None:
    async with guard.attempt(in_background=False) as attempt:
        attempt.failed(failure)


async def test_the_refusal_says_why_since_when_and_when_it_is_tried() -> None:
    told: list[str] = []
    circuit = Circuit(time.monotonic)
    guard = Guard(circuit, changed=lambda: told.append(circuit.state))
    for _ in range(3):
        await fail(guard, REFUSED)
    assert told == ["open"]
    with pytest.raises(ServiceError) as raised:
        await guard.ready()
    assert raised.value.code == RESTING
    message = raised.value.message
    assert message.startswith("Connection failed: nothing answers. It fails since ")
    times = [word.strip(";,") for word in message.split() if word.count(":") == 2]
    assert len(times) == 2
    assert "tried next at" in message


@pytest.mark.parametrize("code", ["service_refused", "service_not_found", "service_busy"])
async def test_a_refusal_by_the_service_is_an_answer(code: str) -> None:
    guard = Guard()
    for _ in range(10):
        await fail(guard, ServiceError("no", code=code))
    await guard.ready()


async def test_a_stop_counts_for_nothing() -> None:
    guard = Guard()
    for _ in range(10):
        with pytest.raises(asyncio.CancelledError):
            async with guard.attempt(in_background=False):
                raise asyncio.CancelledError
    await guard.ready()


async def test_who_is_about_to_be_refused_has_the_service_looked_at_first() -> None:
    circuit = Circuit(time.monotonic)

    async def check() -> None:
        circuit.note_probe(answered=True)

    guard = Guard(circuit, check=check)
    for _ in range(3):
        await fail(guard, REFUSED)
    assert guard.is_open
    await guard.ready()
    assert not guard.is_open


async def test_only_what_somebody_waits_for_is_traffic() -> None:
    traffic = Traffic()
    guard = Guard(traffic=traffic)
    async with guard.attempt(in_background=True):
        assert not traffic.is_busy
    async with guard.attempt(in_background=False), guard.attempt(in_background=False):
        assert traffic.is_busy
        await traffic.busy()
    assert not traffic.is_busy
    await traffic.quiet()
