from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sgoped.memory.matcher import (
    begins_word,
    highlight,
    score_literal,
    shared_name_penalty,
)


def ranked(query: list[str], paths: list[str]) -> list[str]:
    return sorted(paths, key=lambda path: -score_literal(query, path)[0])


def test_where_a_word_lies_decides_and_length_only_breaks_ties() -> None:
    paths = [
        "test.md",
        "testing.md",
        "a/test_util.py",
        "lib/my_test.py",
        "lib/MyTestCase.py",
        "lib/contest.py",
        "test/other.py",
        "contested/other.py",
    ]
    assert ranked(["test"], list(reversed(paths))) == paths


def test_every_token_must_occur() -> None:
    assert score_literal(["foo", "zzz"], "src/foo.py") == (0.0, "")
    score, why = score_literal(["src", "foo"], "src/foo.py")
    assert score > 0.5
    assert why == "a folder starts so"


def test_a_path_typed_without_its_separators_is_literal() -> None:
    assert score_literal(["srcfoo"], "src/foo.py")[1] == "folder and name"
    assert score_literal(["footestts"], "x/foo.test.ts")[1] == "name starts so"


def test_only_names_that_several_files_share_lose() -> None:
    assert shared_name_penalty(1) == shared_name_penalty(2) == 0.0
    assert 0 < shared_name_penalty(3) < shared_name_penalty(30) <= shared_name_penalty(10**6)


def test_words_begin_after_separators_and_at_case_and_digit_changes() -> None:
    text = "fooBar_baz9x"
    assert [i for i in range(1, len(text)) if begins_word(text, i)] == [3, 7, 10, 11]


def test_highlights_cover_what_was_typed() -> None:
    assert highlight(["foo"], "src/foo.py") == ((4, 7),)
    assert highlight(["src", "foo"], "src/foo.py") == ((0, 3), (4, 7))
    assert highlight(["ete"], "Été.txt") == ((0, 3),)
    assert highlight(["sfp"], "src/foo.py") == ((0, 1), (4, 5), (8, 9))


@given(st.lists(st.text(min_size=1, max_size=5), max_size=3), st.text(max_size=30))
def test_highlights_are_ascending_disjoint_ranges_within_the_text(
    tokens: list[str], text: str
) -> None:
    last = 0
    for start, end in highlight(tokens, text):
        assert last <= start < end <= len(text)
        last = end + 1
