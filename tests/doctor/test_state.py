from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.doctor.homes import Home
from tests.processes import DaemonProcess


def garble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:8192] = b"\xa5" * 4096
    path.write_bytes(data)


def age(path: Path, days: float) -> None:
    at = time.time() - days * 86_400
    os.utime(path, (at, at))


def backups(home: Home) -> list[Path]:
    """The best one to restore first."""
    found = sorted((home.data / "backups").glob("state-*.db"), reverse=True)
    assert [path.name for path in found[:1]] == ["state-latest.db"]
    assert len(found) > 1
    return found


def test_a_damaged_database_is_restored_from_its_backup(sick: Home) -> None:
    good = backups(sick)[0].read_bytes()
    garble(sick.data / "state.db")
    found = sick.expect("state_damaged", fixed=True)
    assert "restores state-latest.db" in found["mend"]
    assert (sick.data / "state.db").read_bytes() == good
    assert "state_was_damaged" in sick.doctor().codes()


@pytest.mark.parametrize("content", [None, b""])
def test_a_lost_database_is_restored_from_its_backup(sick: Home, content: bytes | None) -> None:
    path, good = sick.data / "state.db", backups(sick)[0].read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
        path.chmod(0o600)
    sick.expect("state_lost", fixed=True)
    assert path.read_bytes() == good


def test_a_service_that_cannot_be_read_is_damage(sick: Home) -> None:
    """SQLite itself finds nothing wrong."""
    with closing(sqlite3.connect(sick.data / "state.db")) as connection:
        connection.execute("insert into service values (1, 'mine', 'ollama', 'Mine', 1, '{{')")
        connection.commit()
    sick.expect("state_damaged", fixed=True)


def test_before_a_first_start_there_is_none(sick: Home) -> None:
    (sick.data / "state.db").unlink()
    shutil.rmtree(sick.data / "backups")
    report = sick.doctor()
    assert (report.exit_code, report.one("state_none")["severity"]) == (0, "note")


def test_a_database_deleted_under_a_running_daemon_is_found(
    sick: Home, start: Callable[[], DaemonProcess]
) -> None:
    start()
    (sick.data / "state.db").unlink()
    found = sick.expect("state_lost", fixed=False)
    assert "restart sgoped: it restores state-latest.db" in found["mend"]


def test_a_repair_at_the_start_is_told(sick: Home, start: Callable[[], DaemonProcess]) -> None:
    garble(sick.data / "state.db")
    start()
    report = sick.doctor()
    assert (report.exit_code, report.wrong()) == (0, set())
    assert "restored state-latest.db" in report.one("state_recovered")["what"]


def test_without_a_good_backup_it_says_what_will_be_lost(sick: Home) -> None:
    garble(sick.data / "state.db")
    for backup in backups(sick):
        garble(backup)
    report = sick.doctor()
    assert report.wrong() == {"state_damaged", "backup_damaged"}, report
    assert "starts with none" in report.one("state_damaged")["mend"]
    assert "backup_none" in report.codes()


def test_a_log_that_was_not_written_back_is_read_and_left(sick: Home) -> None:
    path = sick.data / "state.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute("insert into service values (1, 'mine', 'ollama', 'Mine', 1, '{}')")
        connection.commit()
        # As a kill would leave them: closing writes the log back.
        before, log = path.read_bytes(), (sick.data / "state.db-wal").read_bytes()
    path.write_bytes(before)
    (sick.data / "state.db-wal").write_bytes(log)
    (sick.data / "state.db-wal").chmod(0o600)
    report = sick.doctor()
    assert report.exit_code == 0
    assert "mine" in report.one("services_untested")["what"]
    assert path.read_bytes() == before
    assert (sick.data / "state.db-wal").read_bytes() == log
    assert not (sick.data / "state.db-shm").exists()


def test_a_newer_schema_is_left_alone(sick: Home) -> None:
    with closing(sqlite3.connect(sick.data / "state.db")) as connection:
        row = "select migration_set from _sqlite_migrations"
        (name,) = connection.execute(row).fetchone()
        connection.execute(
            "insert into _sqlite_migrations (migration_set, name, applied_at) values (?, ?, ?)",
            (name, "create_holograms", "2099-01-01"),
        )
        connection.commit()
    sick.expect("state_newer", fixed=False)
    for backup in backups(sick):
        shutil.copyfile(sick.data / "state.db", backup)
    assert sick.doctor().wrong() == {"state_newer"}


def test_a_damaged_backup_is_found(sick: Home) -> None:
    good = backups(sick)[0]
    broken = good.with_name("state-20200101-000000.db")
    broken.write_bytes(good.read_bytes())
    broken.chmod(0o600)
    garble(broken)
    found = sick.expect("backup_damaged", fixed=False)
    assert broken.name in found["what"]


def test_old_backups_are_wrong_only_while_a_daemon_runs(
    sick: Home, start: Callable[[], DaemonProcess]
) -> None:
    for path in backups(sick):
        age(path, 10)
    assert sick.doctor().exit_code == 0
    start()
    for path in (sick.data / "backups").iterdir():
        age(path, 10)
    found = sick.expect("backup_old", fixed=False)
    assert "10 days" in found["what"]


def test_a_running_daemon_without_a_backup_is_told_unless_it_has_just_started(
    sick: Home, start: Callable[[], DaemonProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    start()
    for path in (sick.data / "backups").iterdir():
        path.unlink()
    monkeypatch.setattr("sgoped.doctor.state.FRESH_SECONDS", 1e6)
    report = sick.doctor()
    assert (report.exit_code, report.one("backup_none")["severity"]) == (0, "note")
    monkeypatch.setattr("sgoped.doctor.state.FRESH_SECONDS", 0.0)
    sick.expect("backup_none", fixed=False)
