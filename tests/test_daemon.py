"""The life of a real process: start, announce, serve, stop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
from pathlib import Path

import aiohttp
import pytest

from tests import processes
from tests.conftest import StartDaemon
from tests.fakes.scripts import Script
from tests.fakes.upstream import FakeUpstream
from tests.processes import DaemonProcess

STREAMS = 50


def ended(home: Path, *arguments: str, port: int = 0, **environment: str) -> tuple[int, str]:
    """Starts a daemon that is expected to end by itself; exit code and what it printed."""
    daemon = processes.spawn(home, arguments, environment, port=port)
    try:
        code = daemon.process.wait(processes.START_SECONDS)
    finally:
        daemon.kill()
    return code, daemon.log()


def test_it_says_where_it_is_once_it_answers(daemon: DaemonProcess) -> None:
    path = daemon.home / "runtime" / "server.json"
    assert set(daemon.server) == {"pid", "url", "socket", "version", "started_at"}
    assert daemon.server["pid"] == daemon.process.pid
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    status, health = daemon.request("GET", "/health")
    assert (status, health["pid"]) == (200, daemon.process.pid)
    assert health["version"] == daemon.server["version"]


def test_it_listens_on_both_loopback_addresses_and_nowhere_else(daemon: DaemonProcess) -> None:
    listening = set()
    for table in ("tcp", "tcp6"):
        rows = Path(f"/proc/{daemon.process.pid}/net/{table}").read_text().splitlines()[1:]
        columns = [row.split() for row in rows]
        listening |= {
            local.rpartition(":")[0]
            for _, local, _, state, *_ in columns
            if state == "0A" and int(local.rpartition(":")[2], 16) == daemon.port
        }
    assert listening == {"0100007F", "00000000000000000000000001000000"}


def test_it_greets_with_what_to_do_next(daemon: DaemonProcess) -> None:
    log = daemon.log()
    assert f"answers on {daemon.url}" in log
    assert "data/memory/short_term" in log
    assert "status --home" in log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_cleanly(daemon: DaemonProcess, number: int) -> None:
    assert daemon.stop(number) == 0
    assert not (daemon.home / "runtime" / "server.json").exists()
    assert "Traceback" not in daemon.log()


def test_a_second_one_on_the_same_home_gives_way(daemon: DaemonProcess) -> None:
    code, log = ended(daemon.home)
    assert code == 75
    assert f"pid {daemon.process.pid}, {daemon.url}" in log
    assert daemon.request("GET", "/health")[0] == 200
    assert json.loads((daemon.home / "runtime" / "server.json").read_text()) == daemon.server


def test_a_taken_port_is_an_error_that_names_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, log = ended(tmp_path / "home", port=port)
    assert code == 1
    assert f"port {port} is taken" in log
    assert not (tmp_path / "home" / "runtime" / "server.json").exists()


def test_the_port_that_was_asked_for_is_used_again_at_once(start_daemon: StartDaemon) -> None:
    first = start_daemon()
    first.request("GET", "/health")
    assert first.stop() == 0
    second = start_daemon(first.home, port=first.port)
    assert second.url == first.url


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--host", "0.0.0.0"], "bearer token"),
        (["--memory-dir", "/"], "root of the file system"),
        (["--memory-dir", "/nowhere/at/all"], "does not exist"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    tmp_path: Path, arguments: list[str], told: str
) -> None:
    code, log = ended(tmp_path / "home", *arguments)
    assert (code, "Traceback" in log) == (78, False)
    assert told in log


def test_a_wrong_settings_file_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "config"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("prot = 1")
    code, log = ended(tmp_path / "home")
    assert code == 78
    assert str(folder / "config.toml") in log
    assert "did you mean 'port'" in log


def test_a_killed_one_locks_nobody_out(start_daemon: StartDaemon) -> None:
    killed = start_daemon()
    killed.kill()
    assert (killed.home / "runtime" / "server.json").exists()
    following = start_daemon(killed.home)
    assert following.server["pid"] == following.process.pid


def test_the_service_manager_hears_of_start_pulse_and_stop(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(processes.START_SECONDS)
        listener.bind(str(tmp_path / "n"))
        told = {"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "100000"}
        daemon = processes.spawn(tmp_path / "home", (), told)
        try:
            assert listener.recv(1000).startswith(b"READY=1\nSTATUS=serving http://localhost:")
            assert listener.recv(1000) == b"WATCHDOG=1"
            daemon.process.send_signal(signal.SIGTERM)
            messages = set()
            while b"STOPPING=1\nSTATUS=stopping" not in messages:
                messages.add(listener.recv(1000))
            assert daemon.stop() == 0
        finally:
            daemon.kill()


def test_a_memory_folder_of_the_person_s_own_is_watched(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    notes = tmp_path / "My notes"
    notes.mkdir()
    (notes / "garden.md").write_text("tulips")
    daemon = start_daemon(arguments=["--memory-dir", str(notes)])
    daemon.request("POST", "/api/refresh", {})
    status, found = daemon.request("GET", "/api/files?q=garden")
    assert status == 200
    assert [item["metadata"]["path"] for item in found] == ["garden.md"]
    assert sorted(path.name for path in notes.iterdir()) == ["garden.md"]


def test_no_key_is_printed(start_daemon: StartDaemon) -> None:
    key = "sk-this-must-stay-inside"
    given = {
        "OPENAI_API_KEY": key,
        "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
        "OPENAI_MODELS": "one",
        "SGOPED_LOG_LEVEL": "debug",
    }
    daemon = start_daemon(environment=given)
    status, services = daemon.request("GET", "/api/services")
    assert status == 200
    assert services
    daemon.request("POST", "/api/models/refresh", {})
    daemon.stop()
    assert key not in daemon.log()
    assert key not in json.dumps(services)


def test_own_files_are_for_the_person_alone(daemon: DaemonProcess) -> None:
    daemon.request("POST", "/api/files/content", {"path": "note.md", "content": "a note"})
    daemon.stop()
    own = [daemon.home / name for name in ("config", "data", "state", "cache", "runtime")]
    for directory in own:
        assert stat.S_IMODE(directory.stat().st_mode) & 0o077 == 0
    for path in (daemon.home / "data").glob("*.db*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


async def read_events(
    session: aiohttp.ClientSession, url: str, number: int, started: asyncio.Event
) -> list[str]:
    """The types of one chat's events; ``started`` is set with the first."""
    body = {"message": "hello", "attachments": [], "model": "", "stream_id": f"s{number}"}
    kinds: list[str] = []
    async with session.post(f"{url}/api/chat/stream", json=body) as response:
        async for line in response.content:
            if line.startswith(b"data: "):
                kinds.append(json.loads(line[6:])["type"])
                started.set()
    return kinds


async def test_fifty_live_streams_and_a_socket_do_not_hold_the_end(
    start_daemon: StartDaemon,
) -> None:
    async with (
        FakeUpstream(Script(gate_at=0)) as upstream,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        daemon = await asyncio.to_thread(
            start_daemon, environment={"OLLAMA_HOST": upstream.url, "DEFAULT_MODEL": "beta"}
        )
        await asyncio.to_thread(daemon.request, "POST", "/api/models/refresh", {})
        started = [asyncio.Event() for _ in range(STREAMS)]
        async with (
            session.ws_connect(f"{daemon.url}/ws/suggestions") as suggestions,
            asyncio.TaskGroup() as tasks,
        ):
            streams = [
                tasks.create_task(read_events(session, daemon.url, number, event))
                for number, event in enumerate(started)
            ]
            for event in started:
                await event.wait()
            await upstream.until(lambda: upstream.live_streams == STREAMS)
            daemon.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(5):
                assert await asyncio.to_thread(daemon.process.wait) == 0
            assert (await suggestions.receive()).type in (
                aiohttp.WSMsgType.CLOSE,
                aiohttp.WSMsgType.CLOSED,
            )
        for stream in streams:
            kinds = stream.result()
            assert kinds[0] == "start"
            assert kinds[-1] in ("cancelled", "error")
            assert len([kind for kind in kinds if kind in ("cancelled", "error", "complete")]) == 1
        await upstream.client_closed(STREAMS)
    assert "Traceback" not in daemon.log()


def test_a_second_signal_does_not_wait(daemon: DaemonProcess) -> None:
    """A request whose body never comes would be waited for."""
    with socket.create_connection(("127.0.0.1", daemon.port)) as half:
        half.sendall(
            b"POST /api/refresh HTTP/1.1\r\nHost: localhost:%d\r\n"
            b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{" % daemon.port
        )
        os.kill(daemon.process.pid, signal.SIGTERM)
        os.kill(daemon.process.pid, signal.SIGINT)
        assert daemon.process.wait(processes.STOP_SECONDS) in (0, -signal.SIGINT)


def test_what_was_done_about_a_damaged_state_is_told_in_health(start_daemon: StartDaemon) -> None:
    first = start_daemon()
    assert first.request("GET", "/health")[1]["state"] == {"recovery": "", "problem": ""}
    first.stop()
    state = first.home / "data" / "state.db"
    state.write_bytes(b"garbage" * 1000)
    health = start_daemon(home=first.home).request("GET", "/health")[1]
    recovery = health["state"]["recovery"]
    assert "state.db was damaged" in recovery
    assert "restored state-latest.db" in recovery
    # Nothing is wrong any more.
    assert health["status"] == "healthy"
