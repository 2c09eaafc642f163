from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from sgoped.memory.vectors import Place, VectorMark, VectorStore, open_vectors

MARK = VectorMark("home/model", 4, "passages")
STAT = (10, 2**60, -5, 2**63)
ONE, TWO = b"1" * 16, b"2" * 16


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vectors.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[VectorStore]:
    async with open_vectors(path) as opened:
        opened.begin(MARK)
        opened.save_vectors({ONE: b"abcd", TWO: b""})
        opened.save_files([("a/\udcff.txt", STAT, [Place(1, 2, ONE), Place(3, 4, TWO)])])
        yield opened


async def test_what_was_saved_is_there(store: VectorStore) -> None:
    assert store.mark() == MARK
    assert list(store.files()) == [("a/\udcff.txt", STAT, [Place(1, 2, ONE), Place(3, 4, TWO)])]
    assert store.vectors([ONE, TWO, b"3" * 16]) == {ONE: b"abcd", TWO: b""}
    many = [number.to_bytes(16, "big") for number in range(1200)]
    store.save_vectors(dict.fromkeys(many, b"wxyz"))
    assert len(store.vectors(many)) == 1200


async def test_only_this_user_can_read_it(store: VectorStore, path: Path) -> None:
    assert path.stat().st_mode & 0o077 == 0


async def test_orphans_are_dropped_and_what_a_file_has_is_kept(store: VectorStore) -> None:
    store.save_vectors({b"3" * 16: b"wxyz"})
    assert store.drop_orphans() == 1
    assert set(store.vectors([ONE, TWO, b"3" * 16])) == {ONE, TWO}
    store.drop_files(["a/\udcff.txt", "unknown"])
    assert store.drop_orphans() == 2
    assert store.vectors([ONE, TWO]) == {}


async def test_another_model_begins_with_nothing_and_another_layout_with_the_vectors(
    store: VectorStore,
) -> None:
    store.begin(VectorMark("home/model", 4, "others"), keep_vectors=True)
    assert (list(store.files()), len(store.vectors([ONE, TWO]))) == ([], 2)
    store.begin(VectorMark("home/other", 4, "others"))
    assert (store.mark(), store.vectors([ONE])) == (VectorMark("home/other", 4, "others"), {})


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        ("update vector set numbers = x'61626365'", "v"),
        ("update vector set hash = x'33' where length(numbers) = 4", "v"),
        ("update file set places = substr(places, 1, 40)", "f"),
        ("update file set path = x'62'", "f"),
        ("update mark set mark = replace(mark, 'model', 'modell')", "m"),
    ],
)
async def test_a_row_that_is_not_what_was_written_is_not_there(
    store: VectorStore, path: Path, change: str, lost: str
) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(change)
    assert (ONE not in store.vectors([ONE])) == (lost == "v")
    assert (list(store.files()) == []) == (lost == "f")
    assert (store.mark() is None) == (lost == "m")


async def test_a_new_file_takes_the_place_of_a_damaged_one(store: VectorStore, path: Path) -> None:
    store.renew()
    assert store.mark() is None
    store.begin(MARK)
    assert store.mark() == MARK
