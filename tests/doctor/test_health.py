"""What a running daemon tells of itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from sgoped.config import Settings
from sgoped.doctor import Finding, Instance, Subject
from sgoped.doctor.health import check_index_health, check_watcher
from sgoped.paths import resolve_paths
from tests.conftest import StartDaemon
from tests.doctor.homes import Home, nobody
from tests.doctor.test_index import index_dir, largest
from tests.processes import DaemonProcess

GOOD: dict[str, dict[str, object]] = {
    "watcher": {"state": "native", "reason": "", "since": 1.0, "last_trouble": None},
    "index": {
        "problem": "",
        "problem_since": None,
        "verified": True,
        "checked": True,
        "last_repair": None,
        "embedding": {"model": "", "state": "off", "embedded": 0, "total": 0},
    },
}


def told(
    check: Callable[[Subject], Iterable[Finding]], home: Home, part: str, **changed: object
) -> dict[str, str]:
    """Severity by code, when the daemon tells what is good but for ``changed``."""
    instance = Instance(health=GOOD | {part: GOOD[part] | changed})
    subject = Subject(Settings(), (), resolve_paths(home.path), instance, nobody)
    return {found.code: str(found.severity) for found in check(subject)}


def test_what_the_watcher_went_through_is_told(tmp_path: Path) -> None:
    home = Home(tmp_path)
    trouble = {"reason": "the machine slept", "at": 1.0}
    assert told(check_watcher, home, "watcher") == {}
    assert told(check_watcher, home, "watcher", last_trouble=trouble) == {
        "watcher_troubled": "note"
    }
    polling = {"state": "polling", "reason": "out of watches"}
    now = {"reason": "out of watches", "at": 1.0}
    assert told(check_watcher, home, "watcher", **polling, last_trouble=now) == {"polling": "note"}
    lost = {"state": "degraded", "reason": "the folder is missing"}
    assert told(check_watcher, home, "watcher", **lost) == {"not_watched": "problem"}


def until_watcher_is(daemon: DaemonProcess, state: str) -> None:
    deadline = time.monotonic() + 30
    while daemon.request("GET", "/health")[1]["watcher"]["state"] != state:
        assert time.monotonic() < deadline, daemon.log()
        time.sleep(0.05)


def test_a_folder_that_was_away_for_a_while_is_told(sick: Home, start_daemon: StartDaemon) -> None:
    away = sick.path / "away"
    daemon = start_daemon(sick.path, environment={"SGOPED_POLL_SECONDS": "0.1"})
    until_watcher_is(daemon, "native")
    sick.memory.rename(away)
    until_watcher_is(daemon, "degraded")
    assert {"folder_missing", "not_watched"} <= sick.doctor().wrong()
    away.rename(sick.memory)
    until_watcher_is(daemon, "native")
    assert daemon.request("POST", "/api/refresh", {})[0] == 200
    report = sick.doctor()
    assert (report.exit_code, report.wrong()) == (0, set())
    assert "is missing" in report.one("watcher_troubled")["what"]


def test_what_is_wrong_with_the_index_is_told(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert told(check_index_health, home, "index") == {}
    waits = {"model": "a/b", "state": "waiting: Connection failed", "embedded": 0, "total": 9}
    assert told(check_index_health, home, "index", embedding=waits) == {"embedding_waits": "note"}
    assert told(check_index_health, home, "index", checked=False) == {"index_unchecked": "note"}
    assert told(check_index_health, home, "index", checked=False, verified=False) == {}
    full = {"problem": "the disk is full", "problem_since": 1.0}
    assert told(check_index_health, home, "index", **full) == {"index_problem": "problem"}


def test_an_index_that_was_made_again_is_told(
    sick: Home, start: Callable[[], DaemonProcess]
) -> None:
    path = largest(index_dir(sick, "bodies"), ".store")
    path.write_bytes(b"\xff" + path.read_bytes()[1:])
    start()
    report = sick.doctor()
    assert (report.exit_code, report.wrong()) == (0, set())
    assert path.name in report.one("index_repaired")["what"]
    assert {"index_equal", "index_proven"} <= report.codes()
