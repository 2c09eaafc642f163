from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sgoped.memory.portions import MAX_PORTION, MERGED_AT_ONCE, Portions, portion_size


@given(st.integers(0, 3_000_000))
def test_portions_are_a_power_of_what_is_merged_at_once(waiting: int) -> None:
    size = portion_size(waiting)
    assert size <= MAX_PORTION
    commits = -(-waiting // size) if size else 0
    power = 1
    while power < commits:
        power *= MERGED_AT_ONCE
    # All but the last are full, and the last eight are never fewer than half of eight.
    assert commits <= power < max(1, commits) * MERGED_AT_ONCE or commits <= 1


def test_few_names_are_one_portion_and_the_size_stays_while_names_wait() -> None:
    portions = Portions()
    portions.begin(20)
    assert [portions.take() for _ in range(20)] == [False] * 19 + [True]
    portions.end()
    portions.begin(100_000)
    portions.begin(50_000)
    assert [portions.take() for _ in range(25_000)].count(True) == 2
