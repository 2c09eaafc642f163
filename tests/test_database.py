from __future__ import annotations

import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from sqlite_utils import Database as Tables

from sgoped.database import open_database
from sgoped.errors import StartupError


def create_note(tables: Tables) -> None:
    tables.execute("create table note (text text)")


def add_author(tables: Tables) -> None:
    tables.execute("alter table note add column author text")


def fail(tables: Tables) -> None:
    tables.execute("create table half (text text)")
    raise RuntimeError("step failed")


async def test_all_work_runs_in_one_thread_that_is_not_the_callers(tmp_path: Path) -> None:
    async with open_database(tmp_path / "a.db", [create_note]) as database:
        threads = {await database.run(lambda _: threading.get_ident()) for _ in range(5)}
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_what_is_written_is_there_after_reopening_and_the_file_is_private(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.db"
    async with open_database(path, [create_note]) as database:
        await database.run(lambda c: c.execute("insert into note values ('kept')"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    async with open_database(path, [create_note, add_author]) as database:
        rows = await database.run(lambda c: c.execute("select text, author from note").fetchall())
    assert rows == [("kept", None)]


async def test_work_that_raises_leaves_nothing_behind(tmp_path: Path) -> None:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("insert into note values ('lost')")
        raise RuntimeError("on purpose")

    async with open_database(tmp_path / "a.db", [create_note]) as database:
        with pytest.raises(RuntimeError, match="on purpose"):
            await database.run(work)
        assert await database.run(lambda c: c.execute("select * from note").fetchall()) == []


async def test_a_step_that_fails_is_undone_and_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with pytest.raises(RuntimeError, match="step failed"):
        async with open_database(path, [create_note, fail]):
            pass
    async with open_database(path, [create_note]) as database:
        tables = await database.run(
            lambda c: {name for (name,) in c.execute("select name from sqlite_master")}
        )
    assert "note" in tables
    assert "half" not in tables


async def test_a_newer_schema_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with open_database(path, [create_note, add_author]):
        pass
    before = path.read_bytes()
    with pytest.raises(StartupError, match="newer") as failure:
        async with open_database(path, [create_note]):
            pass
    assert failure.value.exit_code == 78
    assert path.read_bytes() == before
