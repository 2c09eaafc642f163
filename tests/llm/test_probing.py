from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sgoped.errors import ServiceError
from sgoped.llm.configured import (
    LOCAL_PERIOD_SECONDS,
    REMOTE_PERIOD_SECONDS,
    ConfiguredService,
)
from sgoped.llm.openai import OpenAIConfig
from sgoped.llm.probing import Prober, pause_seconds
from sgoped.llm.service import Timeouts
from tests.llm.doubles import SilentService

Found = list[tuple[str, tuple[str, ...] | None]]


def configured(service: SilentService, url: str = "http://localhost:1") -> ConfiguredService:
    return ConfiguredService("s", "openai", "S", True, OpenAIConfig(base_url=url), service)


@asynccontextmanager
async def prober(found: Found) -> AsyncIterator[Prober]:
    async def take(service: ConfiguredService, status: str, models: tuple[str, ...] | None) -> None:
        found.append((status, models))

    async with asyncio.TaskGroup() as tasks:
        opened = Prober(tasks, Timeouts(), take)
        yield opened
        opened.stop_all()


async def test_a_refresh_returns_with_a_result_newer_than_itself() -> None:
    found: Found = []
    async with prober(found) as probing:
        probing.start(configured(SilentService()))
        await probing.refresh(["s", "unknown"])
        await probing.refresh(["s"])
        assert len(found) >= 2
    assert set(found) == {("online", ("silent",))}


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (ServiceError("Not found (404)"), "error: Not found (404)"),
        (RuntimeError("a plug-in's own secret"), "error: The service reported an error"),
    ],
)
async def test_whatever_a_service_raises_becomes_a_status(failure: Exception, status: str) -> None:
    found: Found = []
    async with prober(found) as probing:
        probing.start(configured(SilentService(failure=failure)))
        await probing.refresh(["s"])
    assert found[0][0].startswith(status)
    assert "secret" not in found[0][0]
    assert found[0][1] is None


async def test_stopping_lets_go_who_waits() -> None:
    async with prober([]) as probing:
        probing.start(configured(SilentService()))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(probing.refresh(["s"]))
            await asyncio.sleep(0)
            probing.stop("s")


def test_the_pause_grows_with_failures_up_to_the_period() -> None:
    local = configured(SilentService())
    remote = configured(SilentService(), "https://api.openai.com")
    assert pause_seconds(local, 0) == LOCAL_PERIOD_SECONDS
    assert [pause_seconds(local, failures) for failures in (1, 2, 3)] == [1, 2, 4]
    assert pause_seconds(local, 10_000) == LOCAL_PERIOD_SECONDS
    assert pause_seconds(remote, 0) == pause_seconds(remote, 10_000) == REMOTE_PERIOD_SECONDS
