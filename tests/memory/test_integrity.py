from __future__ import annotations

import os
import random
import resource
from pathlib import Path

import pytest

from sgoped.memory.bodies import BodyIndex
from sgoped.memory.integrity import META_NAME, find_damage


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """The directory of an index that has two segments, one of them with a deletion."""
    bodies = BodyIndex(tmp_path)
    for pid in range(3):
        bodies.add_text(pid, f"{pid}.txt", f"words of {pid}\n" * 300)
    bodies.commit()
    bodies.remove(1)
    bodies.add_text(3, "3.txt", "more words")
    bodies.commit()
    bodies.close()
    return bodies.directory


def segment_files(index: Path) -> list[Path]:
    return sorted(path for path in index.iterdir() if len(path.stem.split(".")[0]) == 32)


def unhurried(index: Path, *, contents: bool = True) -> str:
    return find_damage(index, contents=contents, rest=lambda _: None)


def test_a_whole_index_has_no_damage(index: Path) -> None:
    assert any(path.suffix == ".del" for path in segment_files(index))
    assert unhurried(index) == ""
    assert unhurried(index, contents=False) == ""


def test_every_flipped_bit_is_found(index: Path) -> None:
    choice = random.Random(7)
    for path in segment_files(index):
        whole = path.read_bytes()
        for position in {0, len(whole) - 1, *(choice.randrange(len(whole)) for _ in range(20))}:
            damaged = bytearray(whole)
            damaged[position] ^= 1 << choice.randrange(8)
            path.write_bytes(damaged)
            told = unhurried(index)
            # Which version wrote it stands in the footer, and is tantivy's own business.
            assert path.name in told or position > whole.rindex(b'{"version"'), position
        path.write_bytes(whole)
    assert unhurried(index) == ""


def test_having_too_many_files_open_is_no_damage(index: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            unhurried(index)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert unhurried(index) == ""


@pytest.mark.parametrize("crc", ["1e999", "{}", "[" * 2000, "null"])
def test_any_garbled_footer_is_damage(index: Path, crc: str) -> None:
    path = segment_files(index)[0]
    footer = f'{{"version": 1, "crc": {crc}}}'.encode()
    tail = len(footer).to_bytes(4, "little") + (1337).to_bytes(4, "little")
    path.write_bytes(b"content" + footer + tail)
    assert unhurried(index) == f"{path.name} has no checksum"


def test_missing_cut_and_unreadable_files_are_found(index: Path) -> None:
    for path in segment_files(index):
        whole = path.read_bytes()
        for size in (0, len(whole) // 2):
            os.truncate(path, size)
            assert path.name in unhurried(index)
        path.unlink()
        assert path.name in unhurried(index)
        assert path.name in unhurried(index, contents=False)
        path.mkdir()
        assert path.name in unhurried(index)
        assert path.name in unhurried(index, contents=False)
        path.rmdir()
        path.write_bytes(whole)


def test_what_is_merged_away_meanwhile_is_no_damage(index: Path) -> None:
    bodies = BodyIndex(index.parent)
    first = segment_files(index)[0]
    seen: list[Path] = []

    def merge(_: float) -> None:
        if not seen:
            seen.append(first)
            for pid in range(4):
                bodies.remove(pid)
            bodies.add_text(9, "9.txt", "all else is gone")
            bodies.commit()
            for path in segment_files(index):
                if path.name not in (index / META_NAME).read_text().replace("-", ""):
                    path.unlink(missing_ok=True)

    assert find_damage(index, rest=merge) == ""
    assert seen
    bodies.close()


def test_an_index_without_its_table_of_contents_is_damaged(index: Path) -> None:
    (index / META_NAME).write_text("{}")
    assert META_NAME in unhurried(index)
    (index / META_NAME).unlink()
    assert META_NAME in unhurried(index)
    assert META_NAME in unhurried(index.parent / "none", contents=False)
