"""``Upstream``: the fake LLM service in a thread of its own, one for both dialects."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from aiohttp import web  # noqa: TID251 - what the fake upstream answers with

from tests.fakes.scripts import Script
from tests.fakes.upstream import FakeUpstream, Recorded

Respond = Callable[[str], Script | None]
T = TypeVar("T")


class _Server(FakeUpstream):
    """A fake upstream that may choose its behaviour by the prompt, and sees who leaves questions.

    Attributes:
        respond: Given all text of a prompt, how to answer it; None: as usual.
        left_questions: How many clients left while they waited for something but a chat.
    """

    def __init__(self) -> None:
        self.respond: Respond | None = None
        self.left_questions = 0
        super().__init__()

    def forget(self) -> None:
        """Be as new; whoever waits is let go."""
        self.open_gate()
        self._reset()
        self.respond = None
        self.left_questions = 0
        self.behave(Script())

    async def _answer(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        try:
            return await super()._answer(request, body)
        except asyncio.CancelledError:
            if not request.path.endswith(("/chat", "/completions")):
                self.left_questions += 1
                await self._note(lambda: None)
            raise

    async def _chat(
        self, request: web.Request, script: Script, body: dict[str, Any]
    ) -> web.StreamResponse:
        chosen = self.respond(prompt_of(body)) if self.respond else None
        return await super()._chat(request, chosen or script, body)


def prompt_of(body: Any) -> str:
    """All text that a model was sent."""
    return "\n".join(str(message["content"]) for message in body["messages"])


class Upstream:
    """The server, told from other threads what to do; every call is safe from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="upstream")
        self._thread.start()
        self._server = _Server()
        self._wait(self._server.start())

    def close(self) -> None:
        """Let go of everything."""
        self._server.open_gate()
        self._wait(self._server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """Ollama's address; with ``/v1`` behind it OpenAI's."""
        return self._server.url

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def requests(self) -> list[Recorded]:
        return list(self._server.requests)

    @property
    def embedded(self) -> list[str]:
        """Every text that vectors were asked of, oldest first."""
        return self._server.embedded

    @property
    def prompts(self) -> list[str]:
        """What models were sent, oldest first."""
        return [prompt_of(chat.body) for chat in self._server.chats]

    @property
    def left(self) -> int:
        """How many clients left an answer before its end."""
        return len(self._server.closed_by_client)

    def set_up(self, *, models: list[str] | None = None, key: str | None = None) -> None:
        """Which models it has, and the key without which it answers 401."""

        def change() -> None:
            self._server.models = models or self._server.models
            self._server.key = self._server.key if key is None else key

        self._do(change)

    def behave(self, script: Script) -> None:
        """Follow ``script`` from the next request on."""
        self._do(lambda: self._server.behave(script))

    def respond(self, choose: Respond) -> None:
        """Answer each prompt as ``choose`` says."""
        self._do(lambda: setattr(self._server, "respond", choose))

    def open_gate(self) -> None:
        """Let answers go on that wait at their gate."""
        self._do(self._server.open_gate)

    def forget(self) -> None:
        """Be as new."""
        self._do(self._server.forget)

    def go_down(self) -> None:
        """Nothing listens any more."""
        self._wait(self._server.stop())

    def come_back(self) -> None:
        """Listen on the same port as before."""
        self._wait(self._server.start())

    async def until(self, condition: Callable[[_Server], bool], seconds: float = 10) -> None:
        """Wait until what it recorded makes ``condition`` true, or ``TimeoutError``."""
        await self._awaited(self._server.until(lambda: condition(self._server), seconds))

    async def asked(self, count: int = 1) -> None:
        """Wait until so many chats are being answered or wait to be."""
        await self.until(lambda server: len(server.chats) >= count)

    async def client_closed(self, count: int = 1, seconds: float = 10) -> None:
        """Wait until so many clients left before the end of their answer."""
        await self._awaited(self._server.client_closed(count, seconds))

    async def question_left(self) -> None:
        """Wait until a client left a question that was no chat."""
        await self.until(lambda server: server.left_questions > 0)

    def _do(self, change: Callable[[], object]) -> None:
        async def run() -> None:
            change()

        self._wait(run())

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _awaited(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))
