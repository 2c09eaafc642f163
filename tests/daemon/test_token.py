"""A daemon with a token: nobody without it is answered over TCP; and listening further away."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from sgoped.web.routes import ROUTES
from tests import processes
from tests.processes import DaemonProcess

TOKEN = "this-is-a-token-of-the-tests-0123456789"
RIGHT = {"Authorization": f"Bearer {TOKEN}"}
FRONT_END = "http://localhost:3000"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """One with a token, for all tests here; it logs all it can."""
    home = tmp_path_factory.mktemp("guarded") / "home"
    given = {"SGOPED_TOKEN": TOKEN, "SGOPED_LOG_LEVEL": "debug"}
    daemon = processes.start(home, environment=given)
    yield daemon
    daemon.kill()


def test_no_route_is_answered_without_it(guarded: DaemonProcess) -> None:
    for method, path, _ in ROUTES:
        target = path.partition("{")[0]
        body = None if method == "GET" else {"path": "evil.md", "content": "x"}
        for sent, code in (
            ({}, "token_required"),
            ({"Authorization": "Bearer x"}, "token_refused"),
        ):
            status, answer = guarded.request(method, target, body, sent)
            assert (status, answer["code"]) == (401, code), (method, target)
    assert list(guarded.memory_dir.iterdir()) == []


def test_with_it_all_is_as_ever(guarded: DaemonProcess) -> None:
    body = {"path": "kept.md", "content": "kept"}
    assert guarded.request("POST", "/api/files/content", body, RIGHT)[0] == 200
    assert guarded.request("GET", "/api/files?q=kept", headers=RIGHT)[1][0]["label"] == "kept.md"
    guarded.request("DELETE", "/api/files/content?path=kept.md", headers=RIGHT)


def test_how_to_ask_is_told_to_programs_and_to_pages(guarded: DaemonProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", guarded.port, timeout=30)
    connection.request("GET", "/health", headers={"Origin": FRONT_END})
    response = connection.getresponse()
    assert (response.status, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert response.headers["Access-Control-Allow-Origin"] == FRONT_END
    response.read()
    asked = {
        "Origin": FRONT_END,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    connection.request("OPTIONS", "/api/files", headers=asked)
    response = connection.getresponse()
    assert response.status == 200
    assert "authorization" in response.headers["Access-Control-Allow-Headers"].lower()
    connection.close()


def test_a_stranger_is_not_told_that_there_is_a_token(guarded: DaemonProcess) -> None:
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        assert guarded.request("GET", "/health", headers=headers | RIGHT)[0] == 403


async def test_a_pages_socket_sends_it_as_a_subprotocol(guarded: DaemonProcess) -> None:
    address = f"{guarded.url}/ws/suggestions"
    async with aiohttp.ClientSession() as session:
        offered = ("sgoped", f"sgoped.bearer.{TOKEN}")
        async with session.ws_connect(address, protocols=offered) as suggestions:
            assert suggestions.protocol == "sgoped"
            await suggestions.send_json({"type": "files", "query": "x"})
            assert (await suggestions.receive_json())["type"] == "files"
        async with session.ws_connect(address, headers=RIGHT) as suggestions:
            assert suggestions.protocol is None
        for wrong, status in (
            ((), 401),
            (("sgoped",), 401),
            (("sgoped", "sgoped.bearer.x"), 401),
            ((f"sgoped.bearer.{TOKEN}",), 400),
        ):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(address, protocols=wrong)
            assert refused.value.status == status


def test_it_is_not_taken_from_the_address(guarded: DaemonProcess) -> None:
    assert guarded.request("GET", f"/health?token={TOKEN}&access_token={TOKEN}")[0] == 401


def test_the_unix_socket_does_not_ask_for_it(guarded: DaemonProcess) -> None:
    told = run("status", "--json", home=guarded.home)
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["pid"] == guarded.process.pid


def run(*arguments: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sgoped", *arguments],
        capture_output=True,
        text=True,
        cwd=home,
        env=processes.clean_environment(home) | {"SGOPED_HOME": str(home)} | environment,
        timeout=60,
        check=False,
    )


def test_the_command_finds_it_where_the_daemon_does(guarded: DaemonProcess, tmp_path: Path) -> None:
    command = ("status", "--url", guarded.url)
    without = run(*command, home=tmp_path)
    assert without.returncode == 1
    assert "Authorization: Bearer" in without.stderr
    assert run(*command, home=tmp_path, SGOPED_TOKEN=TOKEN).returncode == 0
    assert run(*command, home=tmp_path, SGOPED_TOKEN=TOKEN[::-1]).returncode == 1
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.toml").write_text(f'token = "{TOKEN}"')
    assert run(*command, home=tmp_path).returncode == 0


def test_it_is_nowhere_to_be_read(guarded: DaemonProcess) -> None:
    for target in ("/health", "/openapi.json", "/api/stats", "/"):
        connection = http.client.HTTPConnection("127.0.0.1", guarded.port, timeout=30)
        connection.request("GET", target, headers=RIGHT)
        assert TOKEN not in connection.getresponse().read().decode()
        connection.close()
    assert TOKEN not in guarded.log()
    shown = run("config", "show", home=guarded.home, SGOPED_TOKEN=TOKEN)
    assert "token" in shown.stdout
    assert TOKEN not in shown.stdout
    assert TOKEN not in json.dumps(guarded.server)


@pytest.mark.parametrize(
    ("token", "told"),
    [("", "SGOPED_TOKEN"), ("short", "32 to 512 characters"), ("a" * 40, "different characters")],
)
def test_beyond_this_machine_it_does_not_start_without_a_strong_one(
    tmp_path: Path, token: str, told: str
) -> None:
    daemon = processes.spawn(tmp_path / "home", ["--host", "0.0.0.0"], {"SGOPED_TOKEN": token})
    try:
        assert daemon.process.wait(processes.START_SECONDS) == 78
    finally:
        daemon.kill()
    assert told in daemon.log()
    assert "Traceback" not in daemon.log()


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """One that listens on every interface."""
    home = tmp_path_factory.mktemp("wide") / "home"
    given = {"SGOPED_TOKEN": TOKEN, "SGOPED_ALLOWED_HOSTS": "desk.local"}
    daemon = processes.start(home, ["--host", "0.0.0.0"], environment=given)
    yield daemon
    daemon.kill()


def own_addresses() -> list[str]:
    """Of this machine, beyond the usual one; all of 127/8 is this machine's."""
    found = ["127.0.0.2"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))  # sends nothing
            found.append(asking.getsockname()[0])
        except OSError:
            pass
    return found


def test_it_answers_to_the_address_it_was_reached_at(wide: DaemonProcess) -> None:
    port = wide.port
    assert wide.url == f"http://127.0.0.1:{port}"
    for address in own_addresses():
        for host, expected in (
            (f"{address}:{port}", 200),
            (f"localhost:{port}", 200),
            (f"desk.local:{port}", 200),
            (f"0.0.0.0:{port}", 403),
            (address, 403),
            (f"192.0.2.7:{port}", 403),
            (f"evil.example:{port}", 403),
        ):
            connection = http.client.HTTPConnection(address, port, timeout=30)
            connection.request("GET", "/health", headers={"Host": host, **RIGHT})
            assert connection.getresponse().status == expected, (address, host)
            connection.close()
    assert wide.request("GET", "/health", headers={"Host": f"127.0.0.2:{port}", **RIGHT})[0] == 403


def test_another_address_alone_is_bound_alone(tmp_path: Path) -> None:
    daemon = processes.start(tmp_path / "home", ["--host", "127.0.0.2"])
    try:
        assert daemon.url == f"http://127.0.0.2:{daemon.port}"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", daemon.port))
        connection = http.client.HTTPConnection("127.0.0.2", daemon.port, timeout=30)
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        daemon.kill()
