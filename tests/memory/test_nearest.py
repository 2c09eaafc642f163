from __future__ import annotations

import math
import random

import pytest

from sgoped.memory.nearest import BLOCK_ROWS, Nearest, quantise

DIMENSIONS = 24


def drawn(count: int, seed: int = 1) -> list[list[float]]:
    source = random.Random(seed)
    return [[source.gauss(0, 1) for _ in range(DIMENSIONS)] for _ in range(count)]


def cosine(one: list[float], other: list[float]) -> float:
    product = math.fsum(x * y for x, y in zip(one, other, strict=True))
    return product / math.hypot(*one) / math.hypot(*other)


def filled(vectors: list[list[float]]) -> Nearest:
    nearest = Nearest(DIMENSIONS)
    for pid, vector in enumerate(vectors):
        nearest.put(pid, [(1, 2, quantise(vector))])
    return nearest


def pids(nearest: Nearest, query: list[float], limit: int = 10) -> list[int]:
    similar = nearest.compare(query)
    assert similar is not None
    return [hit.pid for hit in similar.best(limit, lambda pid: True, 1)]


def test_the_nearest_are_those_of_the_exact_cosines_over_all_blocks() -> None:
    vectors = drawn(2 * BLOCK_ROWS + 7)
    nearest = filled(vectors)
    for query in drawn(20, seed=2):
        order = sorted(range(len(vectors)), key=lambda pid: -cosine(query, vectors[pid]))
        found = pids(nearest, query)
        assert found[0] in order[:2]
        assert len(set(found) & set(order[:12])) >= 9


def test_how_near_is_told_in_deviations_above_the_mean() -> None:
    vectors = drawn(500)
    similar = filled(vectors).compare(vectors[7])
    assert similar is not None
    cosines = [cosine(vectors[7], vector) for vector in vectors]
    mean = sum(cosines) / len(cosines)
    spread = math.sqrt(sum((each - mean) ** 2 for each in cosines) / len(cosines))
    for pid in (7, 100, 499):
        told = similar.of(pid, 1)
        assert told == pytest.approx((cosines[pid] - mean) / spread, abs=0.03)
    assert similar.of(7, 2) is None
    assert similar.of(500, 1) is None


def test_what_was_dropped_is_not_found_and_its_place_is_used_again() -> None:
    vectors = drawn(50)
    nearest = filled(vectors)
    nearest.drop(3)
    nearest.drop(1000)
    assert len(nearest) == 49
    assert 3 not in pids(nearest, vectors[3], 50)
    nearest.put(60, [(5, 1, quantise(vectors[3]))])
    nearest.put(4, [(9, 1, quantise(vectors[4]))])
    assert len(nearest) == 50
    similar = nearest.compare(vectors[3])
    assert similar is not None
    [best] = similar.best(1, lambda pid: True, 1)
    assert (best.pid, best.line_start, best.line_count) == (60, 5, 1)
    assert similar.of(4, 1) is None
    for pid in range(100):
        nearest.drop(pid)
    assert nearest.compare(vectors[3]) is None


def test_a_comparison_is_not_changed_by_what_comes_after_it() -> None:
    vectors = drawn(20)
    nearest = filled(vectors)
    similar = nearest.compare(vectors[3])
    nearest.put(3, [(1, 1, quantise(vectors[5]))])
    nearest.drop(4)
    assert similar is not None
    assert similar.best(1, lambda pid: True, 1)[0].pid == 3


def test_at_most_so_many_of_one_file_and_only_accepted_ones() -> None:
    [query, *others] = drawn(300)
    nearest = filled(others)
    nearest.put(999, [(line, 1, quantise(query)) for line in range(1, 6)])
    similar = nearest.compare(query)
    assert similar is not None
    assert [hit.pid for hit in similar.best(3, lambda pid: True, 2)].count(999) == 2
    assert [hit.pid for hit in similar.best(3, lambda pid: pid != 999, 2)].count(999) == 0
    rare = similar.best(1, lambda pid: pid == 999, 1)
    assert [hit.pid for hit in rare] == [999]
    assert all(hit.score >= 0.9 for hit in similar.best(300, lambda pid: True, 1))


def test_one_passage_alone_is_near_and_of_two_the_better_one() -> None:
    one, other = drawn(2)
    nearest = Nearest(DIMENSIONS)
    nearest.put(1, [(1, 1, quantise(one))])
    assert pids(nearest, other) == [1]
    nearest.put(2, [(1, 1, quantise(other))])
    assert pids(nearest, other) == [2]


def test_a_vector_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="3 numbers instead of 24"):
        Nearest(DIMENSIONS).put(1, [(1, 1, quantise([0.1, 0.2, 0.3]))])


def test_very_small_and_very_large_numbers_keep_their_direction() -> None:
    [vector] = drawn(1)
    assert quantise([x * 1e-6 for x in vector]) == quantise([x * 1e6 for x in vector])
