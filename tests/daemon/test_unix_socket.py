"""The door of editors and of the command line, which only the person can open."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import threading
from pathlib import Path

import aiohttp
import pytest

from sgoped.daemon.unix_socket import listen_unix
from tests.conftest import StartDaemon
from tests.daemon.people import ANOTHER, command_of, only_root, opened
from tests.processes import DaemonProcess

LONG = "x" * 100


def ask(path: str, *lines: str) -> str:
    """The whole answer to one request, as text."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(path)
        client.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        return b"".join(iter(lambda: client.recv(65536), b"")).decode()


def status(answer: str) -> int:
    return int(answer.split()[1])


def test_it_is_announced_private_and_answers(daemon: DaemonProcess) -> None:
    path = daemon.home / "runtime" / "sgoped.sock"
    assert daemon.server["socket"] == str(path)
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert status(ask(str(path), "GET /health HTTP/1.1", "Host: localhost")) == 200


def test_it_is_removed_on_exit(daemon: DaemonProcess) -> None:
    assert daemon.stop() == 0
    left = {path.name for path in (daemon.home / "runtime").iterdir()}
    assert left <= {"heartbeat"}


def test_what_a_killed_one_left_is_replaced(start_daemon: StartDaemon) -> None:
    killed = start_daemon()
    killed.kill()
    path = killed.server["socket"]
    assert Path(path).exists()
    following = start_daemon(killed.home)
    assert following.server["socket"] == path
    assert status(ask(path, "GET /health HTTP/1.1", "Host: localhost")) == 200


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["Host: localhost"], 200),
        (["Host: LOCALHOST"], 200),
        (["Host: localhost:{port}"], 200),
        (["Host: evil.example"], 403),
        (["Host: localhost:1"], 403),
        (["Host: localhost", "Origin: http://evil.example"], 403),
        (["Host: localhost", "Origin: http://localhost:3000"], 200),
        (["Host: localhost", "Sec-Fetch-Site: cross-site"], 403),
        ([], 400),
    ],
)
def test_host_and_origin_are_judged_here_too(
    daemon: DaemonProcess, lines: list[str], expected: int
) -> None:
    sent = [line.replace("{port}", str(daemon.port)) for line in lines]
    answer = ask(daemon.server["socket"], "GET /health HTTP/1.1", *sent)
    assert status(answer) in (expected, 403 if expected == 400 else expected)


def test_localhost_without_a_port_is_refused_over_tcp(daemon: DaemonProcess) -> None:
    assert daemon.request("GET", "/health", headers={"Host": "localhost"})[0] == 403


async def test_streams_and_sockets_come_through_it(daemon: DaemonProcess) -> None:
    connector = aiohttp.UnixConnector(daemon.server["socket"])
    async with aiohttp.ClientSession(connector=connector) as session:
        async with session.ws_connect("http://localhost/ws/suggestions") as suggestions:
            await suggestions.send_json({"type": "files", "query": "x"})
            assert (await suggestions.receive_json())["type"] == "files"
        body = {"message": "hello", "attachments": [], "model": "", "stream_id": "s"}
        async with session.post("http://localhost/api/chat/stream", json=body) as response:
            text = await response.text()
    assert response.status == 200
    assert '"type":"complete"' in text.replace(" ", "")


@only_root
def test_another_user_cannot_open_it_whatever_the_folder_allows(daemon: DaemonProcess) -> None:
    program = (
        "client = socket.socket(socket.AF_UNIX)\n"
        "try: client.connect(sys.argv[2])\n"
        "except PermissionError: print('no', end='')\n"
    )
    path = Path(daemon.server["socket"])
    with opened(path.parents, 0o755):
        told = subprocess.run(command_of(program, ANOTHER, path), capture_output=True, check=True)
    assert told.stdout == b"no"


@only_root
def test_another_user_is_refused_even_if_its_mode_lets_them(daemon: DaemonProcess) -> None:
    """Such as a person, or a program, that changes modes without thinking."""
    path = Path(daemon.server["socket"])
    program = (
        "client = socket.socket(socket.AF_UNIX); client.connect(sys.argv[2])\n"
        "client.sendall(b'GET /health HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n')\n"
        "print(client.recv(65536).decode())\n"
    )
    with opened([path, *path.parents], 0o777):
        told = subprocess.run(
            command_of(program, ANOTHER, path), capture_output=True, text=True, check=True
        )
    assert status(told.stdout) == 403
    assert "peer_refused" in told.stdout


def test_a_path_too_long_for_a_socket_is_said_and_done_without(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    daemon = start_daemon(tmp_path / LONG / "home")
    assert daemon.server["socket"] is None
    assert "no unix socket at" in daemon.log()
    assert "longer than 107 bytes" in daemon.log()
    assert daemon.request("GET", "/health")[0] == 200


def test_what_is_no_socket_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "s"
    path.write_text("somebody's")
    with listen_unix(path) as bound:
        assert bound is None
    assert path.read_text() == "somebody's"
    assert "something else of this name" in caplog.text
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with listen_unix(path) as bound:
        assert bound is None
    assert path.is_symlink()


def test_a_live_one_is_not_taken_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "s"
    with listen_unix(path) as first:
        assert first is not None
        with listen_unix(path) as second:
            assert second is None
        assert path.exists()
    assert "another process listens there" in caplog.text
    assert not path.exists()


def test_another_daemons_file_is_not_removed_in_the_end(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with listen_unix(path):
        path.unlink()
        path.write_text("another's")
    assert path.read_text() == "another's"


def test_it_is_private_from_its_first_moment(tmp_path: Path) -> None:
    """Looked at again and again by another thread while it is made, under a careless umask."""
    path, seen, stop = tmp_path / "s", set(), threading.Event()

    def look() -> None:
        while not stop.is_set():
            try:
                seen.add(stat.S_IMODE(path.lstat().st_mode))
            except FileNotFoundError:
                continue

    before = os.umask(0)
    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        for _ in range(300):
            with listen_unix(path):
                pass
        assert os.umask(0) == 0  # given back as it was
    finally:
        stop.set()
        watcher.join()
        os.umask(before)
    assert seen <= {0o600}
    assert seen
