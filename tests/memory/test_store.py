from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from sgoped.memory.document import Kind
from sgoped.memory.scanner import Entry
from sgoped.memory.store import IndexClaim, IndexMark, open_store
from sgoped.memory.table import FileStatus, PathTable

MARK = IndexMark(IndexClaim("names", 3, 5, {"a": 1}), IndexClaim("bodies", 4, 6), 70, 8)


def filled() -> PathTable:
    table = PathTable()
    folder = Entry("d", "folder", 4096, 1, 2, 3)
    table.add("", folder, Kind.FOLDER, FileStatus.INDEXED)
    table.add("d", Entry("odd\udcff\n.txt", "file", 2**40, -5, 2**62, 2**63 + 1), Kind.TEXT)
    pid = table.add("d", Entry("b.bin", "file", 0, 0, 0, 0), Kind.TEXT)
    table.settle(pid, Kind.BINARY, FileStatus.SKIPPED, "binary")
    return table


def told(table: PathTable) -> list[object]:
    return [
        (
            table.path(pid),
            table.kind(pid),
            table.statuses[pid],
            table.sizes[pid],
            table.mtimes_ns[pid],
            table.ctimes_ns[pid],
            table.inodes[pid],
            table.reasons.get(pid),
            pid,
        )
        for pid in table.pids()
    ]


async def test_what_is_saved_is_loaded_with_every_column(tmp_path: Path) -> None:
    table = filled()
    async with open_store(tmp_path / "c.db") as store:
        await asyncio.to_thread(store.save, table, ["", "d"], MARK)
    loaded = PathTable()
    async with open_store(tmp_path / "c.db") as store:
        assert await asyncio.to_thread(store.load, loaded) == MARK
    assert told(loaded) == told(table)
    assert loaded.next_pid == MARK.next_pid


async def test_an_emptied_directory_leaves_no_row(tmp_path: Path) -> None:
    table = filled()
    async with open_store(tmp_path / "c.db") as store:
        await asyncio.to_thread(store.save, table, ["", "d"], MARK)
        table.remove(table.find("d") or 0)
        await asyncio.to_thread(store.save, table, ["", "d"], MARK)
        loaded = PathTable()
        await asyncio.to_thread(store.load, loaded)
    assert len(loaded) == 0


@pytest.mark.parametrize("damage", [b"", b"garbage" * 500, b"SQLite format 3\0" + b"\xff" * 4000])
async def test_a_catalogue_that_is_no_database_is_replaced_by_an_empty_one(
    tmp_path: Path, damage: bytes
) -> None:
    (tmp_path / "c.db").write_bytes(damage)
    async with open_store(tmp_path / "c.db") as store:
        assert await asyncio.to_thread(store.load, PathTable()) == IndexMark()


async def test_a_directory_that_grew_later_is_loaded_with_every_column(tmp_path: Path) -> None:
    table = filled()
    for number in range(3):
        for directory in ("", "d", "new"):
            table.add(directory, Entry(f"later{number}", "file", number, 5, 6, 7), Kind.TEXT)
    table.remove(table.find("d/later1") or 0)
    mark = replace(MARK, next_pid=table.next_pid)
    async with open_store(tmp_path / "c.db") as store:
        await asyncio.to_thread(store.save, table, table.directories(), mark)
        loaded = PathTable()
        await asyncio.to_thread(store.load, loaded)
    assert told(loaded) == told(table)
    assert loaded.kind_counts == table.kind_counts
    assert loaded.status_counts == table.status_counts
    for path in ("later2", "d/later2", "new/later0", "d/later1"):
        assert loaded.find(path) == table.find(path)
    assert sorted(loaded.namesakes("later1")) == sorted(table.namesakes("later1"))


DAMAGES = (
    "update directory set packed = substr(packed, 1, 30)",
    "update directory set packed = cast(x'00' || substr(packed, 2) as blob)",
    # the high byte of the first pid
    (
        "update directory set packed = "
        "cast(substr(packed, 1, 11) || x'80' || substr(packed, 13) as blob)"
    ),
    # a status: what was not indexed would be taken for indexed
    (
        "update directory set packed = cast(substr(packed, 1, length(packed) - 6) "
        "|| x'01' || substr(packed, length(packed) - 4) as blob)"
    ),
    "update directory set path = x'65' where path = x'64'",
    'update directory set reasons = \'{"1": "another"}\'',
    "delete from directory where path = x'64'",
    "delete from mark",
    "update mark set mark = replace(mark, '70', '71')",
    "update mark set mark = replace(mark, '70', '7000000000')",
)


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_row_is_an_error_the_caller_can_catch(tmp_path: Path, damage: str) -> None:
    async with open_store(tmp_path / "c.db") as store:
        await asyncio.to_thread(store.save, filled(), ["", "d"], MARK)
    with closing(sqlite3.connect(tmp_path / "c.db")) as connection, connection:
        connection.execute(damage)
    async with open_store(tmp_path / "c.db") as store:
        with pytest.raises((ValueError, IndexError)):
            await asyncio.to_thread(store.load, PathTable())


async def test_rows_that_contradict_each_other_are_an_error(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        await asyncio.to_thread(store.save, filled(), ["", "d"], MARK)
        other = PathTable()
        other.add("other", Entry("x", "file", 1, 2, 3, 4), Kind.TEXT)
        await asyncio.to_thread(store.save, other, ["other"], MARK)
        with pytest.raises(ValueError, match="share a pid"):
            await asyncio.to_thread(store.load, PathTable())
        few = replace(MARK, next_pid=2)
        await asyncio.to_thread(store.save, filled(), ["", "d", "other"], few)
        with pytest.raises((ValueError, IndexError)):
            await asyncio.to_thread(store.load, PathTable())


async def test_a_catalogue_of_another_format_is_replaced(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        await asyncio.to_thread(store.save, filled(), ["", "d"], MARK)
    with closing(sqlite3.connect(tmp_path / "c.db")) as connection, connection:
        connection.execute("update _sqlite_migrations set name = 'create_catalogue'")
    async with open_store(tmp_path / "c.db") as store:
        assert await asyncio.to_thread(store.load, PathTable()) == IndexMark()


async def test_a_catalogue_that_is_out_of_reach_was_not_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(tmp_path / "catalogue.db") as store:
        assert not store.vanished

        def is_file(_: Path) -> bool:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        with monkeypatch.context() as patch:
            patch.setattr(Path, "is_file", is_file)
            assert not store.vanished
        (tmp_path / "catalogue.db").unlink()
        assert store.vanished
