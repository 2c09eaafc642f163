from __future__ import annotations

import os
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


def backup(home: Home) -> Path:
    """The one that is left: a daemon makes a copy of the day and a latest one."""
    first, *others = sorted((home.data / "backups").glob("state-*.db"))
    for path in others:
        path.unlink()
    return first


def test_a_damaged_database_is_restored_from_its_backup(sick: Home) -> None:
    good = backup(sick).read_bytes()
    garble(sick.data / "state.db")
    found = sick.expect("state_damaged", fixed=True)
    assert backup(sick).name in found["mend"]
    assert (sick.data / "state.db").read_bytes() == good
    assert "state_was_damaged" in sick.doctor().codes()


def test_without_a_good_backup_it_says_what_will_be_lost(sick: Home) -> None:
    garble(sick.data / "state.db")
    garble(backup(sick))
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
    found = sick.expect("state_newer", fixed=False)
    assert "create_holograms" in found["what"]


def test_a_damaged_backup_is_found(sick: Home) -> None:
    good = backup(sick)
    broken = good.with_name("state-20200101-000000.db")
    broken.write_bytes(good.read_bytes())
    broken.chmod(0o600)
    garble(broken)
    found = sick.expect("backup_damaged", fixed=False)
    assert broken.name in found["what"]


def test_old_backups_are_wrong_only_while_a_daemon_runs(
    sick: Home, start: Callable[[], DaemonProcess]
) -> None:
    age(backup(sick), 10)
    assert sick.doctor().exit_code == 0
    start()
    for path in (sick.data / "backups").iterdir():
        age(path, 10)
    found = sick.expect("backup_old", fixed=False)
    assert "10 days" in found["what"]


def test_a_running_daemon_without_a_backup_is_told(
    sick: Home, start: Callable[[], DaemonProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    start()
    for path in (sick.data / "backups").iterdir():
        path.unlink()
    assert sick.doctor().wrong() == set(), "it has just started"
    monkeypatch.setattr("sgoped.doctor.state.FIRST_BACKUP_SECONDS", 0.0)
    sick.expect("backup_none", fixed=False)
