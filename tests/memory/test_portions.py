from __future__ import annotations

import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sgoped.memory.names import NameIndex
from sgoped.memory.portions import (
    MAX_MERGE_SECONDS,
    MAX_PORTION,
    MAX_SINGLE,
    MERGED_AT_ONCE,
    Portions,
    merges,
    portion_size,
)


@given(st.integers(0, 3_000_000))
def test_many_names_are_committed_in_a_power_of_what_is_merged_at_once(waiting: int) -> None:
    size = portion_size(waiting)
    assert size <= MAX_PORTION
    if waiting <= MAX_SINGLE:
        assert size == waiting
        return
    power = MERGED_AT_ONCE
    while -(-waiting // size) > power:
        power *= MERGED_AT_ONCE
    # All commits but the last are full; rounding up leaves out none of the last eight but a few.
    assert size * (power - MERGED_AT_ONCE) < waiting <= size * power


def test_few_names_are_one_portion_and_the_size_stays_while_names_wait() -> None:
    portions = Portions()
    portions.begin(20)
    assert [portions.take() for _ in range(20)] == [False] * 19 + [True]
    portions.end()
    portions.begin(100_000)
    portions.begin(50_000)
    assert [portions.take() for _ in range(25_000)].count(True) == 2


def test_eight_of_about_one_size_are_merged() -> None:
    assert merges([11_039] * 8)
    assert merges([88_310, *[3_038] * 7, 1])
    assert not merges([88_310, *[3_038] * 7])
    assert not merges([2**exponent * 10_000 for exponent in range(20)])


def test_a_merge_is_waited_for_but_not_for_ever() -> None:
    portions = Portions()
    eight = [10] * MERGED_AT_ONCE
    assert not portions.must_wait(eight[1:], 5.0)
    assert portions.must_wait(eight, 5.0)
    assert portions.must_wait(eight, 6.0)
    assert not portions.must_wait([80], 7.0)
    assert portions.must_wait(eight, 8.0)
    assert not portions.must_wait(eight, 8.0 + MAX_MERGE_SECONDS)


def test_tantivy_merges_as_expected(tmp_path: Path) -> None:
    """The real index, committed in eight portions, ends as one segment."""
    index = NameIndex(tmp_path)
    for portion in range(MERGED_AT_ONCE):
        index.add_path(portion, f"name{portion}.txt")
        index.commit()
    deadline = time.monotonic() + 30
    while len(index.segment_sizes) > 1 and time.monotonic() < deadline:
        index.catch_up()
    assert index.segment_sizes == [MERGED_AT_ONCE]
    index.close()
