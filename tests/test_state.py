from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from sgoped.errors import StorageError
from sgoped.state import ServiceRow, open_state

ROW = ServiceRow("home", "ollama", "At home", enabled=True, config={"host": "h", "api_key": "k"})


async def test_services_keep_their_order_and_survive_reopening(tmp_path: Path) -> None:
    path, backups = tmp_path / "state.db", tmp_path / "backups"
    other = ServiceRow("other", "openai", "Other", enabled=False, config={})
    async with open_state(path, backups) as state:
        await state.save_service(ROW)
        await state.save_service(other)
        await state.save_service(ServiceRow("home", "ollama", "Renamed", enabled=True, config={}))
    async with open_state(path, backups) as state:
        rows = await state.load_services()
        assert [(row.id, row.name) for row in rows] == [("home", "Renamed"), ("other", "Other")]
        assert await state.delete_service("home")
        assert not await state.delete_service("home")
        assert await state.load_services() == [other]


def test_a_service_row_does_not_show_its_key() -> None:
    assert "'k'" not in repr(ROW)


async def test_values_and_uses_survive_reopening(tmp_path: Path) -> None:
    path, backups = tmp_path / "state.db", tmp_path / "backups"
    async with open_state(path, backups) as state:
        await state.set_value("default_model", "m")
        await state.set_value("gone", "x")
        await state.set_value("gone", None)
        await state.save_use("odd\udcff.txt", 2.5, 100.0)
    async with open_state(path, backups) as state:
        assert await state.get_value("default_model") == "m"
        assert await state.get_value("gone") is None
        assert await state.load_uses() == {"odd\udcff.txt": (2.5, 100.0)}


async def test_a_damaged_file_is_moved_aside_and_the_newest_backup_takes_its_place(
    tmp_path: Path,
) -> None:
    path, backups = tmp_path / "state.db", tmp_path / "backups"
    async with open_state(path, backups) as state:
        await state.save_service(ROW)
    # A second start backs up what the first one saved.
    for backup in backups.iterdir():
        backup.unlink()
    async with open_state(path, backups) as state:
        await state.load_services()
        assert state.recovery == ""
    assert [stat.S_IMODE(file.stat().st_mode) for file in backups.iterdir()] == [0o600]
    path.write_bytes(b"not a database, not at all" * 100)
    async with open_state(path, backups) as state:
        assert await state.load_services() == [ROW]
        assert "restored" in state.recovery
    damaged = list(tmp_path.glob("state.db.damaged-*"))
    assert [file.read_bytes()[:14] for file in damaged] == [b"not a database"]


async def test_a_damaged_file_without_a_good_backup_means_a_fresh_start(tmp_path: Path) -> None:
    path, backups = tmp_path / "state.db", tmp_path / "backups"
    backups.mkdir()
    (backups / "state-20260101-000000.db").write_bytes(b"garbled" * 1000)
    path.write_bytes(b"garbage" * 1000)
    async with open_state(path, backups) as state:
        assert await state.load_services() == []
        assert "started afresh" in state.recovery
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma quick_check").fetchone() == ("ok",)


async def test_a_database_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    async with open_state(tmp_path / "state.db", tmp_path / "backups") as state:
        await state._database.run(lambda c: c.execute("pragma max_page_count = 1"))
        with pytest.raises(StorageError) as failure:
            await state.set_value("key", "x" * 100_000)
        assert failure.value.code == "storage_full"
        assert await state.get_value("key") is None
