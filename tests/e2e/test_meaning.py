"""Finding by meaning, with a real daemon and a fake service in either dialect."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from tests.conftest import StartDaemon
from tests.e2e.upstream import Upstream
from tests.fakes.scripts import Script
from tests.memory.meanings import FILES, MODEL, write
from tests.processes import DaemonProcess

ENVIRONMENT = {"SGOPED_EMBEDDING_MODEL": MODEL, "SGOPED_EMBEDDING_WAIT_SECONDS": "20"}
QUERIES = ("car", "summer", "the summer roses", "roses -garden", '"the summer"', "path:notes plan")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    write(folder, FILES)
    return folder


def hits(daemon: DaemonProcess, query: str) -> Any:
    status, answer = daemon.request("GET", f"/api/search?q={quote(query)}")
    assert status == 200
    return answer["hits"]


def paths(daemon: DaemonProcess, query: str) -> list[str]:
    return [hit["path"] for hit in hits(daemon, query)]


def add_service(daemon: DaemonProcess, upstream: Upstream, dialect: str) -> None:
    config = {"host": upstream.url}
    if dialect == "openai":
        config = {"base_url": f"{upstream.url}/v1"}
    body = {"service_id": "home", "service_type": dialect, "config": config}
    assert daemon.request("POST", "/api/services/add", body)[0] == 200


def until(daemon: DaemonProcess, wanted: Callable[[Any], bool]) -> Any:
    """What /health tells of embedding, once it is as wanted."""
    deadline = time.monotonic() + 60
    while True:
        told = daemon.request("GET", "/health")[1]["index"]["embedding"]
        if wanted(told):
            return told
        assert time.monotonic() < deadline, (told, daemon.log())
        time.sleep(0.02)


def until_ready(daemon: DaemonProcess) -> Any:
    assert daemon.request("POST", "/api/refresh", {})[0] == 200
    return until(daemon, lambda told: told["state"] == "ready")


async def socket_hits(daemon: DaemonProcess, query: str) -> Any:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{daemon.url}/ws/suggestions") as socket,
    ):
        await socket.send_json({"type": "search", "query": query})
        return json.loads((await socket.receive()).data)["hits"]


@pytest.mark.parametrize("dialect", ["ollama", "openai"])
def test_a_file_is_found_by_its_meaning_only_while_the_service_is_there(
    start_daemon: StartDaemon, folder: Path, upstream: Upstream, dialect: str
) -> None:
    arguments = ["--memory-dir", str(folder)]
    daemon = start_daemon(arguments=arguments, environment=ENVIRONMENT)
    plain = start_daemon(arguments=arguments)
    assert plain.request("POST", "/api/refresh", {})[0] == 200
    told = plain.request("GET", "/health")[1]["index"]["embedding"]
    assert told == {"model": "", "state": "off", "embedded": 0, "total": 0}

    waiting = until(daemon, lambda told: told["total"] == len(FILES))
    assert waiting["state"] == f"waiting: Model '{MODEL}' not available"
    assert {query: hits(daemon, query) for query in QUERIES} == {
        query: hits(plain, query) for query in QUERIES
    }
    assert hits(daemon, "car") == []

    add_service(daemon, upstream, dialect)
    ready = until_ready(daemon)
    assert ready == {"model": MODEL, "state": "ready", "embedded": 5, "total": 5}
    assert paths(daemon, "car")[0] == "notes/garage.md"
    assert asyncio.run(socket_hits(daemon, "car")) == hits(daemon, "car")  # noqa: TID251 - a client
    assert paths(plain, "car") == []

    upstream.go_down()
    try:
        # The meaning of what was asked before is still known.
        assert paths(daemon, "car")[0] == "notes/garage.md"
        for query in QUERIES:
            assert hits(daemon, f"{query} again") == hits(plain, f"{query} again")
    finally:
        upstream.come_back()
    assert daemon.request("POST", "/api/models/refresh", {})[0] == 200
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log()


@pytest.mark.parametrize("dialect", ["ollama", "openai"])
def test_a_kill_in_the_midst_of_embedding_costs_a_request(
    start_daemon: StartDaemon, tmp_path: Path, upstream: Upstream, dialect: str
) -> None:
    folder = tmp_path / "files"
    texts = {f"note{number}.txt": f"Note {number} of many.\n" for number in range(200)}
    write(folder, texts)
    arguments = ["--memory-dir", str(folder)]
    daemon = start_daemon(arguments=arguments, environment=ENVIRONMENT)
    add_service(daemon, upstream, dialect)
    until(daemon, lambda told: 60 < told["embedded"] < 190)
    upstream.behave(Script(gate_at=-1, fault_on=("embed",)))
    daemon.kill()
    before = upstream.embedded
    upstream.behave(Script())
    again = start_daemon(daemon.home, arguments=arguments, environment=ENVIRONMENT)
    assert until_ready(again)["embedded"] == 200
    after = upstream.embedded[len(before) :]
    assert set(before) | set(after) == set(texts.values())
    # What was answered and saved is not asked for again, whatever was done with it.
    assert len(set(before) & set(after)) <= 32
    assert paths(again, "note 7 of many")[0] == "note7.txt"


def test_suggestions_are_as_they_were_and_do_not_wait(
    start_daemon: StartDaemon, folder: Path, upstream: Upstream
) -> None:
    arguments = ["--memory-dir", str(folder)]
    daemon = start_daemon(arguments=arguments, environment=ENVIRONMENT)
    plain = start_daemon(arguments=arguments)
    add_service(daemon, upstream, "ollama")
    until_ready(daemon)
    assert plain.request("POST", "/api/refresh", {})[0] == 200
    asked = len(upstream.requests)
    upstream.behave(Script(fault="stall_early", fault_on=("embed",)))
    for query in ("roses", "summer", "gar", "vessel", "car"):
        route = f"/api/files?q={query}"
        assert daemon.request("GET", route) == plain.request("GET", route), query
    assert [r for r in upstream.requests[asked:] if "embed" in r.path] == []
