from __future__ import annotations

import json
import socket
import stat
import sys
from pathlib import Path

import pytest

from sgoped.config import ServiceManager
from sgoped.daemon.readiness import announced, notify


def test_a_message_goes_to_the_service_manager(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        name = str(tmp_path / "n")
        listener.bind(name)
        notify(ServiceManager(name, 0), READY="1", STATUS="serving")
        assert listener.recv(100) == b"READY=1\nSTATUS=serving"


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
def test_an_abstract_socket_is_reached(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{tmp_path.name}-sgoped")
        notify(ServiceManager(f"@{tmp_path.name}-sgoped", 0), STOPPING="1")
        assert listener.recv(100) == b"STOPPING=1"


def test_a_manager_that_is_gone_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notify(ServiceManager(str(tmp_path / "gone"), 0), READY="1")
    notify(None, READY="1")
    assert "does not listen" in caplog.text


def test_it_is_announced_for_as_long_as_it_lasts(tmp_path: Path) -> None:
    path = tmp_path / "server.json"
    path.write_text("left by a crash")
    with announced(path, {"pid": 1, "url": "http://localhost:1"}):
        assert json.loads(path.read_text()) == {"pid": 1, "url": "http://localhost:1"}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert list(tmp_path.iterdir()) == [path]
    assert list(tmp_path.iterdir()) == []


def test_what_was_half_written_when_one_was_killed_goes(tmp_path: Path) -> None:
    (tmp_path / ".server.json.tmp").write_text('{"pid"')
    with announced(tmp_path / "server.json", {"pid": 1}):
        assert [file.name for file in tmp_path.iterdir()] == ["server.json"]


def test_an_announcement_that_somebody_removed_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "server.json"
    with announced(path, {}):
        path.unlink()


def test_a_link_in_its_place_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "canary").write_text("untouched")
    path = tmp_path / "server.json"
    path.symlink_to(tmp_path / "canary")
    with announced(path, {"pid": 1}):
        assert not path.is_symlink()
    assert (tmp_path / "canary").read_text() == "untouched"
