from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgoped.memory.names import NameIndex

PATHS = [
    "src/foo.py",
    "src/foobar.test.ts",
    "docs/parseHTTPResponse.md",
    "lib/configure.py",
    "lib/reconfigure.py",
    "odd/\udcff.txt",
]


@pytest.fixture
def names(tmp_path: Path) -> Iterator[NameIndex]:
    index = NameIndex(tmp_path)
    for pid, path in enumerate(PATHS):
        index.add_path(pid, path)
    index.commit()
    yield index
    index.close()


def paths(pids: list[int]) -> list[str]:
    return [PATHS[pid] for pid in pids]


def test_a_prefix_finds_the_name_and_each_of_its_words(names: NameIndex) -> None:
    assert set(paths(names.by_start("foo", 10))) == {"src/foo.py", "src/foobar.test.ts"}
    assert paths(names.by_start("resp", 10)) == ["docs/parseHTTPResponse.md"]
    assert paths(names.by_tight("foobartest", 10)) == ["src/foobar.test.ts"]


def test_several_tokens_may_name_folders_in_any_order(names: NameIndex) -> None:
    for tokens in (["lib", "recon"], ["recon", "lib"]):
        assert paths(names.by_all(tokens, 10)) == ["lib/reconfigure.py"]
    assert names.by_all(["lib", "foo"], 10) == []


def test_the_middle_of_a_name_is_found_by_trigrams(names: NameIndex) -> None:
    assert set(paths(names.by_middle(["nfig"], 10))) == {"lib/configure.py", "lib/reconfigure.py"}
    assert names.by_middle(["ab"], 10) == []


@pytest.mark.parametrize("typed", ["confgiure", "cnfigure", "connfigure", "confihure", "cofnig"])
def test_one_typo_still_finds_the_name(names: NameIndex, typed: str) -> None:
    assert "lib/configure.py" in paths(names.by_typo([typed], 10, whole=False))


def test_a_removed_path_is_not_found_again(names: NameIndex) -> None:
    names.remove(0)
    names.commit()
    assert paths(names.by_start("foo", 10)) == ["src/foobar.test.ts"]
    assert names.count == len(PATHS) - 1


def test_a_name_that_is_not_utf_8_is_found_by_its_readable_part(names: NameIndex) -> None:
    assert paths(names.by_start("txt", 10)) == ["odd/\udcff.txt"]


def test_reopening_finds_what_was_committed_with_its_stamp(tmp_path: Path) -> None:
    index = NameIndex(tmp_path)
    index.add_path(7, "a/b.txt")
    index.commit()
    stamp = index.stamp
    index.add_path(8, "a/lost.txt")
    index.close()
    again = NameIndex(tmp_path)
    assert (again.stamp, again.count) == (stamp, 1)
    assert again.by_start("b", 5) == [7]
    again.close()


def test_an_index_of_another_version_is_removed(tmp_path: Path) -> None:
    (tmp_path / "names-0-0.1").mkdir()
    (tmp_path / "names-0-0.1" / "meta.json").write_text("{}")
    index = NameIndex(tmp_path)
    index.close()
    assert not (tmp_path / "names-0-0.1").exists()


@given(st.lists(st.from_regex(r"[ab]{1,12}(\.[ab])?", fullmatch=True), min_size=1, unique=True))
@settings(max_examples=30, deadline=None)
def test_the_list_of_brief_names_is_the_head_of_the_whole_list(found: list[str]) -> None:
    """What one or two letters find is the same with it and without."""
    with tempfile.TemporaryDirectory() as place:
        index = NameIndex(Path(place))
        for pid, name in enumerate(found):
            index.add_path(pid, name, namesakes=1 + pid % 4)
        index.commit()
        for text in ("a", "ab", "b"):
            for limit in (1, 3):
                whole = index._search(index._term("name", text), limit)
                assert index.by_start(text, limit)[: len(whole)] == whole
        index.close()
