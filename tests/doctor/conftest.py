"""Homes to examine: sound ones, without a daemon and with a real one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import processes
from tests.conftest import StartDaemon
from tests.doctor import homes
from tests.doctor.homes import Home
from tests.processes import DaemonProcess

FILES = {
    "garden/tulips.md": "# Tulips\n\nPlant the bulbs in October, a hand deep.\n",
    "garden/valve.py": "def water(litres: float) -> None:\n    open_valve(litres)\n",
    "plans.txt": "Build a greenhouse before winter comes.\n",
    "letters/aunt.txt": "Dear aunt, the marmalade arrived safely.\n",
    ".hidden": "found by its dot only",
}


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that a real daemon has indexed and closed in order."""
    home = tmp_path_factory.mktemp("doctor") / "template"
    made = Home(home)
    made.memory.mkdir(parents=True)
    made.data.chmod(0o700)
    for path, text in FILES.items():
        file = made.memory / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    daemon = processes.start(home)
    try:
        daemon.request("POST", "/api/refresh", {})
        assert daemon.stop() == 0
    finally:
        daemon.kill()
    # Newer than all else, so that a start makes no other one while somebody looks.
    (made.data / "backups" / "state-latest.db").touch()
    return home


@pytest.fixture
def sick(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A sound home without a daemon, to be broken."""
    # Whether the usual port is free is this machine's business.
    monkeypatch.setenv("SGOPED_PORT", "0")
    return homes.copy(template, tmp_path / "home")


@pytest.fixture
def start(sick: Home, start_daemon: StartDaemon) -> Callable[[], DaemonProcess]:
    """Starts a daemon on that home; returns once its index equals the folder."""

    def run() -> DaemonProcess:
        daemon = start_daemon(sick.path)
        assert daemon.request("POST", "/api/refresh", {})[0] == 200
        return daemon

    return run
