from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sgoped.state import ServiceRow, open_state, opening
from sgoped.state.backups import DAY_SECONDS, KEPT_DAYS, Backups, UnsoundSourceError
from sgoped.state.facts import STEPS as ALL_STEPS
from tests.state.test_recovery import SERVICE, garble_a_page

STEPS = frozenset(step.__name__ for step in ALL_STEPS)


class Clock:
    """A clock that goes where it is told; files are dated by it as well."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def backups(tmp_path: Path, clock: Clock) -> Backups:
    return Backups(tmp_path / "backups", STEPS, clock)


@pytest.fixture
async def database(tmp_path: Path) -> Path:
    path = tmp_path / "state.db"
    async with open_state(path, tmp_path / "others") as state:
        await state.save_service(SERVICE)
        for number in range(200):
            await state.save_use(f"{number} {'x' * 200}", 1.0, 1.0)
    return path


@pytest.fixture
def connection(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(database)) as connection:
        yield connection


def make(backups: Backups, connection: sqlite3.Connection, clock: Clock) -> list[str]:
    """Make one at the clock's time; the names of the daily ones, newest first."""
    before = set(backups.newest_first())
    backups.make(connection)
    for path in set(backups.newest_first()) - before - {backups.latest}:
        os.utime(path, (clock.now, clock.now))
    return [path.name for path in backups.newest_first() if path != backups.latest]


def services_in(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [id_ for (id_,) in connection.execute("select id from service")]


def test_a_copy_is_whole_private_and_alone(
    backups: Backups, connection: sqlite3.Connection, clock: Clock
) -> None:
    make(backups, connection, clock)
    assert backups.newest_sound() == backups.latest
    for path in backups.latest.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.suffix == ".db"
        assert services_in(path) == [SERVICE.id]


def test_there_is_one_a_day_and_three_are_kept(
    backups: Backups, connection: sqlite3.Connection, clock: Clock
) -> None:
    seen: list[str] = []
    names: list[str] = []
    for _ in range(2 * KEPT_DAYS):
        names = make(backups, connection, clock)
        seen.append(names[0])
        clock.now += DAY_SECONDS - 1
        assert make(backups, connection, clock) == names
        clock.now += 1
    assert seen == sorted(set(seen))
    assert names == seen[: -KEPT_DAYS - 1 : -1]


@pytest.mark.parametrize("jump", [-10 * 365 * DAY_SECONDS, 10 * 365 * DAY_SECONDS])
def test_a_jump_of_the_clock_stops_nothing_and_the_newest_stays_the_newest(
    backups: Backups, connection: sqlite3.Connection, clock: Clock, jump: float
) -> None:
    first = make(backups, connection, clock)
    clock.now += jump
    second = make(backups, connection, clock)
    assert second == sorted([*second[:1], *first], reverse=True)
    assert len(second) == 2
    clock.now += DAY_SECONDS / 2
    assert make(backups, connection, clock) == second
    clock.now += DAY_SECONDS / 2
    third = make(backups, connection, clock)
    assert len(third) == 3
    assert third[1:] == second


def test_a_damaged_database_is_never_a_backup(
    backups: Backups, connection: sqlite3.Connection, database: Path, clock: Clock
) -> None:
    names = make(backups, connection, clock)
    garble_a_page(database)
    clock.now += 2 * DAY_SECONDS
    with closing(sqlite3.connect(database)) as damaged, pytest.raises(UnsoundSourceError):
        backups.make(damaged)
    assert [path.name for path in backups.newest_first()] == [backups.latest.name, *names]
    assert services_in(backups.latest) == [SERVICE.id]
    assert {path.suffix for path in backups.latest.parent.iterdir()} == {".db"}


def test_rotten_copies_push_out_no_good_one(
    backups: Backups, connection: sqlite3.Connection, clock: Clock
) -> None:
    good = make(backups, connection, clock)[0]
    for day in range(KEPT_DAYS - 1):
        clock.now += DAY_SECONDS
        rotten = make(backups, connection, clock)[0]
        (backups.latest.parent / rotten).write_bytes(b"rotten" * (1000 + day))
    clock.now += DAY_SECONDS
    assert good in make(backups, connection, clock)


def test_foreign_files_in_the_folder_are_left_alone(
    backups: Backups, connection: sqlite3.Connection, clock: Clock
) -> None:
    backups.latest.parent.mkdir()
    mine = backups.latest.parent / "state-before-the-move.db"
    mine.write_text("a person's own")
    for _ in range(5):
        make(backups, connection, clock)
        clock.now += DAY_SECONDS
    assert mine.read_text() == "a person's own"


async def until_backed_up(latest: Path, service: str) -> None:
    while not latest.exists() or service not in services_in(latest):  # noqa: ASYNC110 - a file
        await asyncio.sleep(0.01)


async def test_a_change_is_backed_up_soon_and_without_waiting_for_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(opening, "MIN_INTERVAL_SECONDS", 0.0)
    latest = tmp_path / "backups" / "state-latest.db"
    async with open_state(tmp_path / "state.db", tmp_path / "backups") as state:
        for number in range(3):
            row = ServiceRow(f"s{number}", "ollama", "S", enabled=True, config={})
            await state.save_service(row)
            async with asyncio.timeout(10):
                await until_backed_up(latest, row.id)


async def test_what_a_kill_kept_from_the_backup_is_in_it_after_the_next_stop(
    tmp_path: Path,
) -> None:
    path, backups = tmp_path / "state.db", tmp_path / "backups"
    async with open_state(path, backups):
        pass
    program = (
        "import asyncio, os, sys; from pathlib import Path\n"
        "from sgoped.state import ServiceRow, open_state\n"
        "async def main():\n"
        "    async with open_state(Path(sys.argv[1]), Path(sys.argv[2])) as state:\n"
        "        await state.save_service(\n"
        "            ServiceRow('late', 'ollama', 'Late', enabled=True, config={}))\n"
        "        os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", program, str(path), str(backups)]
    done = await asyncio.to_thread(subprocess.run, command, cwd=Path.cwd(), check=False)
    assert done.returncode == -9
    assert services_in(backups / "state-latest.db") == []
    async with open_state(path, backups) as state:
        assert [row.id for row in await state.load_services()] == ["late"]
    assert services_in(backups / "state-latest.db") == ["late"]


async def test_a_restart_on_the_same_day_makes_no_other_daily_copy(tmp_path: Path) -> None:
    path, backups = tmp_path / "state.db", tmp_path / "backups"
    for _ in range(3):
        async with open_state(path, backups) as state:
            await state.set_value("time", str(time.time()))
    assert len(list(backups.iterdir())) == 2


async def test_a_full_disk_spoils_no_backup(tmp_path: Path) -> None:
    path, backups = tmp_path / "state.db", tmp_path / "backups"
    async with open_state(path, backups) as state:
        await state.save_service(SERVICE)
    (backups / "state.partial").mkdir()  # nothing can be written there
    async with open_state(path, backups) as state:
        await state.delete_service(SERVICE.id)
    assert services_in(backups / "state-latest.db") == [SERVICE.id]


async def test_backups_out_of_reach_stop_neither_a_start_nor_what_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path, folder = tmp_path / "state.db", tmp_path / "backups"
    async with open_state(path, folder) as state:
        await state.save_service(SERVICE)
    real = Path.iterdir

    def iterdir(self: Path) -> Iterator[Path]:
        if self == folder:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return real(self)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    monkeypatch.setattr(opening, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(opening, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(opening, "MIN_INTERVAL_SECONDS", 0.0)
    async with open_state(path, folder) as state, asyncio.timeout(20):
        while caplog.text.count("could not be backed up") < 3:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.02)
        assert await state.load_services() == [SERVICE]
