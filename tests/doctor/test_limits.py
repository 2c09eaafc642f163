from __future__ import annotations

from pathlib import Path

import pytest

from sgoped.doctor.limits import count_folders, judge_open_files, judge_watches, read_limits
from tests.doctor.homes import Home

GOOD = {"max_user_watches": 500_000, "max_user_instances": 128, "max_queued_events": 16_384}


def codes(folders: int, **limits: int) -> list[str]:
    return [found.code for found in judge_watches(folders, GOOD | limits)]


def test_good_limits_are_said_to_be_enough() -> None:
    assert codes(1000) == ["watches_enough"]


def test_low_limits_are_told_with_the_command_that_raises_them() -> None:
    (found,) = judge_watches(400_000, GOOD)
    assert found.code == "watches_few"
    assert "sudo sysctl fs.inotify.max_user_watches=1048576" in found.mend
    assert codes(7000, max_user_watches=8192) == ["watches_few"]
    assert codes(1, max_user_instances=8) == ["instances_few"]
    assert codes(1, max_queued_events=100) == ["queue_short", "watches_enough"]


def test_where_there_is_no_inotify_nothing_is_said(tmp_path: Path) -> None:
    assert read_limits(tmp_path) == {}
    assert not list(judge_watches(10, {}))


def test_the_kernels_limits_are_read() -> None:
    assert read_limits(Path("/proc/sys/fs/inotify")).keys() == GOOD.keys()


def test_folders_are_counted_as_they_are_watched(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / ".git" / "objects").mkdir(parents=True)
    (tmp_path / ".gitignore").write_text("ignored")
    (tmp_path / "ignored").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert count_folders(tmp_path, 10) == 4


def test_few_open_files_are_told() -> None:
    def told(hard: int | None) -> tuple[str, str]:
        (found,) = judge_open_files(hard)
        return found.code, str(found.severity)

    assert told(None) == ("open_files_enough", "ok")
    assert told(524_288) == ("open_files_enough", "ok")
    assert told(2048) == ("open_files_few", "note")
    assert told(256) == ("open_files_few", "warning")


def test_low_limits_reach_the_report(sick: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = sick.path / "inotify"
    limits.mkdir()
    for name, value in (GOOD | {"max_user_watches": 2}).items():
        (limits / name).write_text(f"{value}\n")
    monkeypatch.setattr("sgoped.doctor.limits.INOTIFY_DIR", limits)
    sick.expect("watches_few", fixed=False)
