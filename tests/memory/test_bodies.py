from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgoped.memory.bodies import (
    MAX_LINE_CHARS,
    OVERLAP_CHARS,
    PASSAGE_CHARS,
    BodyIndex,
    overlapping,
    split_passages,
)
from sgoped.memory.content_query import parse_query
from sgoped.memory.relevance import Plan, make_plan


@pytest.fixture
def bodies(tmp_path: Path) -> Iterator[BodyIndex]:
    index = BodyIndex(tmp_path)
    yield index
    index.close()


def anything(pid: int) -> bool:
    return pid >= 0


def plan(bodies: BodyIndex, text: str) -> Plan:
    return make_plan(parse_query(text), bodies.vocabulary(), bodies.terms)


def found(bodies: BodyIndex, text: str, limit: int = 5) -> list[int]:
    return [hit.pid for hit in bodies.search(plan(bodies, text), limit, anything)]


line = st.text(alphabet="ab \r", max_size=30) | st.just("x" * 900) | st.just("y" * 9000)
texts = st.lists(line, max_size=12).map("\n".join)


@given(texts)
def test_passages_hold_the_whole_text_under_its_true_line_numbers(text: str) -> None:
    passages = list(split_passages(text))
    assert "".join(passage for _, _, passage in passages) == text
    lines = text.split("\n")
    for first, count, passage in passages:
        assert count >= 1
        start = passage.split("\n")[0].rstrip("\r")
        assert start.strip() in lines[first - 1]
        assert len(passage) <= PASSAGE_CHARS + MAX_LINE_CHARS


@given(texts)
def test_what_a_passage_holds_of_the_next_one_is_within_its_lines(text: str) -> None:
    lines = text.split("\n")
    for first, count, passage in overlapping(text):
        assert passage in "\n".join(lines[first - 1 : first - 1 + count]) + "\n"
        assert len(passage) <= PASSAGE_CHARS + MAX_LINE_CHARS + OVERLAP_CHARS


def test_a_word_deep_in_a_long_text_leads_to_its_lines(bodies: BodyIndex) -> None:
    lines = [f"filler {i % 50}" for i in range(3000)]
    lines[1999] = "the needle is here"
    bodies.add_text(3, "hay.txt", "\n".join(lines))
    bodies.commit()
    [hit] = bodies.search(plan(bodies, "needle"), 5, anything)
    assert hit.pid == 3
    assert hit.line_start <= 2000 < hit.line_start + hit.line_count


def test_rarer_words_and_shorter_passages_rank_higher(bodies: BodyIndex) -> None:
    bodies.add_text(1, "a.txt", "common rare")
    bodies.add_text(2, "b.txt", "common common common")
    bodies.add_text(3, "c.txt", "common " + "other " * 200)
    bodies.commit()
    assert found(bodies, "common rare")[0] == 1


def test_of_equal_passages_the_one_that_stands_higher_in_its_file_comes_first(
    bodies: BodyIndex,
) -> None:
    filler = "\n".join(["filler line"] * 2000)
    bodies.add_text(1, "a.txt", f"{filler}\nzebra at last\n")
    bodies.add_text(2, "b.txt", f"zebra at first\n{filler}")
    bodies.commit()
    assert found(bodies, "zebra") == [2, 1]


def test_one_file_does_not_fill_the_answer(bodies: BodyIndex) -> None:
    bodies.add_text(1, "a.txt", "\n".join(["zebra " * 60] * 40))
    bodies.add_text(2, "b.txt", "one zebra among many other words " * 20)
    bodies.commit()
    assert set(found(bodies, "zebra", 2)) == {1, 2}
    assert len(bodies.search(plan(bodies, "zebra"), 10, anything, per_file=3)) == 4


def test_the_only_accepted_file_is_found_among_thousands(bodies: BodyIndex) -> None:
    for pid in range(6000):
        bodies.add_text(pid, f"{pid}.txt", "same word")
    bodies.commit()
    hits = bodies.search(plan(bodies, "word"), 3, lambda pid: pid == 5777, accepted=lambda: [5777])
    assert [hit.pid for hit in hits] == [5777]


def test_queries_are_cut_into_the_words_the_index_knows(bodies: BodyIndex) -> None:
    assert bodies.terms("Grüße, SNAKE_case! 東京都") == ["grusse", "snake", "case", "東京", "京都"]
    assert bodies.terms('AND (NOT * ~ "') == ["and", "not"]


def test_a_phrase_is_found_in_its_order_only_also_across_line_ends(bodies: BodyIndex) -> None:
    bodies.add_text(1, "a.txt", "The grey-\nwolf sleeps")
    bodies.add_text(2, "b.txt", "the wolf is grey")
    bodies.add_text(3, "c.txt", "grey old wolf")
    bodies.commit()
    assert found(bodies, '"grey wolf"') == [1]
    assert found(bodies, '"Grey Wolf" sleeping') == [1]
    assert found(bodies, '"wolf grey"') == []
    assert found(bodies, '"sleep"') == []


def test_a_phrase_is_found_wherever_a_long_text_is_cut(bodies: BodyIndex) -> None:
    words = [f"w{i}" for i in range(4000)]
    bodies.add_text(1, "a.txt", "\n".join(" ".join(words[i : i + 9]) for i in range(0, 4000, 9)))
    bodies.add_text(2, "b.txt", " ".join(words))
    bodies.commit()
    for i in range(0, 3990, 3):
        [hit] = bodies.search(
            plan(bodies, f'"{words[i]} {words[i + 1]} {words[i + 2]}"'), 5, lambda pid: pid == 1
        )
        assert hit.line_start - 1 <= i // 9 <= (i + 2) // 9 < hit.line_start - 1 + hit.line_count


def test_what_is_excluded_may_stand_nowhere_in_the_file(bodies: BodyIndex) -> None:
    bodies.add_text(1, "a.txt", "alpha beta")
    bodies.add_text(2, "b.txt", "alpha gamma")
    bodies.add_text(3, "c.txt", "alpha\n" + "filler line\n" * 900 + "beta")
    bodies.commit()
    assert found(bodies, "alpha -beta") == [2]
    assert found(bodies, 'alpha -"gamma alpha"')[0] in {1, 2}
    assert 2 not in found(bodies, 'alpha -"alpha gamma"')
    assert found(bodies, "-beta") == []


def test_forms_of_a_word_are_found_and_the_typed_one_first(bodies: BodyIndex) -> None:
    bodies.add_text(1, "a.txt", "he indexes everything")
    bodies.add_text(2, "b.txt", "indexing of everything")
    bodies.add_text(3, "c.txt", "one index for everything")
    bodies.add_text(4, "d.txt", "indeed nothing")
    bodies.commit()
    assert found(bodies, "indexing")[0] == 2
    assert set(found(bodies, "indexing")) == {1, 2, 3}
    assert found(bodies, '"indexing"') == [2]


def test_forms_follow_the_language_of_the_folder(bodies: BodyIndex) -> None:
    for pid in range(20):
        bodies.add_text(pid, f"{pid}.txt", "und der ist nicht mit uns")
    bodies.add_text(30, "haus.txt", "die alten Häuser")
    bodies.add_text(31, "ru.txt", "новые книги")
    bodies.commit()
    assert bodies.vocabulary().languages == ("german",)
    assert found(bodies, "haus") == [30]
    assert found(bodies, "книга") == [31]


def test_stop_words_count_only_where_there_is_nothing_else(bodies: BodyIndex) -> None:
    bodies.add_text(1, "a.txt", "how is the one with the what")
    bodies.add_text(2, "b.txt", "pruning of roses")
    bodies.commit()
    assert found(bodies, "what is the pruning") == [2]
    assert found(bodies, "what is the") == [1]


def test_words_side_by_side_rank_above_the_same_words_apart(bodies: BodyIndex) -> None:
    apart = "red " + "filler " * 20 + "door " + "filler " * 20
    bodies.add_text(1, "a.txt", apart)
    bodies.add_text(2, "b.txt", "filler " * 40 + "red door")
    bodies.commit()
    assert found(bodies, "red door") == [2, 1]


def test_a_replaced_text_is_found_by_its_new_words_only(bodies: BodyIndex) -> None:
    bodies.add_text(1, "a.txt", "before")
    bodies.commit()
    bodies.remove(1)
    bodies.add_text(1, "a.txt", "after")
    bodies.commit()
    assert found(bodies, "before") == []
    assert found(bodies, "after") == [1]


@pytest.mark.parametrize(
    "text", ['"a ' * 1300, "-a " * 1300, "(" * 4000, 'ext:py path:a "b" -c ' * 180, "東" * 4000]
)
def test_hostile_queries_only_find_nothing(bodies: BodyIndex, text: str) -> None:
    bodies.add_text(1, "a.txt", "some words")
    bodies.commit()
    assert found(bodies, text) == []
