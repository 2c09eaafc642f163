from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sgoped import __version__
from tests import processes
from tests.cli.conftest import Sgoped
from tests.conftest import StartDaemon
from tests.processes import DaemonProcess

CLIENT_VERBS = (
    ["status"],
    ["files"],
    ["search", "x"],
    ["refresh"],
    ["models"],
    ["services"],
    ["chat", "hello"],
    ["add", "-"],
    ["undo"],
)
HEAVY = ("aiohttp", "pydantic", "sqlite_utils", "tantivy", "asyncio")


def test_help_and_version_need_no_daemon(sgoped: Sgoped) -> None:
    told = sgoped("--help")
    assert told.returncode == 0
    for verb in ("serve", "status", "files", "search", "add", "chat", "models", "services"):
        assert f"\n  {verb} " in told.stdout
    assert sgoped("--version").stdout == f"sgoped, version {__version__}\n"


def test_an_unknown_verb_is_a_usage_error(sgoped: Sgoped) -> None:
    told = sgoped("statsu")
    assert told.returncode == 2
    assert "statsu" in told.stderr


def test_options_without_a_verb_are_those_of_serve(sgoped: Sgoped) -> None:
    told = sgoped("--host", "0.0.0.0")
    assert told.returncode == 78
    assert "bearer token" in told.stderr


@pytest.mark.parametrize("verb", CLIENT_VERBS, ids=lambda verb: verb[0])
def test_a_client_verb_without_a_daemon_says_how_to_start_one(
    sgoped: Sgoped, tmp_path: Path, verb: list[str]
) -> None:
    told = sgoped(*verb, "--home", str(tmp_path / "nobody"), given="x")
    assert told.returncode == 3
    assert "sgoped serve" in told.stderr
    assert told.stdout == ""
    assert not (tmp_path / "nobody").exists()


@pytest.mark.parametrize("verb", CLIENT_VERBS, ids=lambda verb: verb[0])
def test_a_client_verb_imports_nothing_heavy(tmp_path: Path, verb: list[str]) -> None:
    program = (
        "import sys\nfrom sgoped.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: code = end.code\n"
        f"print(code, [name for name in {HEAVY!r} if name in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, *verb, "--home", str(tmp_path)],
        input="x",
        capture_output=True,
        text=True,
        env=processes.clean_environment(tmp_path),
        check=False,
    )
    assert told.stdout == "3 []\n"


def test_the_unix_socket_is_used_where_there_is_one(sgoped: Sgoped, tmp_path: Path) -> None:
    """Nothing listens at the address that is announced beside it."""
    runtime = tmp_path / "home" / "runtime"
    runtime.mkdir(parents=True)
    path = runtime / "sgoped.sock"
    announced = {"url": "http://127.0.0.1:1", "socket": str(path)}
    (runtime / "server.json").write_text(json.dumps(announced))
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
    asked: list[bytes] = []

    def serve(listening: socket.socket) -> None:
        accepted, _ = listening.accept()
        with accepted:
            asked.append(accepted.recv(65_536))
            accepted.sendall(answer)

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        thread = threading.Thread(target=serve, args=[listening])
        thread.start()
        told = sgoped("files", "--json", "--home", str(tmp_path / "home"))
        thread.join()
    assert (told.returncode, told.stdout) == (0, "[]\n"), told.stderr
    assert b"Host: localhost\r\n" in asked[0]


@pytest.mark.parametrize("left", ["gone", "file", "link"])
def test_without_a_usable_unix_socket_tcp_is_used(
    sgoped: Sgoped, served: DaemonProcess, tmp_path: Path, left: str
) -> None:
    runtime = tmp_path / "home" / "runtime"
    runtime.mkdir(parents=True)
    path = runtime / "sgoped.sock"
    match left:
        case "file":
            path.write_text("")
        case "link":
            path.symlink_to(served.server["socket"])
        case _:
            pass
    (runtime / "server.json").write_text(json.dumps(served.server | {"socket": str(path)}))
    told = sgoped("status", "--home", str(tmp_path / "home"))
    assert told.returncode == 0, told.stderr


def test_a_crashed_daemon_is_not_reachable(sgoped: Sgoped, start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    daemon.kill()
    told = sgoped("status", "--home", str(daemon.home))
    assert told.returncode == 3
    assert daemon.url in told.stderr


def test_who_has_the_port_of_a_crashed_daemon_is_sent_nothing(
    sgoped: Sgoped, start_daemon: StartDaemon
) -> None:
    """Any user of the machine can have it."""
    daemon = start_daemon()
    daemon.kill()
    with socket.create_server(("127.0.0.1", daemon.port)) as another:
        told = sgoped("add", "-", "--home", str(daemon.home), given="for sgoped alone")
        assert told.returncode == 3
        assert "sgoped serve" in told.stderr
        another.settimeout(0)
        with pytest.raises(BlockingIOError):
            another.accept()


def test_an_address_may_be_given_instead_of_a_home(
    sgoped: Sgoped, served: DaemonProcess, tmp_path: Path
) -> None:
    elsewhere = {"SGOPED_HOME": str(tmp_path)}
    assert sgoped("status", "--url", served.url, environment=elsewhere).returncode == 0
    named = elsewhere | {"SGOPED_URL": served.url}
    assert sgoped("status", environment=named).returncode == 0


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "http://x:y"])
def test_a_wrong_address_is_a_usage_error(sgoped: Sgoped, url: str) -> None:
    assert sgoped("status", "--url", url).returncode == 2


def test_a_server_file_that_tells_nothing_is_told(sgoped: Sgoped, tmp_path: Path) -> None:
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "server.json").write_text("{")
    told = sgoped("status", "--home", str(tmp_path))
    assert told.returncode == 3
    assert "Traceback" not in told.stderr


def test_a_linked_server_file_is_not_followed(
    sgoped: Sgoped, served: DaemonProcess, tmp_path: Path
) -> None:
    (tmp_path / "runtime").mkdir()
    link = tmp_path / "runtime" / "server.json"
    link.symlink_to(served.home / "runtime" / "server.json")
    assert sgoped("status", "--home", str(tmp_path)).returncode == 3


def test_status_tells_of_a_state_that_was_restored(
    sgoped: Sgoped, start_daemon: StartDaemon
) -> None:
    first = start_daemon()
    config = {"name": "Down", "host": "http://127.0.0.1:9", "models": ["m"]}
    body = {"service_id": "down", "service_type": "ollama", "config": config}
    assert first.request("POST", "/api/services/add", body)[0] == 200
    assert first.stop() == 0
    (first.home / "data" / "state.db").write_bytes(b"garbled" * 1000)
    again = start_daemon(first.home)
    assert list(again.request("GET", "/api/services")[1]) == ["down"]
    assert "restored" in again.request("GET", "/health")[1]["state"]["recovery"]
    told = sgoped("status", "--home", str(again.home)).stdout
    assert "state: state.db was damaged" in told


def test_status_tells_how_it_is(sgoped: Sgoped, served: DaemonProcess) -> None:
    told = sgoped("status")
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith(f"healthy: sgoped {__version__} at {served.url}")
    assert "4 documents" in told.stdout  # three files and a folder
    health = json.loads(sgoped("status", "--json").stdout)
    assert health["pid"] == served.process.pid


def test_files_are_found_and_listed(sgoped: Sgoped) -> None:
    assert sgoped("files", "grdn").stdout == "garden.md\n"
    assert sgoped("files", "srcplan").stdout == "src/plan.py\n"
    assert len(json.loads(sgoped("files", "--json").stdout)) >= 3
    assert sgoped("files", "nothing-of-this-name").stdout == ""


def test_a_file_s_name_does_not_steer_the_terminal(sgoped: Sgoped) -> None:
    told = sgoped("files", "odd")
    assert "\x1b" not in told.stdout
    assert "odd\N{REPLACEMENT CHARACTER}[31mname.txt" in told.stdout


def test_passages_are_found_with_their_lines(sgoped: Sgoped) -> None:
    assert sgoped("search", "tulips", "water").stdout.startswith("garden.md:")
    hits = json.loads(sgoped("search", "tulips", "--json").stdout)["hits"]
    assert hits[0]["path"] == "garden.md"
    assert sgoped("search", "tulips", "--ext", "py").stdout == ""
    assert sgoped("search", "tulips", "--ext", "py,md").stdout.startswith("garden.md:")
    assert sgoped("search", "tulips", "-tulips").stdout == ""
    assert sgoped("search", "tulips", "ext:py").stdout == ""
    unknown = sgoped("search", "tulips", "--limt", "3")
    assert unknown.returncode == 2
    assert "--limt" in unknown.stderr


def test_refresh_returns_when_the_index_is_true(sgoped: Sgoped, served: DaemonProcess) -> None:
    (served.memory_dir / "new.txt").write_text("brand new")
    assert sgoped("refresh").returncode == 0
    assert sgoped("files", "new").stdout == "new.txt\n"
    (served.memory_dir / "new.txt").unlink()
    assert sgoped("refresh").returncode == 0
    assert sgoped("files", "new").stdout == ""


def test_what_the_daemon_refuses_is_told(sgoped: Sgoped) -> None:
    told = sgoped("models", "default", "no-such-model")
    assert told.returncode == 1
    assert "no-such-model" in told.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_completion(sgoped: Sgoped, shell: str) -> None:
    told = sgoped("completion", shell)
    assert told.returncode == 0
    assert "_SGOPED_COMPLETE" in told.stdout


def test_verbs_are_completed(sgoped: Sgoped) -> None:
    asked = {"_SGOPED_COMPLETE": "bash_complete", "COMP_WORDS": "sgoped sta", "COMP_CWORD": "1"}
    assert sgoped(environment=asked).stdout == "plain,status\n"


def test_a_closed_pipe_is_no_error(served: DaemonProcess) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone:
        told = subprocess.run(
            [sys.executable, "-m", "sgoped", "files", "--home", str(served.home)],
            stdout=gone,
            stderr=subprocess.PIPE,
            env=processes.clean_environment(served.home),
            check=False,
        )
    assert b"Traceback" not in told.stderr


def test_ctrl_c_while_starting_is_quiet(tmp_path: Path) -> None:
    daemon = processes.spawn(tmp_path / "home")
    daemon.process.send_signal(signal.SIGINT)
    try:
        daemon.process.wait(processes.STOP_SECONDS)
    finally:
        daemon.kill()
    assert not (tmp_path / "home" / "runtime" / "server.json").exists()
