from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests import processes
from tests.doctor.homes import Home
from tests.processes import DaemonProcess

INDEX = "cache/index"


def largest(folder: Path, suffix: str) -> Path:
    found = max(folder.glob(f"*{suffix}"), key=lambda path: path.stat().st_size)
    assert found.stat().st_size
    return found


def index_dir(home: Home, name: str) -> Path:
    (found,) = (home.path / INDEX).glob(f"{name}-*")
    return found


# -- without a daemon


def test_what_changed_while_it_was_down_is_no_fault(sick: Home) -> None:
    (sick.memory / "new.md").write_text("new")
    (sick.memory / "plans.txt").write_text("changed plans")
    (sick.memory / "letters" / "aunt.txt").unlink()
    report = sick.doctor()
    assert report.exit_code == 0
    found = report.one("index_behind")
    assert found["severity"] == "note"
    assert "3 files: 1 missing, 1 gone, 1 changed" in found["what"]


def test_a_damaged_catalogue_is_deleted_and_made_again(
    sick: Home, start: Callable[[], DaemonProcess]
) -> None:
    path = sick.cache / "catalogue.db"
    path.write_bytes(b"garbage" * 1000)
    sick.expect("catalogue_damaged", fixed=True)
    assert not path.exists()
    start()
    assert {"index_equal", "index_proven"} <= sick.doctor().codes()


def test_a_garbled_row_of_the_catalogue_is_found(sick: Home) -> None:
    with closing(sqlite3.connect(sick.cache / "catalogue.db")) as connection:
        connection.execute("update directory set packed = zeroblob(40)")
        connection.commit()
    sick.expect("catalogue_damaged", fixed=True)


@pytest.mark.parametrize("name", ["names", "bodies"])
def test_an_index_without_its_files_is_deleted(sick: Home, name: str) -> None:
    largest(index_dir(sick, name), ".term").unlink()
    sick.expect("index_damaged", fixed=True)
    assert not list((sick.path / INDEX).iterdir())


@pytest.mark.parametrize("name", ["names", "bodies"])
def test_an_index_that_is_gone_is_found(sick: Home, name: str) -> None:
    shutil.rmtree(index_dir(sick, name))
    sick.expect("index_damaged", fixed=True)


def test_an_index_that_lost_its_contents_is_found(sick: Home) -> None:
    # It opens without complaint, and is empty.
    index_dir(sick, "bodies").joinpath("meta.json").unlink()
    assert sick.doctor().wrong() == {"index_damaged"}


@pytest.mark.parametrize("name", ["names", "bodies"])
def test_a_flipped_bit_in_an_index_is_found(sick: Home, name: str) -> None:
    """tantivy would search it without a word."""
    path = largest(index_dir(sick, name), ".idx")
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    found = sick.expect("index_damaged", fixed=True)
    assert f"{path.name} has another checksum" in found["what"]


def exchange_index(home: Home, template: Path) -> Home:
    """Give it a whole index of other contents and the same size; returns where that is from."""
    other = Home(home.path.with_name("other"))
    shutil.copytree(template, other.path)
    for path in sorted(other.memory.rglob("*.*")):
        if path.is_file() and not path.name.startswith("."):
            path.write_text("something else altogether\n")
    shutil.rmtree(other.cache)
    daemon = processes.start(other.path)
    try:
        daemon.request("POST", "/api/refresh", {})
        assert daemon.stop() == 0
    finally:
        daemon.kill()
    shutil.rmtree(home.path / INDEX)
    shutil.copytree(other.path / INDEX, home.path / INDEX)
    return other


def test_a_whole_index_that_is_another_one_is_found(sick: Home, template: Path) -> None:
    exchange_index(sick, template)
    found = sick.expect("index_damaged", fixed=True)
    assert "another one than the catalogue knows" in found["what"]


def test_an_index_that_finds_the_wrong_thing_is_found(sick: Home, template: Path) -> None:
    """It is whole, and the one that the catalogue knows: only looking up tells."""
    other = exchange_index(sick, template)
    with closing(sqlite3.connect(other.cache / "catalogue.db")) as connection:
        mark = connection.execute("select mark, checksum from mark").fetchone()
    with closing(sqlite3.connect(sick.cache / "catalogue.db")) as connection:
        connection.execute("update mark set mark = ?, checksum = ?", mark)
        connection.commit()
    sick.expect("index_blind", fixed=True)


def test_what_a_link_in_the_place_of_the_index_leads_to_is_left_alone(
    sick: Home, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    (theirs / "names-4-0.27.0").mkdir(parents=True)
    (theirs / "names-4-0.27.0" / "photo.jpg").write_text("the person's")
    shutil.rmtree(sick.path / INDEX)
    (sick.path / INDEX).symlink_to(theirs)
    report = sick.doctor("--fix")
    assert report.wrong() == {"index_damaged"}
    assert "is a link" in report.one("index_damaged")["mend"]
    assert (theirs / "names-4-0.27.0" / "photo.jpg").exists()


def test_an_index_of_another_version_is_no_fault(sick: Home) -> None:
    (sick.path / INDEX / "names-3-0.26.0").mkdir(mode=0o700)
    report = sick.doctor()
    assert report.exit_code == 0
    assert "names-3-0.26.0" in report.one("index_of_other_version")["what"]


def test_a_catalogue_of_another_version_is_no_fault(sick: Home) -> None:
    path = sick.cache / "catalogue.db"
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table documents (path)")
        connection.commit()
    path.chmod(0o600)
    report = sick.doctor()
    assert report.exit_code == 0
    assert "catalogue_of_other_version" in report.codes()


def test_without_caches_nothing_is_wrong(sick: Home) -> None:
    shutil.rmtree(sick.cache)
    report = sick.doctor()
    assert (report.exit_code, report.wrong()) == (0, set())
    assert report.one("catalogue_none")["severity"] == "note"


def test_after_a_kill_the_log_of_the_catalogue_counts(
    sick: Home, start: Callable[[], DaemonProcess]
) -> None:
    daemon = start()
    daemon.request("POST", "/api/files/content", {"path": "late.md", "content": "a late idea"})
    daemon.kill()
    assert (sick.cache / "catalogue.db-wal").stat().st_size
    report = sick.doctor()
    assert report.wrong() == {"remains_stale"}
    assert "on 6 files" in report.one("index_equal")["what"]


# -- beside a running daemon


def test_a_running_daemons_index_is_proven_by_asking_it(
    sick: Home, start: Callable[[], DaemonProcess]
) -> None:
    daemon = start()
    report = sick.doctor()
    assert (report.exit_code, report.wrong()) == (0, set())
    assert {"daemon_up", "index_equal", "index_proven"} <= report.codes()
    assert daemon.url == report.one("daemon_up")["where"]


def test_what_a_running_daemon_missed_is_found_and_refreshed(
    sick: Home, start_daemon: Callable[..., DaemonProcess]
) -> None:
    # It is made to look at the folder so seldom that it misses what happens.
    daemon = start_daemon(
        sick.path, environment={"SGOPED_QUIET_SECONDS": "600", "SGOPED_MAX_DELAY_SECONDS": "600"}
    )
    daemon.request("POST", "/api/refresh", {})
    (sick.memory / "new.md").write_text("a new thought about quinces")
    (sick.memory / "plans.txt").write_text("other plans, and longer ones")
    (sick.memory / "letters" / "aunt.txt").unlink()
    found = sick.expect("index_behind", fixed=True)
    assert "3 files: 1 missing, 1 gone, 1 changed" in found["what"]
    status, hits = daemon.request("GET", "/api/search?q=quinces")
    assert (status, [hit["path"] for hit in hits["hits"]]) == (200, ["new.md"])


def test_in_a_great_folder_the_catalogue_is_compared(
    sick: Home, start_daemon: Callable[..., DaemonProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sgoped.doctor.index.MAX_LISTED", 0)
    daemon = start_daemon(
        sick.path, environment={"SGOPED_QUIET_SECONDS": "600", "SGOPED_MAX_DELAY_SECONDS": "600"}
    )
    daemon.request("POST", "/api/refresh", {})
    assert sick.doctor().wrong() == set()
    (sick.memory / "plans.txt").write_text("other plans, and longer ones")
    (sick.memory / "letters" / "aunt.txt").unlink()
    found = sick.expect("index_behind", fixed=True)
    assert "2 files: 0 missing, 1 gone, 1 changed" in found["what"]


def test_a_change_of_the_last_moment_is_no_fault(
    sick: Home, start: Callable[[], DaemonProcess]
) -> None:
    start()
    (sick.memory / "new.md").write_text("new")
    report = sick.doctor()
    assert (report.exit_code, report.wrong()) == (0, set())


def test_the_folder_that_a_daemon_was_told_by_a_flag_is_the_one_compared(
    sick: Home, tmp_path: Path, start_daemon: Callable[..., DaemonProcess]
) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "one.md").write_text("a single marvellous note")
    daemon = start_daemon(sick.path, arguments=["--memory-dir", str(notes)])
    daemon.request("POST", "/api/refresh", {})
    report = sick.doctor()
    assert report.one("index_equal")["where"] == str(notes)
    assert report.exit_code == 0
    assert daemon.stop() == 0
    assert sick.doctor().one("index_equal")["where"] == str(notes)
