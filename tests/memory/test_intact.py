from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sgoped.memory.intact import NOTE
from sgoped.memory.names import NameIndex


def filled(root: Path) -> Path:
    """The directory of an index that holds a document, was closed, and has no note."""
    index = NameIndex(root)
    index.add_path(1, "a/notes.txt", 1, folder=False)
    index.commit()
    index.close()
    (directory,) = root.iterdir()
    return directory


def parts(directory: Path) -> list[str]:
    return sorted(file.name for file in directory.iterdir() if len(file.stem) == 32)


@pytest.mark.parametrize("noted", [False, True])
@pytest.mark.parametrize("damage", ["deleted", "cut", "emptied", "flipped"])
@pytest.mark.parametrize("part", range(6))
def test_an_index_with_a_damaged_file_is_begun_anew(
    tmp_path: Path, part: int, damage: str, *, noted: bool
) -> None:
    directory = filled(tmp_path)
    file = directory / parts(directory)[part]
    if not noted:
        (directory / NOTE).unlink()
    data = bytearray(file.read_bytes())
    if damage == "deleted":
        file.unlink()
    elif damage == "flipped":
        data[len(data) // 4] ^= 1
        file.write_bytes(data)
    else:
        file.write_bytes(data[: len(data) // 2] if damage == "cut" else b"")
    index = NameIndex(tmp_path)
    assert index.untouched
    index.close()


@pytest.mark.parametrize("noted", [False, True])
def test_an_index_that_is_whole_is_kept(tmp_path: Path, *, noted: bool) -> None:
    directory = filled(tmp_path)
    assert set(json.loads((directory / NOTE).read_bytes())) == set(parts(directory))
    if not noted:
        (directory / NOTE).write_bytes(b"[" * 100_000)
    index = NameIndex(tmp_path)
    assert index.by_start("notes", 10) == [1]
    index.close()
    assert set(json.loads((directory / NOTE).read_bytes())) == set(parts(directory))


def test_a_file_is_read_but_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path)
    read: list[Path] = []
    monkeypatch.setattr("sgoped.memory.intact._verify", read.append)
    index = NameIndex(tmp_path)
    index.add_path(2, "b.txt", 1, folder=False)
    index.commit()
    index.close()
    NameIndex(tmp_path).close()
    assert read == []
    moved = tmp_path.with_name("moved")
    shutil.copytree(tmp_path, moved)
    NameIndex(moved).close()
    assert read != []


def test_what_changed_while_it_was_open_is_not_taken_for_whole(tmp_path: Path) -> None:
    directory = filled(tmp_path)
    index = NameIndex(tmp_path)
    name = next(name for name in parts(directory) if name.endswith(".idx"))
    data = bytearray((directory / name).read_bytes())
    data[3] ^= 1
    (directory / name).write_bytes(data)
    index.close()
    assert NameIndex(tmp_path).untouched
