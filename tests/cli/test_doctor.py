from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

from tests.cli.conftest import Sgoped
from tests.conftest import StartDaemon
from tests.processes import DaemonProcess

FIELDS = {"topic", "code", "severity", "what", "where", "mend", "fixable", "mended"}


def test_a_sound_installation_is_said_to_be_so(sgoped: Sgoped, served: DaemonProcess) -> None:
    (served.home / "data").chmod(0o700)
    told = sgoped("doctor")
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.startswith("daemon\n  ok       sgoped ")
    assert told.stdout.endswith("nothing is wrong\n")
    assert "\x1b" not in told.stdout


def test_json_lists_every_finding(sgoped: Sgoped, served: DaemonProcess) -> None:
    (served.home / "data").chmod(0o700)
    told = sgoped("doctor", "--json")
    findings = json.loads(told.stdout)
    assert all(set(found) == FIELDS for found in findings)
    assert "index_proven" in {found["code"] for found in findings}


def test_what_is_wrong_comes_with_how_to_mend_it(sgoped: Sgoped, served: DaemonProcess) -> None:
    (served.home / "data").chmod(0o755)
    told = sgoped("doctor")
    assert told.returncode == 1
    lines = told.stdout.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("  warning  1 directory"))
    assert lines[at + 1] == "           at ~/data"
    assert lines[at + 2] == "           mend: chmod 700 ~/data"
    assert lines[-1] == "1 warning; sgoped doctor --fix mends all of it"
    mended = sgoped("doctor", "--fix")
    assert mended.returncode == 0
    assert "  mended   1 directory" in mended.stdout
    assert mended.stdout.endswith("mended 1; nothing is wrong\n")


def test_a_daemon_that_is_down_is_a_finding_and_no_exit_code_of_its_own(
    sgoped: Sgoped, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon()
    assert daemon.stop() == 0
    told = sgoped("doctor", "--home", str(daemon.home), environment={"SGOPED_PORT": "0"})
    assert told.returncode == 0, told.stdout
    assert "no daemon runs" in told.stdout


def test_wrong_settings_end_with_their_own_code(sgoped: Sgoped, tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    assert sgoped("doctor", "--home", home, environment={"SGOPED_PORT": "x"}).returncode == 78
    assert sgoped("doctor", "--home", home, "--memory-dir", "/").returncode == 78
    assert not (tmp_path / "home").exists()


def test_names_do_not_steer_the_terminal(
    sgoped: Sgoped, served: DaemonProcess, tmp_path: Path
) -> None:
    odd = served.memory_dir / "a.sync-conflict-20260102-030405-\x1b[31m.md"
    odd.write_text("odd")
    try:
        told = sgoped("doctor")
    finally:
        odd.unlink()
    assert "sync-conflict" in told.stdout
    assert "\x1b" not in told.stdout


TOKEN = "0123456789abcdef" * 4


def test_a_daemon_that_asks_for_a_token_is_examined(
    sgoped: Sgoped, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(environment={"SGOPED_TOKEN": TOKEN})
    told = sgoped("doctor", "--json", "--home", str(daemon.home))
    assert "daemon_up" in {found["code"] for found in json.loads(told.stdout)}, told.stdout


def test_without_a_unix_socket_its_token_is_found_in_its_own_home(
    sgoped: Sgoped, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    home = tmp_path / ("x" * 100) / "home"
    (home / "config").mkdir(parents=True)
    (home / "config" / ".env").write_text(f"SGOPED_TOKEN={TOKEN}")
    daemon = start_daemon(home)
    assert daemon.server["socket"] is None
    told = sgoped("doctor", "--json", "--home", str(home))
    assert "daemon_up" in {found["code"] for found in json.loads(told.stdout)}, told.stdout


def test_whoever_has_the_port_is_not_told_the_token(sgoped: Sgoped, tmp_path: Path) -> None:
    """It may be another user's."""
    home = tmp_path / "home"
    (home / "config").mkdir(parents=True)
    (home / "config" / ".env").write_text(f"SGOPED_TOKEN={TOKEN}")
    heard: list[bytes] = []
    answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"

    def serve(listening: socket.socket) -> None:
        while True:
            try:
                accepted, _ = listening.accept()
            except OSError:
                return
            with accepted:
                heard.append(accepted.recv(65_536))
                accepted.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        thread = threading.Thread(target=serve, args=[listening])
        thread.start()
        given = {"SGOPED_PORT": str(port), "SGOPED_HOME": str(home)}
        told = sgoped("doctor", "--json", environment=given)
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert "port_taken" in {found["code"] for found in json.loads(told.stdout)}
    assert b"GET /health" in b"".join(heard)
    assert TOKEN.encode() not in b"".join(heard)


def test_every_interface_may_be_what_is_listened_on(sgoped: Sgoped, tmp_path: Path) -> None:
    given = {"SGOPED_TOKEN": TOKEN, "SGOPED_HOST": "0.0.0.0"}
    with socket.create_server(("127.0.0.1", 0)) as listening:
        given["SGOPED_PORT"] = str(listening.getsockname()[1])
        told = sgoped("doctor", "--json", "--home", str(tmp_path / "home"), environment=given)
    assert "port_taken" in {found["code"] for found in json.loads(told.stdout)}
