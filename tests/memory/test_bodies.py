from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgoped.memory.bodies import MAX_LINE_CHARS, PASSAGE_CHARS, BodyIndex, split_passages


@pytest.fixture
def bodies(tmp_path: Path) -> Iterator[BodyIndex]:
    index = BodyIndex(tmp_path)
    yield index
    index.close()


def anything(pid: int) -> bool:
    return pid >= 0


line = st.text(alphabet="ab \r", max_size=30) | st.just("x" * 900) | st.just("y" * 9000)


@given(st.lists(line, max_size=12).map("\n".join))
def test_passages_hold_the_whole_text_under_its_true_line_numbers(text: str) -> None:
    passages = list(split_passages(text))
    assert "".join(passage for _, _, passage in passages) == text
    lines = text.split("\n")
    for first, count, passage in passages:
        assert count >= 1
        start = passage.split("\n")[0].rstrip("\r")
        assert start.strip() in lines[first - 1]
        assert len(passage) <= PASSAGE_CHARS + MAX_LINE_CHARS


def test_a_word_deep_in_a_long_text_leads_to_its_lines(bodies: BodyIndex) -> None:
    lines = [f"filler {i % 50}" for i in range(3000)]
    lines[1999] = "the needle is here"
    bodies.add_text(3, "hay.txt", "\n".join(lines))
    bodies.commit()
    [hit] = bodies.search(["needle"], 5, anything)
    assert hit.pid == 3
    assert hit.line_start <= 2000 < hit.line_start + hit.line_count


def test_rarer_words_and_shorter_passages_rank_higher(bodies: BodyIndex) -> None:
    bodies.add_text(1, "a.txt", "common rare")
    bodies.add_text(2, "b.txt", "common common common")
    bodies.add_text(3, "c.txt", "common " + "other " * 200)
    bodies.commit()
    assert bodies.search(["common", "rare"], 5, anything)[0].pid == 1


def test_one_file_does_not_fill_the_answer(bodies: BodyIndex) -> None:
    bodies.add_text(1, "a.txt", "\n".join(["zebra " * 60] * 40))
    bodies.add_text(2, "b.txt", "one zebra among many other words " * 20)
    bodies.commit()
    assert {hit.pid for hit in bodies.search(["zebra"], 2, anything)} == {1, 2}
    assert len(bodies.search(["zebra"], 10, anything, per_file=3)) == 4


def test_more_candidates_are_fetched_while_too_few_are_accepted(bodies: BodyIndex) -> None:
    for pid in range(1000):
        bodies.add_text(pid, f"{pid}.txt", "same word")
    bodies.commit()
    assert [hit.pid for hit in bodies.search(["word"], 3, lambda pid: pid == 777)] == [777]


def test_queries_are_cut_into_the_words_the_index_knows(bodies: BodyIndex) -> None:
    assert bodies.terms("Grüße, SNAKE_case! 東京都") == ["grusse", "snake", "case", "東京", "京都"]
    assert bodies.terms('AND (NOT * ~ "') == ["and", "not"]
    assert len(bodies.terms(" ".join(f"w{i}" for i in range(5000)))) == 64


def test_a_replaced_text_is_found_by_its_new_words_only(bodies: BodyIndex) -> None:
    bodies.add_text(1, "a.txt", "before")
    bodies.commit()
    bodies.remove(1)
    bodies.add_text(1, "a.txt", "after")
    bodies.commit()
    assert bodies.search(["before"], 5, anything) == []
    assert len(bodies.search(["after"], 5, anything)) == 1
