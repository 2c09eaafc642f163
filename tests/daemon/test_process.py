"""The process in odd places and at odd moments."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import processes
from tests.conftest import StartDaemon
from tests.processes import DaemonProcess

AT_ONCE = 10
MANY = 2_000
WITHOUT_ROOTS_POWER = ("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override")


def await_text(path: Path, text: str, daemon: DaemonProcess) -> None:
    """Until the daemon has written ``text`` there."""
    deadline = time.monotonic() + processes.START_SECONDS
    while not (path.exists() and text in path.read_text(errors="replace")):
        assert daemon.process.poll() is None, daemon.log()
        assert time.monotonic() < deadline, daemon.log()
        time.sleep(0.002)


def test_of_ten_that_start_at_the_same_instant_one_lives(tmp_path: Path) -> None:
    home = tmp_path / "home"
    started = [processes.spawn(home) for _ in range(AT_ONCE)]
    try:
        deadline = time.monotonic() + processes.START_SECONDS
        while len(living := [each for each in started if each.process.poll() is None]) > 1:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        [one] = living
        await_text(home / "runtime" / "server.json", f'"pid": {one.process.pid}', one)
        ended = [each.process.poll() for each in started if each is not one]
        assert ended == [75] * (AT_ONCE - 1)
        assert one.log().count("another sgoped") == AT_ONCE - 1
        assert one.log().count("answers on") == 1
        assert one.stop() == 0
    finally:
        for each in started:
            each.kill()


def test_another_home_on_the_same_port_is_told_which(daemon: DaemonProcess, tmp_path: Path) -> None:
    other = processes.spawn(tmp_path / "other", port=daemon.port)
    with closing_by_kill(other):
        assert other.process.wait(processes.START_SECONDS) == 1
    assert f"port {daemon.port} is taken" in other.log()
    assert "Traceback" not in other.log()
    assert daemon.request("GET", "/health")[0] == 200


@contextmanager
def closing_by_kill(daemon: DaemonProcess) -> Iterator[None]:
    try:
        yield
    finally:
        daemon.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_before_it_is_ready_ends_it_cleanly(
    tmp_path: Path, start_daemon: StartDaemon, number: int
) -> None:
    home = tmp_path / "home"
    folder = home / "data" / "memory" / "short_term"
    folder.mkdir(mode=0o700, parents=True)
    for index in range(MANY):
        (folder / f"note {index}.md").write_text(f"text {index}\n" * 20)
    daemon = processes.spawn(home)
    with closing_by_kill(daemon):
        # Its signals are in place by the time it says where it will listen.
        await_text(home / "data" / "sgoped.lock", "http", daemon)
        assert daemon.stop(number) == 0
    assert "Traceback" not in daemon.log()
    assert not (home / "runtime" / "server.json").exists()
    following = start_daemon(home)
    following.request("POST", "/api/refresh", {})
    assert following.request("GET", "/api/stats")[1]["short_term_memory"]["files"] == MANY


def test_a_signal_at_any_moment_of_a_start_leaves_nothing_behind(
    tmp_path: Path, start_daemon: StartDaemon
) -> None:
    home = tmp_path / "home"
    began = time.monotonic()
    daemon = start_daemon(home)
    usual = time.monotonic() - began
    daemon.stop()
    for step in range(8):
        daemon = processes.spawn(home)
        with closing_by_kill(daemon):
            time.sleep(usual * step / 8)
            # Before anything was opened, a signal is the plain end of a process.
            assert daemon.stop() in (0, -signal.SIGTERM)
        assert not (home / "runtime" / "server.json").exists()
        assert not list((home / "runtime").glob(".*"))
    assert "Traceback" not in daemon.log()
    assert start_daemon(home).request("GET", "/health")[1]["state"]["recovery"] == ""


ODD_NAMES = ["it's $HOME, 100% {odd}/наши \N{SNOWMAN} notes", "/".join(["long" * 10] * 5)]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_home_of_an_odd_name_is_as_good_as_any(
    tmp_path: Path, start_daemon: StartDaemon, name: str
) -> None:
    home = tmp_path / name / "home"
    for _ in range(2):
        daemon = start_daemon(home)
        body = {"path": "note.md", "content": "a heron"}
        assert daemon.request("POST", "/api/files/content", body)[0] == 200
        [hit] = daemon.request("GET", "/api/search?q=heron")[1]["hits"]
        assert hit["path"] == "note.md"
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.log()


@pytest.mark.parametrize("is_link", [False, True], ids=["empty", "a link"])
def test_a_first_start_in_a_home_without_anything(tmp_path: Path, *, is_link: bool) -> None:
    real, home = tmp_path / "real", tmp_path / "me"
    (real if is_link else home).mkdir()
    if is_link:
        home.symlink_to(real, target_is_directory=True)
    with started_by_home_alone(home) as (process, log):
        server = home / "run" / "sgoped" / "server.json"
        await_text(server, "pid", DaemonProcess(process, home, log))
        assert (home / ".local/share/sgoped/memory/short_term").is_dir()
        process.send_signal(signal.SIGTERM)
        assert process.wait(processes.STOP_SECONDS) == 0
    assert not server.exists()
    assert "Traceback" not in log.read_text()


def test_a_home_that_cannot_be_written_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    home = tmp_path / "me"
    home.mkdir()
    home.chmod(0o500)
    if os.geteuid() == 0 and shutil.which(WITHOUT_ROOTS_POWER[0]) is None:
        pytest.skip("root writes everywhere")
    with started_by_home_alone(home) as (process, log):
        assert process.wait(processes.START_SECONDS) == 1
    told = log.read_text()
    assert "Traceback" not in told
    assert "cannot create" in told
    assert "SGOPED_HOME" in told
    assert list(home.iterdir()) == []
    home.chmod(0o700)


@pytest.mark.parametrize("name", ["state.db", "state.db-wal"])
def test_a_state_that_cannot_be_written_is_an_error_that_names_it(
    tmp_path: Path, name: str
) -> None:
    if os.geteuid() == 0 and shutil.which(WITHOUT_ROOTS_POWER[0]) is None:
        pytest.skip("root writes everywhere")
    home = tmp_path / "me"
    file = home / ".local/share/sgoped" / name
    file.parent.mkdir(mode=0o700, parents=True)
    file.touch(mode=0o400)
    with started_by_home_alone(home) as (process, log):
        assert process.wait(processes.START_SECONDS) == 1
    assert f"{file} cannot be read and written" in log.read_text()
    assert "Traceback" not in log.read_text()
    assert [each.name for each in file.parent.glob("state.db*")] == [name]


@contextmanager
def started_by_home_alone(home: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """As a person starts it who never heard of --home; a root without root's power to write."""
    log = home.parent / "log"
    powerless = WITHOUT_ROOTS_POWER if os.geteuid() == 0 else ()
    command = [*powerless, sys.executable, "-m", "sgoped", "serve", "--port", "0"]
    # Without it, the platform's own would be a name in /tmp.
    environment = processes.clean_environment(home) | {"XDG_RUNTIME_DIR": str(home / "run")}
    with (
        log.open("wb") as written,
        closing_popen(
            subprocess.Popen(command, stdout=written, stderr=written, env=environment)
        ) as process,
    ):
        yield process, log


@contextmanager
def closing_popen(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
