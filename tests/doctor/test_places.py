from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.doctor.homes import Home, snapshot


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_sound_home_has_nothing_wrong_and_looking_changes_nothing(sick: Home) -> None:
    before = snapshot(sick.path)
    report = sick.doctor()
    assert (report.exit_code, report.wrong()) == (0, set())
    assert {"places_private", "settings_good", "folder_read", "index_equal"} <= report.codes()
    assert {"index_proven", "state_sound", "versions_good"} <= report.codes()
    assert snapshot(sick.path) == before


@pytest.mark.parametrize("name", ["data/state.db", "data/sgoped.lock", "cache/catalogue.db"])
def test_a_file_that_others_can_open_is_closed(sick: Home, name: str) -> None:
    (sick.path / name).chmod(0o644)
    found = sick.expect("file_exposed", fixed=True)
    assert found["where"] == str(sick.path / name)
    assert mode(sick.path / name) == 0o600


def test_backups_and_versions_are_closed_too(sick: Home) -> None:
    folder = sick.data / "versions" / "0123"
    folder.mkdir(parents=True, mode=0o700)
    folder.parent.chmod(0o700)
    for name in ("1.blob", "1.json"):
        (folder / name).write_text("kept")
        (folder / name).chmod(0o640)
    backup = next((sick.data / "backups").iterdir())
    backup.chmod(0o604)
    assert sick.expect("file_exposed", fixed=True)["what"].startswith("3 files")
    assert mode(backup) == mode(folder / "1.blob") == 0o600


@pytest.mark.parametrize(
    "name", ["data", "cache", "runtime", "runtime/heartbeat", "cache/index", "data/backups"]
)
def test_a_directory_that_others_can_enter_is_closed(sick: Home, name: str) -> None:
    (sick.path / name).chmod(0o755)
    sick.expect("folder_exposed", fixed=True)
    assert mode(sick.path / name) == 0o700


def test_the_persons_own_folder_keeps_its_mode(sick: Home) -> None:
    sick.memory.chmod(0o777)
    (sick.memory / "plans.txt").chmod(0o666)
    assert sick.doctor("--fix").exit_code == 0
    assert mode(sick.memory) == 0o777
    assert mode(sick.memory / "plans.txt") == 0o666


def test_a_link_among_our_files_is_not_followed(sick: Home, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("the person's own")
    canary.chmod(0o644)
    (sick.data / "backups" / "state-20200101-000000.db.old").symlink_to(canary)
    (sick.data / "versions").symlink_to(tmp_path)
    assert sick.doctor("--fix").exit_code == 0
    assert mode(canary) == 0o644


def test_a_file_with_another_name_is_left_alone(sick: Home, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.hardlink_to(sick.data / "state.db")
    other.chmod(0o644)
    found = sick.doctor("--fix").one("file_exposed")
    assert not found["mended"]
    assert "hard link" in found["mend"]
    assert mode(other) == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_found_and_left_alone(sick: Home) -> None:
    os.chown(sick.data / "state.db", 12345, -1)
    found = sick.expect("place_foreign", fixed=False)
    assert "uid 12345" in found["what"]


def test_a_file_where_a_directory_must_be_is_found(sick: Home) -> None:
    (sick.path / "state").rmdir()
    (sick.path / "state").write_text("")
    sick.expect("place_taken", fixed=False)


def test_a_home_never_used_is_nothing_wrong(tmp_path: Path, sick: Home) -> None:
    report = Home(tmp_path / "new").doctor()
    assert report.exit_code == 0
    assert {"place_missing", "folder_missing", "state_none"} <= report.codes()
    assert not (tmp_path / "new").exists()


def test_settings_that_others_can_write_are_found_and_left_alone(sick: Home) -> None:
    path = sick.path / "config" / "config.toml"
    path.write_text("log_level = 'debug'")
    path.chmod(0o666)
    sick.expect("settings_writable", fixed=False)
    assert mode(path) == 0o666


def test_a_key_that_others_can_read_is_found_and_left_alone(sick: Home) -> None:
    path = sick.path / "config" / ".env"
    path.write_text("OPENAI_API_KEY=sk-secret")
    path.chmod(0o644)
    report = sick.doctor("--fix")
    assert report.wrong() == {"key_readable"}
    assert "chmod 600" in report.one("key_readable")["what"]
    assert mode(path) == 0o644
    assert "sk-secret" not in str(report)


def test_a_setting_that_is_not_used_is_told(sick: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGOPED_PROT", "1")
    report = sick.doctor()
    assert report.wrong() == {"setting_unused"}
    assert "did you mean SGOPED_PORT" in report.one("setting_unused")["what"]
