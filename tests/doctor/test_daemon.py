from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

import sgoped
from sgoped.daemon.lock import hold_lock
from tests.conftest import StartDaemon
from tests.doctor.homes import Home, snapshot
from tests.processes import DaemonProcess


def test_what_a_killed_daemon_left_is_removed(
    sick: Home, start: Callable[[], DaemonProcess]
) -> None:
    start().kill()
    (sick.runtime / "sgoped.sock").unlink(missing_ok=True)  # a finding of its own
    server = sick.runtime / "server.json"
    assert server.exists()
    found = sick.expect("remains_stale", fixed=True)
    assert found["where"] == str(server)
    assert not list(sick.runtime.glob("s*"))


def test_a_socket_of_a_dead_daemon_is_removed(sick: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sick.runtime / "sgoped.sock"
    monkeypatch.chdir(sick.runtime)  # the whole path is too long for a socket
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("sgoped.sock")
    path.chmod(0o600)
    sick.expect("remains_stale", fixed=True)
    assert not path.exists()


def test_a_server_file_that_is_a_link_is_unlinked_and_its_target_stays(
    sick: Home, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    canary.write_text("the person's own")
    (sick.runtime / "server.json").symlink_to(canary)
    sick.doctor("--fix")
    assert canary.read_text() == "the person's own"


def test_a_daemon_that_holds_the_lock_and_is_silent_is_found(sick: Home) -> None:
    with hold_lock(sick.data / "sgoped.lock"):
        before = snapshot(sick.path)
        report = sick.doctor("--fix")
        assert report.wrong() == {"daemon_silent"}
        assert f"kill {os.getpid()}" in report.one("daemon_silent")["mend"]
        assert snapshot(sick.path) == before


def test_a_stopped_process_does_not_hold_the_doctor(
    sick: Home, start: Callable[[], DaemonProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sgoped.doctor.instance.HEALTH_SECONDS", 0.5)
    daemon = start()
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        report = sick.doctor()
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    assert report.wrong() == {"daemon_silent"}


def test_a_daemon_that_lost_its_lock_is_found(
    sick: Home, start: Callable[[], DaemonProcess]
) -> None:
    start()
    (sick.data / "sgoped.lock").unlink()
    sick.expect("lock_lost", fixed=False)


def test_two_daemons_on_one_directory_are_found(
    sick: Home, start: Callable[[], DaemonProcess]
) -> None:
    daemon = start()
    # The lock's file replaced, so that a second one gets a lock of its own.
    (sick.data / "sgoped.lock").unlink()
    with hold_lock(sick.data / "sgoped.lock"):
        found = sick.expect("two_daemons", fixed=False)
    assert f"kill {os.getpid()} {daemon.process.pid}" in found["mend"]


def test_a_daemon_of_another_version_is_found(
    sick: Home, start: Callable[[], DaemonProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    start()
    monkeypatch.setattr(sgoped, "__version__", "9.9")
    sick.expect("daemon_outdated", fixed=False)


def test_a_strangers_announcement_is_not_believed(sick: Home, start_daemon: StartDaemon) -> None:
    other = start_daemon()
    (sick.runtime / "server.json").write_text(json.dumps({"pid": 1, "url": other.url}))
    (sick.runtime / "server.json").chmod(0o600)
    report = sick.doctor()
    assert report.wrong() == {"remains_stale"}


def test_a_port_taken_by_a_program_is_found(sick: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # It hangs up, as a program does that speaks no HTTP.
        listener.settimeout(30)
        monkeypatch.setattr("sgoped.doctor.instance.HEALTH_SECONDS", 0.2)
        monkeypatch.setenv("SGOPED_PORT", str(listener.getsockname()[1]))
        found = sick.expect("port_taken", fixed=False)
    assert "another program" in found["what"]


def test_a_port_taken_by_another_sgoped_is_told_as_such(
    sick: Home, start_daemon: StartDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = start_daemon()
    monkeypatch.setenv("SGOPED_PORT", str(other.port))
    found = sick.expect("port_taken", fixed=False)
    assert f"another sgoped (pid {other.process.pid})" in found["what"]


def test_a_unit_that_starts_nothing_is_found(
    sick: Home, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = home / ".config" / "systemd" / "user" / "sgoped.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=%h/sgoped/.venv/bin/sgoped serve\n")
    found = sick.expect("unit_broken", fixed=False)
    assert f"{home}/sgoped/.venv/bin/sgoped" in found["what"]
    program = home / "sgoped" / ".venv" / "bin" / "sgoped"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    assert sick.doctor().exit_code == 0


def test_while_another_repairs_nothing_is_mended(
    sick: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that starts between the look and the mending keeps its files."""
    (sick.data / "state.db").chmod(0o644)
    monkeypatch.setattr("sgoped.doctor.instance.is_held", lambda path: False)
    with hold_lock(sick.data / "sgoped.lock"):
        report = sick.doctor("--fix")
    assert "lock_refused" in report.wrong()
    assert not report.one("file_exposed")["mended"]
    assert (sick.data / "state.db").stat().st_mode & 0o777 == 0o644
