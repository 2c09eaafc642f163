from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from sgoped.memory.bodies import BodyIndex
from sgoped.memory.index import IndexBrokenError, directory_name
from sgoped.memory.inspection import foreign_directories, read_index, read_through
from sgoped.memory.kept import UNKNOWN_COUNT, disagreement
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
        assert (names.found.count, bodies.found.count) == (1, 1)


def test_reading_leaves_no_trace_and_needs_no_lock(index_dir: Path) -> None:
    before = seen(index_dir)
    with read_index(index_dir, "names") as names:
        assert names.found.count == 1
    assert seen(index_dir) == before
    writing = NameIndex(index_dir)
    with read_index(index_dir, "names") as names:
        assert names.found.count == writing.count == 1
        assert names.found.identity == writing.identity != ""


def test_a_broken_index_and_a_missing_one_are_told_apart(index_dir: Path) -> None:
    (index_dir / directory_name("names") / "meta.json").write_text("{")
    with pytest.raises(IndexBrokenError), read_index(index_dir, "names"):
        pass
    with pytest.raises(FileNotFoundError), read_index(index_dir / "nowhere", "names"):
        pass


def test_an_index_is_the_catalogues_unless_it_is_older_or_another(index_dir: Path) -> None:
    with read_index(index_dir, "names") as names, read_index(index_dir, "bodies") as bodies:
        found = names.found
        assert disagreement(found, found) == ""
        assert disagreement(replace(found, count=UNKNOWN_COUNT), found) == ""
        assert disagreement(replace(found, stamp=found.stamp - 1, count=99), found) == ""
        assert disagreement(replace(found, checksums={"merged.idx": 1}), found) == ""
        assert "another one" in disagreement(bodies.found, found)
        assert "2 it should" in disagreement(replace(found, count=2), found)
        assert "older" in disagreement(replace(found, stamp=found.stamp + 1), found)
        file = next(iter(found.checksums))
        assert file in disagreement(replace(found, checksums={file: 1}), found)


def test_an_index_is_read_through_for_as_long_as_there_is_time(index_dir: Path) -> None:
    assert read_through(index_dir, "bodies", 60.0) == ""
    file = next((index_dir / directory_name("bodies")).glob("*.store"))
    file.write_bytes(b"\xff" + file.read_bytes()[1:])
    assert file.name in read_through(index_dir, "bodies", 60.0)
    assert read_through(index_dir, "bodies", -1.0) == ""
    with pytest.raises(FileNotFoundError):
        read_through(index_dir / "nowhere", "bodies", 60.0)


def test_indexes_of_other_versions_are_known(index_dir: Path) -> None:
    assert foreign_directories(index_dir) == []
    (index_dir / "names-1-0.1.0").mkdir()
    assert foreign_directories(index_dir) == [index_dir / "names-1-0.1.0"]


def test_a_lock_that_is_made_while_all_is_cleared_away_is_no_damage(
    index_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tantivy watches what it opens in a thread of its own, which may lock it just then."""
    real = os.rmdir
    folders: list[Path] = []

    def rmdir(path: str, **options: int) -> None:
        if not folders:
            folders.append(Path(path))
            (folders[0] / ".tantivy-meta.lock").touch()
        real(path, **options)

    monkeypatch.setattr(os, "rmdir", rmdir)
    with read_index(index_dir, "names") as names:
        assert names.found.count == 1
    assert not folders[0].exists()
