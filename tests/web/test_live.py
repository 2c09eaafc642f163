"""Open connections are counted, bounded and ended."""

from __future__ import annotations

import pytest

from sgoped.web.keys import LIVE
from sgoped.web.live import LiveConnections, TooManyConnections
from tests.web.conftest import Client


async def test_only_what_is_open_is_ended() -> None:
    live, ended = LiveConnections(), []

    async def end_first() -> None:
        ended.append("first")

    async def end_second() -> None:
        ended.append("second")

    async def broken() -> None:
        raise RuntimeError

    with live.track(end_first), live.track(broken):
        with live.track(end_second):
            assert len(live) == 3
        await live.end_all()
    assert ended == ["first"]
    assert len(live) == 0


async def test_more_than_the_bound_are_refused() -> None:
    live = LiveConnections(max_connections=1)

    async def end() -> None:
        pass

    live.admit()
    with live.track(end), pytest.raises(TooManyConnections):
        live.admit()
    live.admit()


async def test_one_too_many_is_503(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    app = client.server.app  # type: ignore[attr-defined]  # a TestServer has one
    monkeypatch.setattr(app[LIVE], "_max_connections", 0)
    async with client.post("/api/chat/stream", json={"message": "hi"}) as response:
        assert (response.status, (await response.json())["code"]) == (503, "too_many_connections")
