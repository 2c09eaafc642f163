from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sgoped.memory.portions import (
    MAX_MERGE_SECONDS,
    MAX_PORTION,
    MAX_SINGLE,
    MERGED_AT_ONCE,
    Portions,
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


def test_a_merge_is_waited_for_but_not_for_ever() -> None:
    portions = Portions()
    assert not portions.must_wait(MERGED_AT_ONCE - 1, 5.0)
    assert portions.must_wait(MERGED_AT_ONCE, 5.0)
    assert portions.must_wait(MERGED_AT_ONCE, 6.0)
    assert not portions.must_wait(1, 7.0)
    assert portions.must_wait(MERGED_AT_ONCE, 8.0)
    assert not portions.must_wait(MERGED_AT_ONCE, 8.0 + MAX_MERGE_SECONDS)
