from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sgoped.memory.snippets import MAX_LINE_CHARS, make_snippet


def test_the_window_with_most_different_words_wins() -> None:
    lines = ["alpha", "", "", "", "", "", "", "alpha and beta", "", ""]
    snippet = make_snippet(lines, 101, {"alpha", "beta"}, max_lines=2)
    assert (snippet.line_start, snippet.line_end) == (108, 109)
    assert [snippet.text[a:b] for a, b in snippet.matches] == ["alpha", "beta"]


def test_a_long_line_is_cut_around_its_match() -> None:
    snippet = make_snippet(["x " * 5000 + "needle" + " y" * 5000], 1, {"needle"})
    assert len(snippet.text) == MAX_LINE_CHARS
    assert [snippet.text[a:b] for a, b in snippet.matches] == ["needle"]


def test_bigrams_are_marked_within_a_run() -> None:
    snippet = make_snippet(["来週の東京出張"], 1, {"東京", "京出"})
    assert snippet.text[snippet.matches[0][0] : snippet.matches[-1][1]] == "東京出"


@given(
    st.lists(st.text(alphabet="ab éß\n", max_size=20), min_size=1, max_size=9),
    st.sets(st.sampled_from(["a", "b", "e", "ss"])),
)
def test_ranges_and_lines_always_lie_within_what_is_shown(
    lines: list[str], terms: set[str]
) -> None:
    lines = [line.replace("\n", "") for line in lines]
    snippet = make_snippet(lines, 1, terms)
    assert 1 <= snippet.line_start <= snippet.line_end <= len(lines)
    assert snippet.text.count("\n") == snippet.line_end - snippet.line_start
    for start, end in snippet.matches:
        assert 0 <= start < end <= len(snippet.text)
