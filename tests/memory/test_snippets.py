from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from sgoped.memory.snippets import MAX_LINE_CHARS, MAX_SNIPPET_CHARS, Snippet, make_snippet
from sgoped.memory.words import fold


def forms(words: Iterable[str]) -> dict[str, str]:
    return {word: word for word in words}


def marked(snippet: Snippet) -> list[str]:
    return [snippet.text[start:end] for start, end in snippet.matches]


def test_the_window_with_most_different_words_wins() -> None:
    lines = ["alpha", "", "", "", "", "", "", "alpha and beta", "", ""]
    snippet = make_snippet(lines, 101, forms(["alpha", "beta"]), max_lines=2)
    assert (snippet.line_start, snippet.line_end) == (108, 109)
    assert marked(snippet) == ["alpha", "beta"]


def test_forms_of_one_word_count_as_one() -> None:
    lines = ["index indexes indexed", "", "index file"]
    by_concept = {"index": "index", "indexes": "index", "indexed": "index", "file": "file"}
    snippet = make_snippet(lines, 1, by_concept, max_lines=1)
    assert snippet.line_start == 3
    assert marked(snippet) == ["index", "file"]


def test_a_long_line_is_cut_around_its_match() -> None:
    snippet = make_snippet(["x " * 5000 + "needle" + " y" * 5000], 1, forms(["needle"]))
    assert len(snippet.text) == MAX_LINE_CHARS
    assert marked(snippet) == ["needle"]


def test_a_match_deep_in_a_line_of_a_megabyte_is_shown() -> None:
    line = "needles;" * 100_000 + " the needle " + "x" * 200_000
    assert marked(make_snippet([line], 1, forms(["needles"])))[0] == "needles"
    far = "x" * 500_000 + " the needle " + "x" * 200_000
    assert marked(make_snippet([far], 1, forms(["needle"]))) == ["needle"]


def test_bigrams_are_marked_within_a_run() -> None:
    snippet = make_snippet(["来週の東京出張"], 1, forms(["東京", "京出"]))
    assert snippet.text[snippet.matches[0][0] : snippet.matches[-1][1]] == "東京出"


def test_a_phrase_is_shown_rather_than_its_words_and_also_across_a_line_end() -> None:
    lines = ["grey wolf grey, wolf", "", "", "", "", "the wolf", "pack of grey", "wolf pack here"]
    snippet = make_snippet(lines, 1, {}, [["of", "grey", "wolf"]], max_lines=2)
    assert (snippet.line_start, snippet.line_end) == (7, 8)
    assert marked(snippet) == ["of grey", "wolf"]


def test_words_with_others_between_them_are_no_phrase() -> None:
    lines = ["grey", "and old", "wolf"]
    assert make_snippet(lines, 1, {}, [["grey", "wolf"]]).matches == ()
    assert marked(make_snippet(["grey", "----", "wolf"], 1, {}, [["grey", "wolf"]])) != []


def test_long_lines_do_not_push_the_match_out() -> None:
    lines = [*["x" * 239] * 4, "needle"]
    snippet = make_snippet(lines, 1, forms(["needle"]))
    assert marked(snippet) == ["needle"]
    assert len(snippet.text) <= MAX_SNIPPET_CHARS
    assert snippet.line_end == 5


words = st.sets(st.sampled_from(["a", "b", "e", "ss", "東", "東京", "हिन"]))
alphabet = "ab éßİ\u0301東京都हिन्दी\r\u2028\x0b"


@given(
    st.lists(st.text(alphabet=alphabet, max_size=20), min_size=1, max_size=9),
    words,
    st.lists(
        st.lists(st.sampled_from(["a", "b", "ss", "東京"]), min_size=1, max_size=3), max_size=2
    ),
)
def test_ranges_lie_within_what_is_shown_and_hold_what_was_searched_for(
    lines: list[str], wanted: set[str], phrases: list[list[str]]
) -> None:
    snippet = make_snippet(lines, 1, forms(wanted), phrases)
    assert 1 <= snippet.line_start <= snippet.line_end <= len(lines)
    assert snippet.text.count("\n") == snippet.line_end - snippet.line_start
    before = 0
    held = {*wanted, *(word for phrase in phrases for word in phrase)}
    for start, end in snippet.matches:
        assert before <= start < end <= len(snippet.text)
        assert any(word in fold(snippet.text[start:end]) for word in held)
        before = end
