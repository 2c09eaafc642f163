from __future__ import annotations

import random
from collections.abc import Sequence

from sgoped.memory.bodies import BodyHit
from sgoped.memory.fusion import fuse, trust_in


def hits(scores: dict[int, float]) -> list[BodyHit]:
    """By pid, best first; one passage each."""
    ranked = sorted(scores.items(), key=lambda pair: -pair[1])
    return [BodyHit(pid, 1, 10, score) for pid, score in ranked]


def fused(
    words: dict[int, float], meaning: dict[int, float], near: Sequence[int] | None = None
) -> list[int]:
    wanted = meaning if near is None else {pid: meaning[pid] for pid in near}
    found = fuse(
        hits(words),
        hits(wanted),
        lambda pid, line: meaning.get(pid),
        limit=10,
        per_file=1,
        depth=100,
        weight=0.7,
    )
    return [hit.pid for hit in found]


def test_where_words_find_nothing_the_nearest_are_the_answer() -> None:
    assert fused({}, {1: 2.0, 2: 3.0}) == [2, 1]


def test_what_both_find_comes_first() -> None:
    words = {1: 10.0, 2: 9.0, 3: 8.0}
    assert fused(words, {2: 3.0, 4: 3.1, 1: 1.0, 3: 0.5}, near=[4, 2, 1])[0] == 2
    assert set(fused(words, {2: 3.0, 4: 3.1, 1: 1.0, 3: 0.5}, near=[4, 2, 1])) == {1, 2, 3, 4}


def test_a_model_that_takes_what_words_found_for_far_is_not_listened_to() -> None:
    source = random.Random(3)
    words = {pid: 20.0 - pid for pid in range(20)}
    lot = {pid: source.gauss(0, 1) for pid in range(1000)}
    for pid in range(20):
        lot[pid] = source.gauss(-0.2, 1)
    near = sorted(lot, key=lambda pid: -lot[pid])[:100]
    assert fused(words, lot, near) == list(range(10))


def test_trust_grows_with_how_near_the_words_finds_are() -> None:
    found = hits({pid: 20.0 - pid for pid in range(20)})

    def trust(nearness: float) -> float:
        return trust_in(found, lambda pid, line: nearness)

    told = [trust(nearness) for nearness in (-1.0, 0.0, 0.6, 1.5)]
    assert told[:2] == [0.0, 0.0]
    assert 0.2 < told[2] < 0.9
    assert told[3] == 1.0


def test_a_few_wrong_finds_of_words_do_not_silence_the_meaning() -> None:
    assert 9 in fused({1: 5.0}, {1: 0.1, 9: 4.0})


def test_without_a_vector_a_file_keeps_its_place_among_the_others() -> None:
    words = {pid: 20.0 - pid for pid in range(6)}
    some = dict.fromkeys((0, 2, 4), 2.0)
    assert fused(words, some) == list(range(6))


def test_passages_of_one_file_are_told_apart_where_several_are_wanted() -> None:
    lexical = [BodyHit(1, 1, 10, 5.0), BodyHit(2, 1, 10, 4.0), BodyHit(1, 11, 10, 3.0)]
    near = [BodyHit(1, 11, 10, 4.0), BodyHit(1, 21, 10, 3.5), BodyHit(2, 1, 10, 1.0)]
    told = {(hit.pid, hit.line_start): hit.score for hit in near} | {(1, 1): 1.0}
    found = fuse(
        lexical,
        near,
        lambda pid, line: told.get((pid, line)),
        limit=10,
        per_file=2,
        depth=100,
        weight=0.7,
    )
    assert [(hit.pid, hit.line_start) for hit in found] == [(1, 11), (1, 1), (2, 1)]
    once = fuse(
        lexical[:2],
        near[:1],
        lambda pid, line: told.get((pid, line)),
        limit=10,
        per_file=1,
        depth=9,
        weight=0.3,
    )
    assert [(hit.pid, hit.line_start) for hit in once] == [(1, 1), (2, 1)]
