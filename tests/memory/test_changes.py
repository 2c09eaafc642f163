from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgoped.memory.changes import ChangeBatch, Coalescer

NAMES = st.sampled_from(["a", "b", "c", "a.b", "a-b", "A", "ab"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


def make(max_paths: int = 1000) -> Coalescer:
    return Coalescer(quiet_seconds=0.1, max_delay_seconds=1.0, max_paths=max_paths)


def covers(batch: ChangeBatch, path: str) -> bool:
    return batch.full or any(path == one or path.startswith(one + "/") for one in batch.paths)


def test_nothing_is_due_when_nothing_changed() -> None:
    assert make().due(5.0) is None


def test_a_batch_is_due_after_the_quiet_delay() -> None:
    changes = make()
    changes.add("a", 10.0)
    assert changes.due(10.0) == pytest.approx(0.1)
    assert changes.due(10.5) == 0.0


def test_each_change_restarts_the_quiet_delay_but_not_the_maximum_delay() -> None:
    changes = make()
    for step in range(20):
        changes.add("a", 10.0 + step * 0.09)
    assert changes.due(10.95) is not None
    assert 0 < (changes.due(10.95) or 0) <= 0.05 + 1e-9
    assert changes.due(11.0) == 0.0


def test_a_clock_that_jumps_back_delays_no_longer_than_the_maximum() -> None:
    changes = make()
    changes.add("a", 1000.0)
    assert changes.due(0.0) == 1.0


def test_taking_a_batch_empties_it() -> None:
    changes = make()
    changes.add("a/b", 0.0)
    assert changes.take(0.0) == ChangeBatch(frozenset({"a/b"}), full=False)
    assert changes.due(9.0) is None
    assert changes.take(9.0) == ChangeBatch(frozenset(), full=False)


def test_children_of_a_changed_directory_are_covered_by_it() -> None:
    changes = make()
    changes.add_all(["a/b/c", "a.b", "a/b", "a/b-c", "a/b/d/e"], 0.0)
    assert changes.take(0.0).paths == {"a/b", "a.b", "a/b-c"}


def test_a_change_of_the_root_means_everything() -> None:
    changes = make()
    changes.add_all(["a", "", "b"], 0.0)
    assert changes.take(0.0) == ChangeBatch(frozenset(), full=True)
    changes.add("b", 1.0)
    assert changes.take(1.0).paths == {"b"}


def test_a_flood_in_one_directory_becomes_that_directory() -> None:
    changes = make(max_paths=100)
    changes.add("quiet/file", 0.0)
    changes.add_all((f"busy/file{number}" for number in range(10_000)), 0.0)
    assert changes.take(0.0).paths == {"quiet/file", "busy"}


def test_a_flood_without_siblings_rises_level_by_level() -> None:
    changes = make(max_paths=10)
    changes.add_all((f"d{number % 3}/{number}/only" for number in range(500)), 0.0)
    assert changes.take(0.0).paths == {"d0", "d1", "d2"}


@given(st.lists(st.one_of(PATHS, st.just("")), max_size=80), st.integers(1, 10))
def test_no_path_is_ever_lost(paths: list[str], max_paths: int) -> None:
    changes = make(max_paths)
    changes.add_all(paths, 0.0)
    batch = changes.take(0.0)
    assert all(covers(batch, path) for path in paths)
    assert batch.full or len(batch.paths) <= max_paths


@given(st.lists(PATHS, max_size=40), st.integers(1, 10))
def test_a_batch_holds_no_path_below_another(paths: list[str], max_paths: int) -> None:
    changes = make(max_paths)
    changes.add_all(paths, 0.0)
    taken = changes.take(0.0).paths
    assert not [(one, two) for one in taken for two in taken if one.startswith(two + "/")]


@given(st.lists(PATHS, max_size=40, unique=True))
def test_without_a_flood_only_what_changed_is_listed(paths: list[str]) -> None:
    changes = make()
    changes.add_all(paths, 0.0)
    assert changes.take(0.0).paths <= set(paths)
