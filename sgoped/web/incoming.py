"""Reads a socket's messages one by one, and knows whether another has arrived already.

aiohttp does not tell. But ``receive()`` returns without waiting when there is one: so it is begun
ahead of time, which takes the next message or shows that there is none, and awaited when due.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Generator
from typing import Any

from aiohttp import WSMessage, web


class Incoming:
    """The messages of one socket, for one reader."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._begun: _Begun | None = None

    @property
    def has_next(self) -> bool:
        """Whether ``next`` would not wait."""
        if self._begun is None:
            self._begun = _Begun(self._socket.receive())
        return self._begun.message is not None

    async def next(self) -> WSMessage:
        """The next message; of type ``CLOSE``, ``CLOSING`` or ``CLOSED`` at the end."""
        begun, self._begun = self._begun, None
        if begun is None:
            return await self._socket.receive()
        return begun.message or await begun

    def close(self) -> None:
        """Drop what was begun."""
        if self._begun is not None:
            self._begun.close()


class _Begun(Awaitable[WSMessage]):
    """A coroutine that was started outside of ``await``; to be awaited by the same task."""

    def __init__(self, receiving: Coroutine[Any, Any, WSMessage]) -> None:
        self._receiving = receiving
        self.message: WSMessage | None = None
        self._waits_for: Any = None
        try:
            self._waits_for = receiving.send(None)
        except StopIteration as done:
            self.message = done.value

    def __await__(self) -> Generator[Any, Any, WSMessage]:
        try:
            while True:
                try:
                    sent = yield self._waits_for
                except BaseException as error:  # noqa: BLE001 - cancellation too is the coroutine's
                    self._waits_for = self._receiving.throw(error)
                else:
                    self._waits_for = self._receiving.send(sent)
        except StopIteration as done:
            message: WSMessage = done.value
            return message

    def close(self) -> None:
        if self.message is None:
            self._receiving.close()
