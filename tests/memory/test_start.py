from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sgoped.config import Settings
from sgoped.events import Bus
from sgoped.memory import open_memory, worker
from sgoped.memory.scanner import Entry, scan_tree
from sgoped.state import open_state
from tests.memory.opening import found, opened, paths_below


async def test_what_was_known_is_found_before_the_folder_was_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = paths_below(tmp_path)
    for name, text in (("kept.txt", "steady words"), ("gone.txt", "words")):
        (paths.memory_dir / name).write_text(text)
    async with opened(tmp_path):
        pass
    (paths.memory_dir / "gone.txt").unlink()
    (paths.memory_dir / "late.txt").write_text("late words")
    go_on = threading.Event()

    def held_up(*args: Any, **options: Any) -> Iterator[tuple[str, list[Entry]]]:
        go_on.wait()
        yield from scan_tree(*args, **options)

    monkeypatch.setattr(worker, "scan_tree", held_up)
    async with open_state(paths.state_db, paths.backups_dir) as state:
        try:
            async with open_memory(paths, Settings(), state, Bus()) as memory:
                assert not memory.index_status().verified
                assert await found(memory, "kept") == ["kept.txt"]
                assert await found(memory, "gone") == ["gone.txt"]
                assert [hit.document.path for hit in await memory.search("steady")] == ["kept.txt"]
                go_on.set()
                await memory.refresh()
                assert memory.index_status().verified
                assert await found(memory, "gone") == []
                assert await found(memory, "late") == ["late.txt"]
        finally:
            go_on.set()
