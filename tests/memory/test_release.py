from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from sgoped.memory import worker as worker_module
from sgoped.memory.release import release_memory
from sgoped.memory.store import open_store
from sgoped.memory.worker import IndexWorker


def test_memory_is_given_back_where_the_c_library_can(monkeypatch: pytest.MonkeyPatch) -> None:
    release_memory()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    release_memory()


async def test_memory_is_given_back_once_nothing_is_merged_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/a.txt").write_text("words")
    released: list[int] = []
    monkeypatch.setattr(worker_module, "release_memory", lambda: released.append(1))
    async with open_store(tmp_path / "catalogue.db") as store:
        worker = IndexWorker(tmp_path / "root", tmp_path / "index", store, 1_000_000)
        worker.begin_scan(lambda path, error: None)
        worker.continue_scan()
        worker.step()
        assert worker.tidy()
        assert not released
        monkeypatch.setattr(worker_module, "MERGE_SECONDS", 0.0)
        assert not worker.tidy()
        assert released
        worker.close()
