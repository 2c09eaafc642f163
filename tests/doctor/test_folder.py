from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sgoped.config import Settings
from sgoped.doctor.folder import (
    check_contents,
    check_folder,
    conflict_files,
    judge_disk,
    name_habits,
)
from sgoped.doctor.instance import Instance
from sgoped.doctor.subject import Subject, walk_folder
from sgoped.paths import resolve_paths
from tests.doctor.homes import Home, nobody, snapshot

GIB = 2**30


def test_a_folder_that_is_away_is_a_problem(
    sick: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SGOPED_MEMORY_DIR", str(tmp_path / "drive"))
    found = sick.doctor("--fix").one("folder_missing")
    assert (found["severity"], found["where"]) == ("problem", str(tmp_path / "drive"))
    assert not (tmp_path / "drive").exists()


def test_a_folder_without_permission_is_found_and_left_alone(sick: Home) -> None:
    for mode, code in ((0o555, "folder_read_only"), (0o300, "folder_unreadable")):
        sick.memory.chmod(mode)
        assert code in sick.doctor("--fix").wrong()
        assert sick.memory.stat().st_mode & 0o777 == mode
    sick.memory.chmod(0o755)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that another user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="sgoped-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become somebody else")
def test_files_that_cannot_be_read_are_told(open_folder: Path) -> None:
    (open_folder / "secret.txt").write_text("not for everybody")
    (open_folder / "secret.txt").chmod(0o600)
    (open_folder / "closed").mkdir(mode=0o700)
    (open_folder / "fine.txt").write_text("for everybody")
    paths = replace(resolve_paths(Path("/nowhere")), memory_dir=open_folder)
    subject = Subject(Settings(), (), paths, Instance(), nobody)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        try:
            os.setgid(12345)
            os.setuid(12345)
            walk = walk_folder(open_folder, 10)
            found = [each.as_json() for each in check_contents(subject, walk)]
            found += [each.as_json() for each in check_folder(subject)]
            os.write(writer, json.dumps(found).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        by_code = {each["code"]: each for each in json.load(told)}
    os.waitpid(child, 0)
    assert "secret.txt" in by_code["unreadable"]["what"]
    assert "closed" in by_code["unreadable"]["what"]
    assert "2 files and folders" in by_code["unreadable"]["what"]
    assert "fine.txt" not in by_code["unreadable"]["what"]
    assert "folder_read_only" in by_code


def test_odd_files_are_noted_and_are_no_fault(sick: Home) -> None:
    future = sick.memory / "future.txt"
    future.write_text("from a machine whose clock is wrong")
    os.utime(future, (time.time() + 86_400,) * 2)
    (sick.memory / "plans.sync-conflict-20260102-030405-ABCDEFG.txt").write_text("theirs")
    before = snapshot(sick.path)
    report = sick.doctor()
    assert report.exit_code == 0
    assert "future.txt" in report.one("mtime_in_future")["what"]
    assert "sync-conflict" in report.one("sync_conflict")["what"]
    assert snapshot(sick.path) == before


def test_fifos_and_devices_are_never_opened(sick: Home) -> None:
    os.mkfifo(sick.memory / "fifo.txt")
    os.mkfifo(sick.data / "backups" / "state.partial")
    os.mkfifo(sick.data / "backups" / "state-20200101-000000.db")
    os.mkfifo(sick.runtime / "server.json", 0o600)
    report = sick.doctor()
    assert report.wrong() == {"remains_stale", "file_exposed", "backup_damaged"}
    assert "check_slow" not in report.codes()


@pytest.mark.parametrize(
    "name",
    [
        "notes (Anna's conflicted copy 2026-01-02).md",
        "notes (conflicted copy 2026-01-02 030405).md",
        "deep/notes.sync-conflict-20260102-030405-ABCDEFG.md",
        "notes (Case Conflict 1).md",
    ],
)
def test_conflict_files_are_known_by_their_names(name: str) -> None:
    assert conflict_files([name, "notes.md", "a paper on conflicted copy.md"]) == [name]


def test_tight_disks_are_told() -> None:
    def codes(free: int, inodes: int = 0, free_inodes: int = 0) -> list[str]:
        return [found.code for found in judge_disk(Path("/d"), free, inodes, free_inodes)]

    assert codes(5 * GIB) == []
    assert codes(5 * GIB, 10**6, 10**5) == []
    assert codes(200 * 2**20) == ["disk_tight"]
    assert codes(2**20) == ["disk_full"]
    assert codes(5 * GIB, 10**6, 10) == ["inodes_tight"]


def test_what_a_file_system_makes_of_names_is_found_without_writing() -> None:
    paths = ["Plans.txt", "garden/caf\u00e9.md"]

    def case(one: str, other: str) -> bool:
        return one.casefold() == other.casefold()

    def forms(one: str, other: str) -> bool:
        return other == "garden/cafe\u0301.md"

    assert name_habits(paths, lambda one, other: False) == []
    assert name_habits(paths, case) == ["case"]
    assert name_habits(paths, forms) == ["Unicode form"]
    assert name_habits([], case) == []
    # Two files whose names differ in case prove nothing.
    assert name_habits(["a", "A"], lambda one, other: True) == []
