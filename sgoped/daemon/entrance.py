"""What every connection passes before a byte of it is read: whose it is, and whether there is room.

A connection starts with ``_Entrance``, which lets it in by handing it to HTTP. One that is refused
is told so once it has asked, without being understood; one too many is closed, unless another that
waits for nothing can be closed in its place.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web  # noqa: TID251 - hands connections to the server

from sgoped.daemon.connection import Deadlines, TimedConnection, canned_answer
from sgoped.daemon.peers import Peers, Refused
from sgoped.web import protocol_options

# Also closes a connection on which nothing is ever asked.
_KEEPALIVE_SECONDS = 75.0
_MAX_CONNECTIONS = 1000
_MAX_TELLING = 64
_MAX_LOOKING = 256
_TELLING_SECONDS = 2.0
_QUIET_SECONDS = 60.0
_log = logging.getLogger(__name__)


@asynccontextmanager
async def accepting(
    sockets: Iterable[socket.socket],
    server: web.Server,
    *,
    deadlines: Deadlines,
    check_peer_uid: bool,
    max_connections: int | None = None,
) -> AsyncGenerator[None]:
    """Serves what connects to ``sockets``, for as long as the block is not left.

    Args:
        sockets: Bound and listening, of TCP or unix.
        server: The application's.
        deadlines: Of each connection.
        check_peer_uid: Whether other users are refused on TCP.
        max_connections: Served at a time, so that files stay free; None: as many as that allows.
    """
    loop = asyncio.get_running_loop()
    peers = Peers(check_uid=check_peer_uid)
    async with AsyncExitStack() as stack:
        stack.callback(peers.close)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        door = _Door(server, peers, tasks, deadlines, max_connections or _room())
        stack.callback(door.close)
        for each in sockets:
            if each.family == socket.AF_UNIX:
                listening = await loop.create_unix_server(door.entrance, sock=each)
            else:
                listening = await loop.create_server(door.entrance, sock=each)
            stack.callback(listening.close)
        yield


def _room() -> int:
    """A stream takes two descriptors, and saves and the index need some, too."""
    open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = open_files == resource.RLIM_INFINITY
    return _MAX_CONNECTIONS if unlimited else min(_MAX_CONNECTIONS, open_files // 3)


class _Door:
    """What all entrances share."""

    def __init__(
        self,
        server: web.Server,
        peers: Peers,
        tasks: asyncio.TaskGroup,
        deadlines: Deadlines,
        max_connections: int,
    ) -> None:
        self._server = server
        self._peers = peers
        self._tasks = tasks
        self._deadlines = deadlines
        self._max_connections = max_connections
        self._loop = asyncio.get_running_loop()
        self._quiet_until = 0.0
        self._closed = False
        self._telling: set[asyncio.Transport] = set()
        self._looking: set[asyncio.Task[None]] = set()

    def entrance(self) -> asyncio.Protocol:
        """A protocol for a new connection."""
        return _Entrance(self)

    def close(self) -> None:
        """Hangs up on those that are not let in yet, or never will be, and on who comes still."""
        self._closed = True
        for transport in list(self._telling):
            transport.abort()
        for task in self._looking:
            task.cancel()

    def receive(self, transport: asyncio.Transport) -> None:
        """Decides at once, or has it decided in a thread while nothing is read."""
        if self._closed:  # accepted in the same turn of the loop in which all ends
            transport.abort()
            return
        accepted = transport.get_extra_info("socket")
        try:
            verdict = self._peers.judge(accepted)
        except OSError:  # it has hung up already
            transport.abort()
            return
        if verdict != "later":
            self._decide(transport, verdict)
        elif len(self._looking) >= _MAX_LOOKING:
            transport.abort()
        else:
            transport.pause_reading()
            task = self._tasks.create_task(self._look(transport, accepted))
            self._looking.add(task)
            task.add_done_callback(self._looking.discard)

    async def _look(self, transport: asyncio.Transport, accepted: socket.socket) -> None:
        verdict = await asyncio.to_thread(self._peers.judge_slowly, accepted)
        if not transport.is_closing():
            self._decide(transport, verdict)
            transport.resume_reading()

    def _decide(self, transport: asyncio.Transport, verdict: Refused | None) -> None:
        if verdict is not None:
            self._tell(transport, verdict)
        elif self._has_room():
            self._hand_over(transport, self._connection())
        else:
            self._say_full()
            transport.abort()

    def _connection(self) -> TimedConnection:
        return TimedConnection(
            self._server,
            self._deadlines,
            self._loop,
            keepalive_timeout=_KEEPALIVE_SECONDS,
            **protocol_options(),
        )

    def _has_room(self) -> bool:
        """Closes the connection that has waited longest for a request, if that makes room."""
        connections = [each for each in self._server.connections if each.transport is not None]
        if len(connections) < self._max_connections:
            return True
        idle = [
            (since, number)
            for number, each in enumerate(connections)
            if isinstance(each, TimedConnection) and (since := each.idle_since) is not None
        ]
        if not idle:
            return False
        connections[min(idle)[1]].force_close()
        return True

    def _say_full(self) -> None:
        """At most once a minute: it could fill the disk otherwise."""
        now = self._loop.time()
        if now >= self._quiet_until:
            self._quiet_until = now + _QUIET_SECONDS
            _log.warning("%d connections are open; more are closed at once", self._max_connections)

    def _tell(self, transport: asyncio.Transport, refused: Refused) -> None:
        if len(self._telling) >= _MAX_TELLING:
            transport.abort()
            return
        self._telling.add(transport)
        self._hand_over(transport, _Refusal(refused, self._telling))

    @staticmethod
    def _hand_over(transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


class _Entrance(asyncio.Protocol):
    """Reads nothing: it is replaced before anything could come, or nothing is read until then."""

    def __init__(self, door: _Door) -> None:
        self._door = door

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._door.receive(transport)


class _Refusal(asyncio.Protocol):
    """Answers the first bytes, whatever they are, then drops what still comes for a moment.

    Hanging up at once would discard the answer while the other side is still sending.
    """

    def __init__(self, refused: Refused, telling: set[asyncio.Transport]) -> None:
        self._answer = canned_answer("403 Forbidden", refused.message, "peer_refused")
        self._telling = telling
        self._answered = False
        self._transport: asyncio.Transport | None = None
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            loop = asyncio.get_running_loop()
            self._end = loop.call_later(_TELLING_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._answered or self._transport is None:
            return
        self._answered = True
        self._transport.write(self._answer)
        self._transport.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._end is not None:
            self._end.cancel()
        if self._transport is not None:
            self._telling.discard(self._transport)
