"""All that clients do with one daemon at once, over a folder that stays the same size."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.torture.storm import NOBODY, make_content, word_of

FILES = 40
CHURNED = 10
CLIENTS = 6
AT_ONCE = 60
LEAVE_SECONDS = 0.03


class Load:
    """Clients that never rest.

    Attributes:
        done: How often each thing was done.
    """

    def __init__(self, url: str, upstream_url: str, root: Path, seed: int) -> None:
        self.url = url
        self.done: Counter[str] = Counter()
        self._upstream_url = upstream_url
        self._root = root
        self._rng = random.Random(seed)
        self._number = itertools.count()
        self._ways: tuple[Callable[[aiohttp.ClientSession], Awaitable[None]], ...] = (
            self.suggest,
            self.suggest,
            self.search,
            self.save,
            self.save,
            self.delete,
            self.rename,
            self.finish_a_chat,
            self.stop_a_chat,
            self.leave_a_chat,
            self.learn,
            self.test_services,
            self.change_services,
            self.follow_events,
            self.ask_over_a_socket,
            self.churn,
            self.churn,
            self.churn_folders,
            self.refresh,
            self.look_around,
        )

    async def go_on(self, seconds: float) -> None:
        """Let all clients work for so long; all their connections are closed then."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(self.url, connector=connector) as session:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
                    for _ in range(CLIENTS):
                        tasks.create_task(self._work(session))

    async def fill_pools(self) -> None:
        """So many at once that every thread there can be is begun."""
        async with aiohttp.ClientSession(self.url) as session, asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(self._get(session, "/api/index"))
                tasks.create_task(self.search(session))

    async def _work(self, session: aiohttp.ClientSession) -> None:
        while True:
            way = self._rng.choice(self._ways)
            await way(session)
            self.done[way.__name__] += 1

    def _word(self) -> str:
        return word_of(self._rng.randrange(1_000))

    def _path(self) -> str:
        return f"kept/{self._rng.randrange(FILES)}.md"

    async def _post(
        self, session: aiohttp.ClientSession, path: str, body: dict[str, Any], *also: int
    ) -> None:
        async with session.post(path, json=body) as response:
            assert response.status in (200, *also), (path, await response.text())
            await response.read()

    async def _get(self, session: aiohttp.ClientSession, address: str, **query: str) -> None:
        async with session.get(address, params=query) as response:
            assert response.status == 200, (address, await response.text())
            await response.read()

    # -- the ways of working

    async def suggest(self, session: aiohttp.ClientSession) -> None:
        for length in range(1, 7):
            await self._get(session, "/api/files", q=self._word()[:length])

    async def search(self, session: aiohttp.ClientSession) -> None:
        await self._get(session, "/api/search", q=f"{self._word()} was here")

    async def save(self, session: aiohttp.ClientSession) -> None:
        text = make_content(self._word(), self._rng).decode()
        await self._post(
            session, "/api/files/content", {"path": self._path(), "content": text}, 409
        )

    async def delete(self, session: aiohttp.ClientSession) -> None:
        async with session.delete("/api/files/content", params={"path": self._path()}) as response:
            assert response.status in (200, 404, 409)

    async def rename(self, session: aiohttp.ClientSession) -> None:
        body = {"path": self._path(), "to": self._path()}
        await self._post(session, "/api/files/rename", body, 400, 404, 409)

    def _chat(self) -> dict[str, Any]:
        stream = f"stream {next(self._number)}"
        attachment = {"type": "file", "name": self._path()}
        message = f"What of {self._word()}?"
        return {"message": message, "attachments": [attachment], "model": "", "stream_id": stream}

    async def finish_a_chat(self, session: aiohttp.ClientSession) -> None:
        await self._post(session, "/api/chat/stream", self._chat())

    async def stop_a_chat(self, session: aiohttp.ClientSession) -> None:
        body = self._chat()
        async with session.post("/api/chat/stream", json=body) as response:
            await response.content.readline()
            await self._post(session, "/api/chat/stop", {"stream_id": body["stream_id"]})
            await response.read()

    async def leave_a_chat(self, session: aiohttp.ClientSession) -> None:
        async with session.post("/api/chat/stream", json=self._chat()) as response:
            await response.content.readline()
            await asyncio.sleep(self._rng.uniform(0, LEAVE_SECONDS))
            response.close()

    async def learn(self, session: aiohttp.ClientSession) -> None:
        name = f"learnt {next(self._number)}"
        body = {"action_id": "add_knowledge", "user_input": f"{self._word()} " * 50}
        body["knowledge_filename"] = name
        async with session.post("/api/actions/execute", json=body) as response:
            assert response.status == 200, await response.text()
            path = (await response.json())["path"]
        async with session.delete("/api/files/content", params={"path": path}) as response:
            assert response.status == 200

    async def test_services(self, session: aiohttp.ClientSession) -> None:
        for host in (self._upstream_url, NOBODY):
            config = {"name": "tried", "host": host}
            body = {"service_type": "ollama", "config": config}
            await self._post(session, "/api/services/test", body)

    async def change_services(self, session: aiohttp.ClientSession) -> None:
        service = f"s{self._rng.randrange(3)}"
        config = {"name": service, "host": self._upstream_url, "models": ["beta"]}
        body = {"service_id": service, "service_type": "ollama", "config": config}
        await self._post(session, "/api/services/add", body)
        async with session.delete(f"/api/services/{service}") as response:
            assert response.status in (200, 404)

    async def follow_events(self, session: aiohttp.ClientSession) -> None:
        async with session.get("/api/events", params={"after": "0"}) as response:
            await response.content.readline()
            await asyncio.sleep(self._rng.uniform(0, LEAVE_SECONDS))
            response.close()

    async def ask_over_a_socket(self, session: aiohttp.ClientSession) -> None:
        async with session.ws_connect("/ws/suggestions") as socket:
            for number in range(10):
                kind = self._rng.choice(("files", "actions", "search"))
                await socket.send_json({"type": kind, "query": self._word()[:5], "id": number})
            for _ in range(5):
                await socket.receive_json()

    async def churn(self, session: aiohttp.ClientSession) -> None:
        """Names that were never there before, and are never again."""
        number = next(self._number)
        folder = self._root / "churned"
        folder.mkdir(exist_ok=True)
        (folder / f"{word_of(number)} {number}.txt").write_text(f"{word_of(number)} passes\n" * 20)
        files = sorted(folder.iterdir())
        for file in self._rng.sample(files, max(0, len(files) - CHURNED)):
            file.unlink(missing_ok=True)
        await asyncio.sleep(0.05)

    async def churn_folders(self, session: aiohttp.ClientSession) -> None:
        number = next(self._number)
        folder = self._root / f"for a moment {number}"
        folder.mkdir()
        (folder / f"inside {number}.txt").write_text("soon gone\n")
        await asyncio.sleep(0.2)
        (folder / f"inside {number}.txt").unlink()
        folder.rmdir()

    async def refresh(self, session: aiohttp.ClientSession) -> None:
        await self._post(session, "/api/refresh", {})

    async def look_around(self, session: aiohttp.ClientSession) -> None:
        for path in ("/api/stats", "/api/services", "/api/models", "/api/index", "/openapi.json"):
            await self._get(session, path)
        await self._get(session, "/api/files/versions", path=self._path())
