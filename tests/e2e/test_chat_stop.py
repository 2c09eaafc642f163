"""Section 3: stopping, leaving, and what that does to the upstream."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.conftest import Model
from tests.e2e.page import Page, text_of
from tests.e2e.upstream import Upstream
from tests.fakes.scripts import Script

# Where a silent upstream is: before its headers, before the first token, in the middle.
GATES = pytest.mark.parametrize(
    "gate_at", [-1, 0, 2], ids=["before headers", "before the first token", "in mid-stream"]
)
SAID = {-1: "", 0: "", 2: "Hello, "}


@GATES
async def test_a_stop_closes_a_silent_upstream_within_a_second(
    page: Page, model: Model, upstream: Upstream, gate_at: int
) -> None:
    upstream.behave(Script(gate_at=gate_at))
    async with page.stream("hello", model=model.id, stream_id="stopped") as stream:
        await upstream.until(lambda server: server.live_streams == 1)
        while text_of(stream.events) != SAID[gate_at]:
            await stream.next()
        async with asyncio.timeout(1):
            answer = await page.stop("stopped")
            await upstream.client_closed()
        assert answer["stopped"] is True
        events = await stream.rest()
    assert events[-1]["type"] == "cancelled"
    assert events[-1]["message"]
    assert text_of(events) == SAID[gate_at]


async def test_a_stop_reaches_a_flooding_upstream(
    page: Page, model: Model, upstream: Upstream
) -> None:
    upstream.behave(Script(("word " * 200,) * 200_000))
    async with page.stream("hello", model=model.id, stream_id="flood") as stream:
        await stream.until("content")
        async with asyncio.timeout(1):
            await page.stop("flood")
            await upstream.client_closed()
        assert (await stream.rest())[-1]["type"] == "cancelled"


async def test_a_stop_ends_the_wait_for_another_try(
    page: Page, model: Model, upstream: Upstream
) -> None:
    upstream.behave(Script(fault="429", retry_after="15"))
    async with page.stream("hello", model=model.id, stream_id="waiting") as stream:
        await upstream.asked()
        async with asyncio.timeout(5):
            await page.stop("waiting")
            assert (await stream.rest())[-1]["type"] == "cancelled"
    assert len(upstream.prompts) == 1


async def test_stopping_twice_ends_it_once(page: Page, model: Model, upstream: Upstream) -> None:
    upstream.behave(Script(gate_at=0))
    async with page.stream("hello", model=model.id, stream_id="twice") as stream:
        await upstream.asked()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(2):
                tasks.create_task(page.stop("twice"))
        assert (await stream.rest())[-1]["type"] == "cancelled"
    assert (await page.stop("twice"))["stopped"] is False


@pytest.mark.parametrize("stream_id", ["unknown", "", "../x", "x" * 500])
async def test_stopping_what_does_not_run_is_200(page: Page, stream_id: str) -> None:
    assert (await page.stop(stream_id))["stopped"] is False


async def test_stopping_one_leaves_the_others(page: Page, model: Model, upstream: Upstream) -> None:
    upstream.behave(Script(gate_at=1))
    async with (
        page.stream("hello", model=model.id, stream_id="one") as one,
        page.stream("hello", model=model.id, stream_id="other") as other,
    ):
        await one.until("content")
        await other.until("content")
        await page.stop("one")
        assert (await one.rest())[-1]["type"] == "cancelled"
        await upstream.client_closed()
        upstream.open_gate()
        events = await other.rest()
        assert (text_of(events), events[-1]["type"]) == ("Hello, world", "complete")
    assert upstream.left == 1


@GATES
async def test_a_page_that_is_closed_closes_the_upstream(
    page: Page, model: Model, upstream: Upstream, gate_at: int
) -> None:
    upstream.behave(Script(gate_at=gate_at))
    async with page.events() as events, page.stream("hello", model=model.id) as stream:
        await upstream.until(lambda server: server.live_streams == 1)
        while text_of(stream.events) != SAID[gate_at]:
            await stream.next()
        async with asyncio.timeout(1):
            stream.leave()
            await upstream.client_closed()
        await events.until("run_ended", outcome="cancelled")
    assert (await page.get("/api/chat/status"))["streams"] == []
