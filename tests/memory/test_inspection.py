from __future__ import annotations

import os
from pathlib import Path

import pytest

from sgoped.memory.bodies import BodyIndex
from sgoped.memory.index import IndexBrokenError, directory_name
from sgoped.memory.inspection import agrees, foreign_directories, read_index
from sgoped.memory.kept import UNKNOWN_COUNT
from sgoped.memory.names import NameIndex


def seen(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.lstat().st_mtime_ns, path.lstat().st_ctime_ns)
        for path in (folder, *folder.rglob("*"))
    }


@pytest.fixture
def index_dir(tmp_path: Path) -> Path:
    names, bodies = NameIndex(tmp_path), BodyIndex(tmp_path)
    names.add_path(7, "garden/Caf\u00e9.md")
    bodies.add_text(7, "garden/Caf\u00e9.md", "Tulips bloom in April.")
    for index in (names, bodies):
        index.commit()
        index.close()
    return tmp_path


def test_what_an_index_holds_is_found_and_what_it_does_not_is_not(index_dir: Path) -> None:
    with read_index(index_dir, "names") as names, read_index(index_dir, "bodies") as bodies:
        assert names.holds_name(7, "garden/Caf\u00e9.md")
        assert not names.holds_name(8, "garden/Caf\u00e9.md")
        assert not names.holds_name(7, "garden/other.md")
        assert bodies.holds_word(7, "tulips")
        assert not bodies.holds_word(7, "roses")
        assert (names.count, bodies.count) == (1, 1)


def test_reading_leaves_no_trace_and_needs_no_lock(index_dir: Path) -> None:
    before = seen(index_dir)
    with read_index(index_dir, "names") as names:
        assert names.count == 1
    assert seen(index_dir) == before
    writing = NameIndex(index_dir)
    with read_index(index_dir, "names") as names:
        assert names.count == writing.count == 1


def test_a_broken_index_and_a_missing_one_are_told_apart(index_dir: Path) -> None:
    (index_dir / directory_name("names") / "meta.json").write_text("{")
    with pytest.raises(IndexBrokenError), read_index(index_dir, "names"):
        pass
    with pytest.raises(FileNotFoundError), read_index(index_dir / "nowhere", "names"):
        pass


def test_an_index_agrees_unless_it_is_older_or_of_another_size(index_dir: Path) -> None:
    with read_index(index_dir, "names") as names:
        assert agrees(names, names.stamp, 1)
        assert agrees(names, names.stamp, UNKNOWN_COUNT)
        assert agrees(names, names.stamp - 1, 99)
        assert not agrees(names, names.stamp, 2)
        assert not agrees(names, names.stamp + 1, 1)


def test_indexes_of_other_versions_are_known(index_dir: Path) -> None:
    assert foreign_directories(index_dir) == []
    (index_dir / "names-1-0.1.0").mkdir()
    assert foreign_directories(index_dir) == [index_dir / "names-1-0.1.0"]


def test_a_lock_that_is_made_while_all_is_cleared_away_is_no_damage(
    index_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tantivy watches what it opens in a thread of its own, which may lock it just then."""
    real, folders = os.rmdir, []

    def rmdir(path: str, **options: int) -> None:
        if not folders:
            folders.append(Path(path))
            (folders[0] / ".tantivy-meta.lock").touch()
        real(path, **options)

    monkeypatch.setattr(os, "rmdir", rmdir)
    with read_index(index_dir, "names") as names:
        assert names.count == 1
    assert not folders[0].exists()
