"""``Page``: the existing front end as a client, down to its preflights and its reader of streams."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy

ORIGIN = "http://localhost:3000"
ENDS = ("complete", "cancelled", "error")
EVENT_FIELDS = {
    "start": {"timestamp", "model"},
    "action_start": {"action", "timestamp"},
    "action_complete": {"action", "result", "timestamp"},
    "content": {"content", "timestamp"},
    "complete": {"timestamp"},
    "cancelled": {"message"},
    "error": {"message", "timestamp"},
}

Event = dict[str, Any]
Headers = CIMultiDictProxy[str]


class Page:
    """A page of ``origin`` that talks to the daemon at ``url``.

    Every call is preflighted and says that it sends JSON; every answer is checked for what the
    page's browser and script need of it.

    Attributes:
        seen: The text of every answer so far.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, origin: str = ORIGIN) -> None:
        self.session = session
        self.url = url
        self.origin = origin
        self.seen: list[str] = []

    async def preflight(
        self, method: str, address: str, params: Mapping[str, str] | None = None
    ) -> None:
        """What the browser asks before each call."""
        headers = {
            "Origin": self.origin,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "content-type",
            "Sec-Fetch-Mode": "cors",
            "Sec-Fetch-Site": self.site,
        }
        async with self.session.options(
            self.url + address, params=params, headers=headers
        ) as response:
            assert response.status in (200, 204), await response.text()
            self.check_cors(response.headers)
            allowed = response.headers["Access-Control-Allow-Methods"].upper().split(", ")
            assert method in allowed
            assert "content-type" in response.headers["Access-Control-Allow-Headers"].lower()

    @property
    def site(self) -> str:
        """What a browser says of a page there that calls ``localhost``."""
        return "same-site" if self.origin == ORIGIN else "cross-site"

    def check_cors(self, headers: Headers) -> None:
        """Whether the browser hands the answer to the page."""
        assert headers["Access-Control-Allow-Origin"] == self.origin
        assert "origin" in headers["Vary"].lower()
        assert "Access-Control-Allow-Credentials" not in headers

    def headers(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "Origin": self.origin,
            "Sec-Fetch-Mode": "cors",
            "Sec-Fetch-Site": self.site,
            **(more or {}),
        }

    async def call(
        self,
        method: str,
        address: str,
        /,
        body: object = None,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **params: str,
    ) -> tuple[Any, Headers]:
        """One call; the answer must have ``status`` and a body that fits it."""
        await self.preflight(method, address, params)
        async with self.session.request(
            method,
            self.url + address,
            data=None if body is None else encoded(body),
            params=params,
            headers=self.headers(headers),
        ) as response:
            text = await response.text()
            self.seen.append(text)
            assert response.status == status, text[:2000]
            self.check_cors(response.headers)
            assert response.content_type == "application/json"
            answer = json.loads(text)
            if status >= 400:
                check_error(answer)
            return answer, response.headers

    async def get(self, address: str, /, *, status: int = 200, **params: str) -> Any:
        return (await self.call("GET", address, None, status=status, headers=None, **params))[0]

    async def post(self, address: str, body: object, *, status: int = 200) -> Any:
        return (await self.call("POST", address, body, status=status))[0]

    async def put(self, address: str, body: object, *, status: int = 200) -> Any:
        return (await self.call("PUT", address, body, status=status))[0]

    async def delete(self, address: str, /, *, status: int = 200, **params: str) -> Any:
        return (await self.call("DELETE", address, None, status=status, headers=None, **params))[0]

    @asynccontextmanager
    async def stream(self, message: str, **fields: object) -> AsyncIterator[Stream]:
        """An open chat; its headers are there when the block begins."""
        body = {
            "message": message,
            "attachments": [],
            "model": "",
            "stream_id": f"stream-{len(self.seen)}",
            **fields,
        }
        path = "/api/chat/stream"
        await self.preflight("POST", path)
        async with self.session.post(
            self.url + path, data=encoded(body), headers=self.headers()
        ) as response:
            assert response.status == 200, await response.text()
            assert response.content_type == "text/event-stream"
            assert "Content-Encoding" not in response.headers
            self.check_cors(response.headers)
            stream = Stream(response)
            yield stream
            self.seen.append(json.dumps(stream.events))

    async def chat(self, message: str, **fields: object) -> list[Event]:
        """All events of a chat, which must have ended as a chat ends."""
        async with self.stream(message, **fields) as stream:
            return await stream.rest()

    @asynccontextmanager
    async def events(self) -> AsyncIterator[Stream]:
        """What happens in the daemon from now on."""
        async with self.session.get(f"{self.url}/api/events", headers=self.headers()) as response:
            assert response.status == 200
            yield Stream(response)

    async def stop(self, stream_id: str) -> Any:
        return await self.post("/api/chat/stop", {"stream_id": stream_id})


class Stream:
    """An event stream as the page reads it: only lines that start with ``data: ``."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.events: list[Event] = []

    async def next(self) -> Event | None:
        """The next event; None at the end of the stream."""
        async for line in self.response.content:
            if line.startswith(b"data: "):
                assert line.endswith(b"\n")
                assert not line.endswith(b"\r\n")
                event: Event = json.loads(line[6:])
                self.events.append(event)
                return event
        return None

    async def until(self, kind: str, **fields: object) -> Event:
        """The next event of that type with these fields, within some seconds."""
        async with asyncio.timeout(20):
            while (event := await self.next()) is not None:
                if event["type"] == kind and fields.items() <= event.items():
                    return event
        raise AssertionError(f"no {kind} in {self.events}")

    async def rest(self) -> list[Event]:
        """All events, those that were read before too, once the stream has ended in order."""
        while await self.next() is not None:
            pass
        check_events(self.events)
        return self.events

    def leave(self) -> None:
        """As a page that is closed."""
        self.response.close()


def encoded(body: object) -> io.BytesIO:
    """A body as aiohttp likes to send a big one."""
    return io.BytesIO(json.dumps(body).encode())


def check_error(answer: Any) -> None:
    """The one shape of what went wrong."""
    assert set(answer) == {"detail", "code"}
    assert answer["detail"]
    assert isinstance(answer["detail"], str)
    assert isinstance(answer["code"], str)


def check_events(events: Sequence[Event]) -> None:
    """``start, content*, end`` or ``action_start, action_complete, content+, end``; one end."""
    kinds = [event["type"] for event in events]
    known = [kind for kind in kinds if kind in EVENT_FIELDS]
    assert kinds, "a stream without any event"
    assert [kind for kind in kinds if kind in ENDS] == kinds[-1:], kinds
    assert kinds[0] in ("start", "action_start"), kinds
    for event in events:
        assert EVENT_FIELDS.get(event["type"], set()) <= set(event), event
    assert all(event["content"] for event in events if event["type"] == "content")
    body = known[1:-1]
    if kinds[0] == "action_start" and kinds[-1] == "complete":
        assert body[:2] == ["action_complete", "content"], kinds
        body = body[1:]
    elif kinds[0] == "action_start":
        body = [kind for kind in body if kind != "action_complete"]
    assert set(body) <= {"content"}, kinds


def text_of(events: Sequence[Event]) -> str:
    """All that the bubble shows."""
    return "".join(event["content"] for event in events if event["type"] == "content")


def spoken(events: Sequence[Event]) -> str:
    """What the bubble shows, without the thinking."""
    said, thinking = [], False
    for event in events:
        content = event.get("content", "")
        if content in ("<think>", "</think>"):
            thinking = content == "<think>"
        elif not thinking:
            said.append(content)
    return "".join(said)
