"""SIGTERM while everything is going on at once."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import time
from pathlib import Path

import aiohttp

from tests.conftest import NoteFigure, StartDaemon
from tests.fakes.scripts import Script
from tests.fakes.upstream import FakeUpstream
from tests.torture.storm import TEMPORARY

STREAMS = 50
SOCKETS = 5
SAVERS = 8
FILES = 5_000
STOP_SECONDS = 5.0
ENDS = ("complete", "cancelled", "error")
NO_ANSWER = (aiohttp.ClientError, ConnectionError)


class Client:
    """One session with a daemon, and what it was told."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url
        self.saved: dict[str, str] = {}
        self.streaming = 0
        self.busy = asyncio.Event()

    def _note(self) -> None:
        if self.streaming == STREAMS and len(self.saved) >= SAVERS:
            self.busy.set()

    async def stream(self, number: int) -> list[str]:
        """The types of the events of one chat."""
        body = {"message": "hello", "attachments": [], "model": "", "stream_id": f"s{number}"}
        kinds: list[str] = []
        async with self.session.post(f"{self.url}/api/chat/stream", json=body) as response:
            async for line in response.content:
                if line.startswith(b"data: "):
                    self.streaming += not kinds
                    self._note()
                    kinds.append(json.loads(line[6:])["type"])
        return kinds

    async def save_for_ever(self, name: str) -> None:
        """Save one new file after the other, until there is no answer."""
        try:
            for number in itertools.count():
                path, text = f"saved/{name} {number}.md", f"{name} {number}\n" * 500
                body = {"path": path, "content": text}
                async with self.session.post(f"{self.url}/api/files/content", json=body) as answer:
                    if answer.status == 200:
                        await answer.read()
                        self.saved[path] = text
                        self._note()
        except NO_ANSWER:
            return

    async def listen(self) -> aiohttp.WSMsgType:
        """Ask over a socket for ever; how it was closed."""
        async with self.session.ws_connect(f"{self.url}/ws/suggestions") as socket:
            while True:
                with_query = {"type": "files", "query": "note"}
                try:
                    await socket.send_json(with_query)
                except NO_ANSWER:
                    return aiohttp.WSMsgType.CLOSED
                message = await socket.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return message.type

    async def follow_events(self) -> None:
        """Read what happened until the stream is ended, which must be in order."""
        async with self.session.get(f"{self.url}/api/events") as response:
            async for _ in response.content:
                pass


def make_files(folder: Path, count: int) -> None:
    folder.mkdir(mode=0o700, parents=True)
    for number in range(count):
        (folder / f"note {number}.md").write_text(f"The heron no. {number} stood still.\n" * 40)


async def test_everything_at_once_ends_in_order_and_in_time(
    tmp_path: Path, start_daemon: StartDaemon, note_figure: NoteFigure
) -> None:
    root = tmp_path / "home" / "data" / "memory" / "short_term"
    await asyncio.to_thread(make_files, root, FILES)
    async with (
        FakeUpstream(Script(gate_at=1)) as upstream,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        asyncio.TaskGroup() as tasks,
    ):
        environment = {"OLLAMA_HOST": upstream.url, "DEFAULT_MODEL": "beta"}
        daemon = await asyncio.to_thread(start_daemon, tmp_path / "home", environment=environment)
        client = Client(session, daemon.url)
        streams = [tasks.create_task(client.stream(number)) for number in range(STREAMS)]
        sockets = [tasks.create_task(client.listen()) for _ in range(SOCKETS)]
        for number in range(SAVERS):
            tasks.create_task(client.save_for_ever(f"s{number}"))
            tasks.create_task(client.follow_events())
        async with asyncio.timeout(30):
            await client.busy.wait()
        _, health = await asyncio.to_thread(daemon.request, "GET", "/health")
        began = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(daemon.process.wait, 30) == 0
        took = time.monotonic() - began
    assert "Traceback" not in daemon.log()
    assert took < STOP_SECONDS
    for stream in streams:
        kinds = stream.result()
        assert kinds[-1] in ENDS
        assert len([kind for kind in kinds if kind in ENDS]) == 1
    closed = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING)
    assert all(socket.result() in closed for socket in sockets)
    assert not (daemon.home / "runtime" / "server.json").exists()
    for path, text in client.saved.items():
        assert (root / path).read_text() == text, path
    assert not [file for file in daemon.home.rglob("*") if TEMPORARY.fullmatch(file.name)]
    note_figure(
        f"SIGTERM with {STREAMS} streams, {SOCKETS} sockets, {len(client.saved)} saves "
        f"acknowledged, {health['index']['pending']} of {FILES} files to index: "
        f"ended in {took:.2f} s, nothing lost"
    )
