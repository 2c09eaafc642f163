"""The bus over HTTP: ids, resuming, shutting down."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import ClientResponse

from sgoped.events import Bus, FileIndexed, SettingsChanged
from sgoped.web import replies
from sgoped.web.events import event_json
from sgoped.web.keys import BUS, LIVE
from tests.web.conftest import Client
from tests.web.shapes import check


def bus_of(client: Client) -> Bus:
    return client.server.app[BUS]  # type: ignore[attr-defined,no-any-return]  # a TestServer's


async def next_pair(response: ClientResponse) -> tuple[int, dict[str, Any]]:
    """The next event with its id."""
    event_id = 0
    async for line in response.content:
        if line.startswith(b"id: "):
            event_id = int(line[4:])
        elif line.startswith(b"data: "):
            return event_id, json.loads(line[6:])
    raise EOFError


async def test_what_happens_is_told_with_its_id(client: Client) -> None:
    bus = bus_of(client)
    async with asyncio.timeout(20), client.get("/api/events") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        event_id = bus.publish(SettingsChanged("colour"))
        while (pair := await next_pair(response))[0] != event_id:
            pass
        check(replies.BusEventReply, pair[1])
        assert pair[1] == {"type": "settings_changed", "what": "colour"}


async def test_a_client_resumes_after_the_last_it_saw(client: Client) -> None:
    bus = bus_of(client)
    first = bus.publish(SettingsChanged("one"))
    bus.publish(SettingsChanged("two"))
    last_seen = {"Last-Event-ID": str(first)}
    for query, headers in ((f"?after={first}", {}), ("", last_seen), ("?after=0", last_seen)):
        address = f"/api/events{query}"
        async with asyncio.timeout(20), client.get(address, headers=headers) as response:
            assert (await next_pair(response))[1]["what"] == "two"
            newest = bus.publish(FileIndexed("a.md"))
            while (pair := await next_pair(response))[0] != newest:
                pass
            assert pair[1] == {"type": "file_indexed", "path": "a.md"}


async def test_an_id_from_before_a_restart_hides_nothing_new(client: Client) -> None:
    async with asyncio.timeout(20), client.get("/api/events?after=999999999") as response:
        newest = bus_of(client).publish(FileIndexed("new.md"))
        while (pair := await next_pair(response))[0] != newest:
            pass
        assert pair[1]["path"] == "new.md"


async def test_shutting_down_ends_the_stream(client: Client) -> None:
    response = await client.get("/api/events")
    async with asyncio.timeout(20):
        await client.server.close()
        assert await response.content.read() is not None
        assert response.content.at_eof()


async def test_a_follower_that_does_not_keep_up_misses_some_and_is_told(client: Client) -> None:
    bus = bus_of(client)
    numbers: list[int] = []
    dropped = 0
    async with asyncio.timeout(30), client.get("/api/events") as response:
        for _ in range(30):
            for _ in range(300):  # 30 x 300 kB: more than any buffer between us holds
                bus.publish(SettingsChanged("x" * 1_000))
            await asyncio.sleep(0)
        newest = bus.publish(SettingsChanged("last"))
        while not numbers or numbers[-1] != newest:
            event_id, event = await next_pair(response)
            if event["type"] == "events_dropped":
                dropped += event["count"]
            else:
                numbers.append(event_id)
    assert numbers == sorted(set(numbers))
    assert dropped > 0
    assert len(numbers) + dropped == numbers[-1] - numbers[0] + 1


class TestImpatience:
    @pytest.fixture
    def overrides(self) -> dict[str, Any]:
        return {"write_timeout_seconds": 0.3}

    async def test_a_follower_that_never_reads_is_cut(self, client: Client) -> None:
        bus = bus_of(client)
        live = client.server.app[LIVE]  # type: ignore[attr-defined]  # a TestServer's
        async with asyncio.timeout(30), client.get("/api/events"):
            assert len(live) == 1
            while len(live):
                bus.publish(SettingsChanged("x" * 100_000))
                await asyncio.sleep(0)


def test_the_type_is_the_class_in_snake_case() -> None:
    assert event_json(FileIndexed("x")) == {"type": "file_indexed", "path": "x"}
