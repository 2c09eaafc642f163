"""One socket session: requests queued in order, one writer, superseded look-ups answered cheaply.

What the index answers at once is answered at once. Anything else goes into a bounded queue, which a
single writer answers in order. A person who types faster than that sends requests with ids: of those
that wait, only the newest of its type is computed, and the others are told that they were superseded.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any, NamedTuple

from aiohttp import WSCloseCode, WSMsgType, web
from pydantic import ValidationError

from sgoped.errors import SgopedError
from sgoped.suggestions import Suggestion
from sgoped.unexpected import log_unexpected
from sgoped.web.bearer import SUBPROTOCOL
from sgoped.web.endpoint import WEBSOCKET, endpoint
from sgoped.web.incoming import Incoming
from sgoped.web.keys import LIVE, MEMORY, MENUS, SETTINGS, SUGGESTIONS
from sgoped.web.render import hit_json
from sgoped.web.schemas import MAX_ID_CHARS, SocketRequest
from sgoped.web.sse import abort, cannot_block
from sgoped.web.wire import describe, encode, parse_json

HEARTBEAT_SECONDS = 30.0
CLOSE_SECONDS = 2.0
MAX_MESSAGE_CHARS = 64 * 1024
MAX_RECEIVED_BYTES = 1024 * 1024
MAX_QUEUED = 64
MAX_SUGGESTED = 10

ENDS = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)


class Failure(NamedTuple):
    """A message that is no request: what is wrong with it, and its id where it has one."""

    message: str
    id: str | int | None = None


Queued = SocketRequest | Failure


@endpoint("suggestions", media_type=WEBSOCKET, fails=(426, 503))
async def suggestions_socket(request: web.Request) -> web.StreamResponse:
    """Open a WebSocket for suggestions while a person types.

    In: `{"type": "files"|"actions"|"search", "query": str, "id"?: str|int}`. Out:
    `{"type", "query", "suggestions": [...], "id"?}`, for a search `hits`; anything that is not
    such a request is answered with `{"type": "error", "message"}` and the socket stays open, but
    for what breaks the protocol itself or is over 1 MiB.
    """
    app = request.app
    socket = web.WebSocketResponse(
        heartbeat=HEARTBEAT_SECONDS,
        timeout=CLOSE_SECONDS,
        max_msg_size=MAX_RECEIVED_BYTES,
        compress=False,
        protocols=(SUBPROTOCOL,),  # aiohttp logs what is offered where nothing is agreed upon
    )
    if not socket.can_prepare(request):
        raise web.HTTPUpgradeRequired
    app[LIVE].admit()
    await socket.prepare(request)
    session = Session(socket, request)
    with app[LIVE].track(session.end):
        await session.run()
    return socket


class Session:
    """What one socket has asked for and not yet been told."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self._socket = socket
        self._request = request
        self._suggestions = request.app[SUGGESTIONS]
        self._memory = request.app[MEMORY]
        self._menus = request.app[MENUS]
        self._write_timeout_seconds = request.app[SETTINGS].write_timeout_seconds
        self._queue: deque[Queued] = deque()
        self._newest: dict[str, SocketRequest] = {}
        self._busy = False
        self._asked = asyncio.Event()
        self._room = asyncio.Event()

    async def run(self) -> None:
        """Serve until the client closes, breaks, or takes nothing for too long."""
        async with asyncio.TaskGroup() as group:
            writer = group.create_task(self._answer_all())
            cutting = group.create_task(self._cut_when_closing_hangs())
            incoming = Incoming(self._socket)
            try:
                await self._read_all(incoming, writer)
            except (TimeoutError, ConnectionError):
                abort(self._request)
            finally:
                incoming.close()
                writer.cancel()
                cutting.cancel()
        self._drop_unsent()

    async def end(self) -> None:
        """Close the socket because the daemon stops; a client that does not read is not waited for."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._socket.close(code=WSCloseCode.GOING_AWAY, message=b"the daemon stops")
        except TimeoutError:
            abort(self._request)

    async def _cut_when_closing_hangs(self) -> None:
        """At an error or a missing pong the socket is closed, but waits for who does not read."""
        while True:
            await asyncio.sleep(self._write_timeout_seconds)
            if self._socket.closed:
                await asyncio.sleep(CLOSE_SECONDS)
                abort(self._request)
                return

    def _drop_unsent(self) -> None:
        """What a client has not taken by now would keep the connection for as long as it likes."""
        transport = self._request.transport
        if transport is not None and transport.get_write_buffer_size():
            transport.abort()

    async def _read_all(self, incoming: Incoming, writer: asyncio.Task[None]) -> None:
        while not writer.done():
            message = await incoming.next()
            if message.type is WSMsgType.TEXT:
                item = _parse(message.data)
            elif message.type is WSMsgType.BINARY:
                item = Failure("send text messages, not binary ones")
            elif message.type in ENDS:
                return
            else:
                continue
            answer = None
            # The usual case, without a second task: one message, and its answer at hand.
            if not (self._busy or self._queue or incoming.has_next):
                answer = self._answer_now(item)
            if answer is not None:
                await self._send(answer)
                continue
            self._enqueue(item)
            while len(self._queue) >= MAX_QUEUED and not writer.done():
                self._room.clear()
                await self._room.wait()

    def _answer_now(self, item: Queued) -> bytes | None:
        if isinstance(item, Failure) or item.type != "files" or not item.query.strip():
            return None
        try:
            menu = self._suggestions.menu_now(item.query, MAX_SUGGESTED)
        except Exception:  # noqa: BLE001 - asked again by the writer, which tells of it
            return None
        return None if menu is None else _message(item, "suggestions", self._menus.socket(menu))

    def _enqueue(self, item: Queued) -> None:
        self._queue.append(item)
        if isinstance(item, SocketRequest) and item.id is not None:
            self._newest[item.type] = item
        self._asked.set()

    async def _answer_all(self) -> None:
        try:
            while True:
                if not self._queue:
                    self._busy = False
                    self._asked.clear()
                    await self._asked.wait()
                self._busy = True
                item = self._queue.popleft()
                self._room.set()
                await self._send(await self._answer(item))
        except (TimeoutError, ConnectionError):
            abort(self._request)  # what is buffered for a client that does not read is dropped
        finally:
            self._room.set()

    async def _send(self, answer: bytes) -> None:
        if cannot_block(self._request, len(answer)):
            await self._socket.send_frame(answer, WSMsgType.TEXT)
        else:
            async with asyncio.timeout(self._write_timeout_seconds):
                await self._socket.send_frame(answer, WSMsgType.TEXT)

    async def _answer(self, item: Queued) -> bytes:
        echoed = {} if item.id is None else {"id": item.id}
        if isinstance(item, Failure):
            return encode({"type": "error", "message": item.message, **echoed})
        if item.id is not None and self._newest.get(item.type) is not item:
            return encode({**echoed, "superseded": True})
        try:
            return await self._look_up(item)
        except SgopedError as error:
            return encode({"type": "error", "message": error.message, **echoed})
        except Exception as error:  # noqa: BLE001 - the edge: one answer fails, not the session
            log_unexpected(f"socket {item.type}", error)
            return encode({"type": "error", "message": "something unexpected went wrong", **echoed})

    async def _look_up(self, item: SocketRequest) -> bytes:
        if item.type == "search":
            passages = await self._memory.search(item.query, MAX_SUGGESTED)
            return _message(item, "hits", encode([hit_json(passage) for passage in passages]))
        if item.type == "actions" or not item.query.strip():
            look_up = self._suggestions.files if item.type == "files" else self._suggestions.actions
            found = await look_up(item.query, MAX_SUGGESTED)
            listed = [_suggestion_json(suggestion) for suggestion in found]
            return _message(item, "suggestions", encode(listed))
        menu = await self._suggestions.menu(item.query, MAX_SUGGESTED)
        return _message(item, "suggestions", self._menus.socket(menu))


def _message(item: SocketRequest, name: str, value: bytes) -> bytes:
    """``{"type", "query", name: value, "id"?}``; ``value`` is JSON already."""
    echoed = b"" if item.id is None else b',"id":%b' % encode(item.id)
    return b'{"type":"%b","query":%b,"%b":%b%b}' % (
        item.type.encode(),
        encode(item.query),
        name.encode(),
        value,
        echoed,
    )


def _suggestion_json(suggestion: Suggestion) -> dict[str, Any]:
    return {
        "id": suggestion.id,
        "label": suggestion.label,
        "description": suggestion.description,
        "metadata": suggestion.metadata,
    }


def _parse(text: str) -> Queued:
    if len(text) > MAX_MESSAGE_CHARS:
        return Failure(f"a message has at most {MAX_MESSAGE_CHARS} characters")
    try:
        return SocketRequest.model_validate_json(text)
    except ValidationError as error:
        return Failure(describe(error), _id_of(text))


def _id_of(text: str) -> str | int | None:
    """The id of a message that is otherwise wrong, so that whoever waits for it is told."""
    with suppress(SgopedError):
        message = parse_json(text)
        given = message.get("id") if isinstance(message, dict) else None
        if isinstance(given, str | int) and not isinstance(given, bool):
            return given if isinstance(given, int) else given[:MAX_ID_CHARS]
    return None
