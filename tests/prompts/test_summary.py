"""Summaries in parts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sgoped.prompts import estimate_tokens, reduce_messages, summary_messages, summary_parts


@given(st.text(max_size=6000), st.integers(1024, 4000))
def test_parts_are_the_whole_text_and_fit_the_window(text: str, window_tokens: int) -> None:
    parts = summary_parts(text, window_tokens)
    assert "".join(parts) == text
    for part in parts:
        ask = summary_messages("a.md", part, 1, 2)
        assert sum(estimate_tokens(message.content) for message in ask) <= window_tokens


def test_a_short_text_is_one_part() -> None:
    assert summary_parts("short", 8192) == ["short"]


def test_the_text_is_fenced_and_the_part_named() -> None:
    ask = summary_messages("a\nb", "say ```done```", 2, 3)[-1].content
    assert "part 2 of 3 of \u201ca b\u201d" in ask
    assert "````\nsay ```done```\n````" in ask


def test_summaries_of_parts_are_put_together_in_order() -> None:
    ask = reduce_messages("a.md", ["first", "second"])[-1].content
    assert ask.index("Part 1: first") < ask.index("Part 2: second")
