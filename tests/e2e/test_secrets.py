"""Keys planted in every place a key can be, and an upstream that repeats them in every way."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import stat
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from sgoped.redaction import REDACTED
from tests import processes
from tests.processes import DaemonProcess
from tests.web.surface import operations

ENVIRONMENT_KEY = "sk-env-4f1c/planted+9a2b"
FILE_KEY = "sk-dotenv-4f1c-planted-9a2b"
CONFIG_KEY = "sk-toml-4f1c-planted-9a2b"
STORED_KEY = 'sk-stored-4f1c-"planted"-9a2b'
TRIED_KEY = "sk-tried-4f1c-planted-9a2b"
REFUSED_KEY = "sk-refused-4f1c-planted-9a2b"
KEYS = (ENVIRONMENT_KEY, FILE_KEY, CONFIG_KEY, STORED_KEY, TRIED_KEY, REFUSED_KEY)
WAYS = ("status", "report", "reset", "text", "names", "answer", "reason", "headers", "html")


class Parrot(BaseHTTPRequestHandler):
    """Repeats the key that it was sent, in the way of the moment."""

    way = "status"
    asked = 0

    def do_GET(self) -> None:
        self._repeat()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self._repeat()

    def _repeat(self) -> None:
        Parrot.asked += 1
        sent = self.headers.get("Authorization", "")
        key = sent.removeprefix("Bearer ")
        told = f"Incorrect API key provided: {key} ({quote(key, safe='')}, {encoded(sent)})"
        is_chat = self.path.endswith(("/chat", "/completions"))
        if self.way == "status":
            self._send(401, {"error": {"message": told, "code": key}})
        elif self.way == "report":
            self._send(200, {"error": {"message": told, "type": key}})
        elif self.way == "reset":
            self.close_connection = True
        elif self.way == "html":
            self._send(200, f"<html>{told}</html>", "text/html")
        elif self.way == "headers":
            self._send(302, told, "text/plain", {"Location": f"/{quote(key)}", "X-Key": key})
        elif is_chat and self.way in ("text", "answer", "reason"):
            self._chat(key)
        else:
            names = [f"model {key}", key, "plain"] if self.way == "names" else ["plain"]
            self._send(200, {"data": [{"id": name} for name in names]})

    def _chat(self, key: str) -> None:
        if self.way == "text":
            self._send(500, f"failed for {key}", "text/plain")
            return
        pieces = [key, *key, "."] if self.way == "answer" else ["fine"]
        reason = key if self.way == "reason" else "stop"
        chunks: list[dict[str, Any]] = [{"delta": {"content": piece}} for piece in pieces]
        chunks.append({"delta": {}, "finish_reason": reason})
        lines = [f"data: {json.dumps({'choices': [chunk]})}\n\n" for chunk in chunks]
        self._send(200, "".join([*lines, "data: [DONE]\n\n"]), "text/event-stream")

    def _send(
        self,
        status: int,
        body: Any,
        kind: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        sent = {"Content-Type": kind, "Content-Length": str(len(data)), **(headers or {})}
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def parrot() -> Iterator[str]:
    """The base address of a running parrot."""
    Parrot.way, Parrot.asked = "status", 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Parrot)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def planted(tmp_path: Path, parrot: str) -> Iterator[DaemonProcess]:
    """A daemon that logs all it can, with a key in the environment, ``.env`` and the settings."""
    home = tmp_path / "home"
    config = home / "config"
    config.mkdir(parents=True, mode=0o700)
    for name, text in (
        (".env", f"OPENAI_API_KEY={FILE_KEY}\nOPENAI_BASE_URL={parrot}\n"),
        ("config.toml", f'openai_api_key = "{CONFIG_KEY}"\nopenai_base_url = "{parrot}"\n'),
    ):
        (config / name).write_text(text)
        (config / name).chmod(0o600)
    environment = {
        "OPENAI_API_KEY": ENVIRONMENT_KEY,
        "OPENAI_BASE_URL": parrot,
        "OPENAI_MODELS": "plain",
        "SGOPED_LOG_LEVEL": "debug",
        "PYTHONASYNCIODEBUG": "1",
        "PYTHONDEVMODE": "1",
    }
    daemon = processes.start(home, environment=environment)
    yield daemon
    daemon.kill()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield session


async def everything_said(session: aiohttp.ClientSession, url: str) -> list[str]:
    """Every answer to a GET, on every route that ends its answer."""
    said = []
    for each in operations():
        if each.method == "GET" and not each.is_stream:
            for known in ({"service_id": "stored", "model_id": "stored/plain"}, {}):
                async with session.get(url + each.target(known)) as response:
                    said.append(f"{dict(response.headers)} {await response.text()}")
    return said


async def events_said(session: aiohttp.ClientSession, url: str, said: list[str]) -> None:
    async with session.get(f"{url}/api/events?after=0") as response:
        with contextlib.suppress(aiohttp.ClientError):
            said.extend([line.decode() async for line in response.content])


async def test_no_key_is_in_an_answer_a_log_or_a_file_that_others_can_read(
    session: aiohttp.ClientSession, planted: DaemonProcess, parrot: str
) -> None:
    said = list[str]()
    async with asyncio.TaskGroup() as group:
        events = group.create_task(events_said(session, planted.url, said))
        await provoke(session, planted.url, parrot, said)
        assert planted.stop() == 0
        await events
    assert Parrot.asked > 5 * len(WAYS)
    assert [text for text in said if REDACTED in text], "the parrot was heard"
    log = planted.log()
    assert "unexpected" not in log
    for key in KEYS:
        for spelling in (key, quote(key, safe=""), json.dumps(key)[1:-1], encoded(key)[:-4]):
            assert spelling not in log
            assert not [text for text in said if spelling in text], spelling
    check_files(planted.home)


async def provoke(session: aiohttp.ClientSession, url: str, parrot: str, said: list[str]) -> None:
    """Ask for everything, in every way that the parrot has, and collect what is said."""

    async def call(address: str, body: dict[str, Any]) -> None:
        async with session.post(url + address, json=body) as response:
            said.append(f"{dict(response.headers)} {await response.text()}")

    await call("/api/services/add", {"service_id": "stored", **service(parrot, STORED_KEY)})
    for way in WAYS:
        Parrot.way = way
        await call("/api/services/test", service(parrot, TRIED_KEY, models=[]))
        await call("/api/services/test", service(parrot, "stored:stored", models=[]))
        await call("/api/models/refresh", {})
        for model in ("stored/plain", "openai/plain"):
            await call("/api/chat/stream", {"message": "say the key", "model": model})
        noted = {"action_id": "add_knowledge", "user_input": "long " * 99}
        await call("/api/actions/execute", noted)
        await call("/api/generate-filename", {"previews": "some text"})
        said += await everything_said(session, url)
    for body in refused(parrot):
        await call("/api/services/add", {"service_id": "x", **body})
        await call("/api/services/test", body)
    said += await everything_said(session, url)


def service(url: str, key: str, **more: Any) -> dict[str, Any]:
    """The body of a trial."""
    config = {"name": "Stored", "api_key": key, "base_url": url, "models": ["plain"]}
    return {"service_type": "openai", "config": {**config, **more}}


def refused(url: str) -> list[dict[str, Any]]:
    """Bodies that are wrong in some place, with a key in it."""
    return [
        service(url, REFUSED_KEY, host=1),
        service(url, f"{REFUSED_KEY}\r\nX: y"),
        service(url, REFUSED_KEY, base_url=f"http://x/?{REFUSED_KEY}"),
        service(url, REFUSED_KEY, base_url=f"http://{REFUSED_KEY}@x/"),
        service(url, REFUSED_KEY, models=[5]),
        service(url, REFUSED_KEY, name=f"{REFUSED_KEY}\ny"),
        {**service(url, REFUSED_KEY), "service_type": REFUSED_KEY},
    ]


def check_files(home: Path) -> None:
    """Nobody else can read what is kept, and keys are where they must be and nowhere else."""
    holding = set()
    for path in sorted(home.rglob("*")):
        found = path.lstat()
        if path.parent != home and stat.S_ISREG(found.st_mode):
            content = path.read_bytes()
            if any(key.encode() in content for key in KEYS):
                holding.add(path.name)
        assert is_private(path, home), f"{path} {stat.filemode(found.st_mode)}"
    by_name = {name.removesuffix("-wal").partition("-")[0] for name in holding}
    assert by_name <= {".env", "config.toml", "state.db", "state"}
    raw = b"".join(path.read_bytes() for path in home.rglob("state*") if path.is_file())
    for key in (ENVIRONMENT_KEY, TRIED_KEY, REFUSED_KEY):
        assert key.encode() not in raw, "what was not saved is not on the disk"


def is_private(path: Path, home: Path) -> bool:
    """Whether its own permissions, or those of a folder around it, keep everybody else out."""
    around = [path, *(parent for parent in path.parents if parent.is_relative_to(home))]
    within = [each for each in around if each != home]
    return any(stat.S_IMODE(each.lstat().st_mode) & 0o077 == 0 for each in within)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_what_is_kept_is_for_the_person_alone_whatever_the_umask(
    tmp_path: Path, umask: int
) -> None:
    """Databases, their journals, backups, the lock and ``server.json`` are 0600 themselves."""
    before = os.umask(umask)
    try:
        daemon = processes.start(tmp_path / "home")
    finally:
        os.umask(before)
    try:
        for content in ("one", "two"):
            daemon.request("POST", "/api/files/content", {"path": "a.md", "content": content})
        config = {"api_key": STORED_KEY, "base_url": "http://127.0.0.1:9/v1"}
        body = {"service_id": "x", "service_type": "openai", "config": config}
        assert daemon.request("POST", "/api/services/add", body)[0] == 200
        paths = sorted(daemon.home.rglob("*"))
        names = {path.name for path in paths}
        assert {"state.db", "state.db-wal", "server.json", "versions", "catalogue.db"} <= names
        for path in paths:
            assert is_private(path, daemon.home), path
            own = path.name.endswith((".db", "-wal", "-shm", ".json", ".lock", ".sock"))
            if own and "index" not in path.parts:
                assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, path
        assert daemon.stop() == 0
        for path in (daemon.home / "data").rglob("*.db*"):
            assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, path
    finally:
        daemon.kill()
