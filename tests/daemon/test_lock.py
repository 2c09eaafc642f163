from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sgoped.daemon.lock import hold_lock
from sgoped.errors import StartupError


def test_a_second_one_is_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "sgoped.lock"
    with hold_lock(path) as lock:
        lock.describe("http://localhost:1234")
        with pytest.raises(StartupError) as caught, hold_lock(path):
            pass
    assert caught.value.exit_code == 75
    assert f"pid {os.getpid()}, http://localhost:1234" in caught.value.message
    assert str(tmp_path) in caught.value.message


def test_it_is_told_before_the_address_is_known(tmp_path: Path) -> None:
    path = tmp_path / "sgoped.lock"
    told = rf"\(pid {os.getpid()}\)"
    with hold_lock(path), pytest.raises(StartupError, match=told), hold_lock(path):
        pass


def test_what_is_left_behind_locks_nobody_out(tmp_path: Path) -> None:
    path = tmp_path / "sgoped.lock"
    path.write_text("not what we wrote")
    for _ in range(2):
        with hold_lock(path):
            pass


def test_a_killed_process_gives_it_back(tmp_path: Path) -> None:
    path = tmp_path / "sgoped.lock"
    program = (
        "import sys; from pathlib import Path; from sgoped.daemon.lock import hold_lock\n"
        "with hold_lock(Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StartupError, match=f"pid {holder.pid}"), hold_lock(path):
            pass
        holder.kill()
        holder.wait()
        with hold_lock(path):
            pass


def test_its_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "sgoped.lock"
    with hold_lock(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "sgoped.lock").symlink_to(tmp_path / "canary")
    with pytest.raises(StartupError, match=r"sgoped\.lock"), hold_lock(tmp_path / "sgoped.lock"):
        pass
    assert not (tmp_path / "canary").exists()


def test_the_folder_is_told_and_may_be_moved_with_the_data(tmp_path: Path) -> None:
    path = tmp_path / "sgoped.lock"
    with hold_lock(path) as lock:
        lock.describe(memory_dir=tmp_path / "memory" / "short_term")
        assert json.loads(path.read_text())["memory_dir"] == "memory/short_term"
        lock.describe(memory_dir=tmp_path.parent / "notes")
        assert json.loads(path.read_text())["memory_dir"] == str(tmp_path.parent / "notes")
