from __future__ import annotations

import shutil
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database as Tables

from sgoped.database import open_database, reading
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


def killed_database(folder: Path) -> Path:
    """As a kill leaves one: a row is in the log only, and others could read both files."""
    path, left = folder / "open.db", folder / "left.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute("create table told (word text)")
        connection.commit()
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{path}{suffix}", f"{left}{suffix}")
            Path(f"{left}{suffix}").chmod(0o644)
    return left


def seen(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


@pytest.mark.parametrize("beside", [False, True])
def test_reading_a_log_changes_nothing_and_leaves_no_copy(tmp_path: Path, *, beside: bool) -> None:
    path = killed_database(tmp_path)
    copy = tmp_path / "copy.db" if beside else None
    before = seen(tmp_path)
    with reading(path, copy=copy) as connection:
        assert connection.execute("select * from told").fetchall() == []
        (name,) = (row[2] for row in connection.execute("pragma database_list"))
        assert not beside or name == str(copy)
        assert Path(name) != path
        copies = list(Path(name).parent.glob(f"{Path(name).name}*"))
        assert {file.stat().st_mode & 0o777 for file in copies} == {0o600}
        assert len(copies) > 1
    assert seen(tmp_path) == before
    assert not Path(name).exists()


def test_reading_without_a_log_makes_no_file(tmp_path: Path) -> None:
    path = killed_database(tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma wal_checkpoint")
    before = seen(tmp_path)
    with reading(path) as connection:
        assert connection.execute("select * from told").fetchall() == []
        assert seen(tmp_path) == before


def test_reading_beside_a_writer_sees_what_it_committed(tmp_path: Path) -> None:
    path = tmp_path / "live.db"
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("pragma journal_mode = wal")
        writer.execute("create table told (word text)")
        with writer:
            writer.execute("insert into told values ('yes')")
        with reading(path, live=True) as connection:
            assert connection.execute("select * from told").fetchall() == [("yes",)]
            with pytest.raises(sqlite3.OperationalError):
                connection.execute("delete from told")
