from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from sgoped.llm.resolver import GuardedResolver


def pretend(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def look_up(host: str, port: int, *rest: Any, **more: Any) -> list[tuple[Any, ...]]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


async def test_a_refused_address_is_left_out_of_what_a_name_resolves_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend(monkeypatch, "169.254.169.254", "127.0.0.1")
    found = await GuardedResolver().resolve("rebound.example", 80)
    assert [result["host"] for result in found] == ["127.0.0.1"]


async def test_a_name_that_resolves_only_to_refused_addresses_does_not_resolve(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend(monkeypatch, "169.254.169.254")
    with pytest.raises(OSError, match="only refused"):
        await GuardedResolver().resolve("rebound.example", 80)


async def test_a_name_that_is_none_is_an_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*rest: Any, **more: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(OSError, match="unknown"):
        await GuardedResolver().resolve("nowhere.invalid", 80)


async def test_a_look_up_that_hangs_is_left_behind_when_nobody_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, release = threading.Event(), threading.Event()

    def look_up(*rest: Any, **more: Any) -> list[tuple[Any, ...]]:
        begun.set()
        release.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(GuardedResolver().resolve("slow.example", 80))
        await asyncio.to_thread(begun.wait, 10)
        waiting.cancel()
    release.set()


async def test_this_machine_is_found() -> None:
    found = await GuardedResolver().resolve("localhost", 80, socket.AF_UNSPEC)
    assert {result["host"] for result in found} & {"127.0.0.1", "::1"}
