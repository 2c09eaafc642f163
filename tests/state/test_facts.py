from __future__ import annotations

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


async def test_a_database_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    async with open_state(tmp_path / "state.db", tmp_path / "backups") as state:
        await state._database.run(lambda c: c.execute("pragma max_page_count = 1"))
        with pytest.raises(StorageError) as failure:
            await state.set_value("key", "x" * 100_000)
        assert failure.value.code == "storage_full"
        assert await state.get_value("key") is None


async def test_damage_found_later_is_told_and_repaired_by_the_next_start(tmp_path: Path) -> None:
    path, backups = tmp_path / "state.db", tmp_path / "backups"
    async with open_state(path, backups) as state:
        await state.save_service(ROW)
    async with open_state(path, backups) as state:
        await state._database.run(lambda c: c.execute("pragma cache_size = 0").fetchall())
        path.write_bytes(path.read_bytes()[:4096] + b"\xaa" * (path.stat().st_size - 4096))
        with pytest.raises(StorageError, match="restart sgoped"):
            await state.load_services()
        assert "restart sgoped" in state.problem
        with pytest.raises(StorageError) as failure:
            await state.save_service(ServiceRow("b", "ollama", "B", enabled=True, config={}))
        assert failure.value.code == "storage_failed"
    async with open_state(path, backups) as state:
        assert await state.load_services() == [ROW]
        assert "restored" in state.recovery
        assert state.problem == ""
