from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sgoped.memory.haystack import MIN_DEAD, PathHaystack, initials


def test_letters_in_order_are_found_in_folder_and_name() -> None:
    haystack = PathHaystack()
    haystack.update([(1, "a/src/foo.py"), (2, "docs/readme.md"), (3, "x/\udcff.txt")], [])
    assert [pid for pid, _ in haystack.search(["sfpy"], 5)] == [1]
    assert [pid for pid, _ in haystack.search(["dr"], 5)] == [2]
    assert [pid for pid, _ in haystack.search(["r", "me"], 5)] == [2]
    assert haystack.search(["asfp"], 5) == [], "only the last folder counts"
    assert haystack.search([""], 5) == []


def test_what_is_gone_is_not_found_and_may_come_back() -> None:
    haystack = PathHaystack()
    haystack.update([(1, "src/foo.py")], [])
    haystack.update([(4, "src/fop.yaml")], [1])
    assert [pid for pid, _ in haystack.search(["sfpy"], 5)] == [4]
    haystack.update([(1, "src/foo.py")], [])
    assert sorted(pid for pid, _ in haystack.search(["sfpy"], 5)) == [1, 4]


def test_a_haystack_of_many_dead_is_outdated() -> None:
    haystack = PathHaystack()
    haystack.update([(pid, f"dir/name{pid}") for pid in range(4 * MIN_DEAD)], [])
    assert not haystack.outdated
    haystack.update([], range(3 * MIN_DEAD))
    assert haystack.outdated
    found = [pid for pid, _ in haystack.search(["dnm7"], 5000)]
    assert found
    assert min(found) >= 3 * MIN_DEAD


def test_every_word_has_an_initial() -> None:
    assert initials("parseHTTPResponse2.test.md") == frozenset("phr2t")
    assert initials("my_file-name.tar.gz") == frozenset("mfnt")
    assert initials("\u00c9t\u00e9_\u5317\u4eac.md") >= frozenset("e")
    assert initials(".bashrc") == frozenset("b")
    assert initials("") == frozenset()


@given(st.lists(st.text(st.characters(exclude_characters="/"), min_size=1, max_size=8), min_size=1))
def test_a_word_of_the_name_finds_it(names: list[str]) -> None:
    haystack = PathHaystack()
    haystack.update([(pid, f"folder/{name}") for pid, name in enumerate(names)], [])
    for _, points in haystack.search(["f"], 5):
        assert points > 0
