from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sgoped.memory import Versions
from tests.doctor.homes import Home
from tests.processes import DaemonProcess


def old(path: Path) -> Path:
    at = time.time() - 3600
    os.utime(path, (at, at))
    return path


def unfinished_save(home: Home) -> Path:
    path = home.memory / "garden" / ".sgoped-0123456789abcdef.tmp"
    path.write_text("half a sa")
    return path


def test_an_unfinished_save_is_removed(sick: Home) -> None:
    path = old(unfinished_save(sick))
    found = sick.expect("save_leftover", fixed=True)
    assert found["where"] == str(path)
    assert not path.exists()


def test_it_is_removed_beside_a_running_daemon_too(
    sick: Home, start: Callable[[], DaemonProcess]
) -> None:
    start()
    path = old(unfinished_save(sick))
    sick.expect("save_leftover", fixed=True)
    assert not path.exists()


def test_a_save_in_progress_is_left_alone(sick: Home) -> None:
    young = unfinished_save(sick)
    assert sick.doctor("--fix").exit_code == 0
    assert young.exists()
    with old(young).open() as written:
        fcntl.flock(written, fcntl.LOCK_EX)
        sick.doctor("--fix")
    assert young.exists()


def test_what_only_looks_like_ours_is_left_alone(sick: Home) -> None:
    names = (".sgoped-0123.tmp", ".sgoped-0123456789abcdef.tmp.md", "sgoped-0123456789abcdef.tmp")
    theirs = [sick.memory / name for name in names]
    for path in theirs:
        path.write_text("the person's")
        old(path)
    sick.doctor("--fix")
    assert all(path.exists() for path in theirs)


def test_a_link_called_like_an_unfinished_save_is_left_alone(sick: Home, tmp_path: Path) -> None:
    canary = old_file = tmp_path / "canary"
    old_file.write_text("the person's")
    link = sick.memory / ".sgoped-0123456789abcdef.tmp"
    link.symlink_to(canary)
    os.utime(link, (1, 1), follow_symlinks=False)
    sick.doctor("--fix")
    assert link.is_symlink()
    assert canary.read_text() == "the person's"


def test_half_a_version_is_removed_and_whole_ones_stay(sick: Home) -> None:
    versions = Versions(sick.data / "versions", 10**6)
    kept = versions.keep("plans.txt", b"an earlier plan", "overwritten")
    (folder,) = (sick.data / "versions").iterdir()
    half = folder / "0000000000000001-00000001.blob"
    half.write_bytes(b"never listed")
    half.chmod(0o600)
    old(half)
    sick.expect("version_leftover", fixed=True)
    assert not half.exists()
    assert versions.read("plans.txt", kept) == b"an earlier plan"


def test_half_a_version_may_be_in_the_making_while_a_daemon_runs(
    sick: Home, start: Callable[[], DaemonProcess]
) -> None:
    start()
    folder = sick.data / "versions" / ("0123456789abcdef" * 2)
    folder.mkdir(parents=True, mode=0o700)
    folder.parent.chmod(0o700)
    half = folder / "0000000000000001-00000001.blob"
    half.write_bytes(b"never listed")
    half.chmod(0o600)
    assert sick.doctor().exit_code == 0
    old(half)
    found = sick.expect("version_leftover", fixed=False)
    assert "stop sgoped first" in found["mend"]
    assert half.exists()


def test_what_links_among_the_versions_lead_to_is_left_alone(sick: Home, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    canaries = [theirs / "photo.jpg", theirs / "0000000000000001-00000001.blob"]
    versions = sick.data / "versions"
    versions.mkdir(mode=0o700)
    (versions / ("ab" * 16)).symlink_to(theirs)
    own = versions / ("cd" * 16)
    own.mkdir(mode=0o700)
    canaries.append(own / "a note somebody put here.txt")
    for path in canaries:
        path.write_text("the person's")
        path.chmod(0o600)
        old(path)
    assert sick.doctor("--fix").exit_code == 0
    assert all(path.exists() for path in canaries)


def test_versions_over_the_limit_are_not_thrown_away(sick: Home) -> None:
    versions = Versions(sick.data / "versions", 10**6)
    for content in (b"one", b"two", b"three"):
        versions.keep("plans.txt", content, "overwritten")
    (sick.path / "config" / "config.toml").write_text("max_versions_bytes = 1")
    assert sick.doctor("--fix").exit_code == 0
    assert len(versions.list("plans.txt")) == 3


@pytest.mark.parametrize(
    "name",
    [
        "backups/state.partial",
        "backups/state.partial-journal",
        "backups/state.partial-copy",
        "state.partial-copy",
        "state.db.examined",
        "state.db.examined-wal",
    ],
)
def test_a_copy_of_the_state_that_was_not_finished_is_removed(sick: Home, name: str) -> None:
    path = sick.data / name
    path.write_text("half")
    path.chmod(0o600)
    old(path)
    sick.expect("backup_leftover", fixed=True)
    assert not path.exists()
    path.write_text("half, and others can read it")
    path.chmod(0o644)
    sick.expect("file_exposed", fixed=True)
