from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sgoped.llm.thinking import ThinkSplitter
from sgoped.llm.types import ReasoningDelta, TextDelta

FRAGMENTS = st.lists(
    st.sampled_from(["<think>", "</think>", "<", "<th", "</", "think>", "a", "\n", "é", ">"]),
    max_size=12,
).map("".join)


def split(*pieces: str) -> list[tuple[bool, str]]:
    """Runs of (is it thinking, text)."""
    splitter = ThinkSplitter()
    runs: list[tuple[bool, str]] = []
    for delta in [d for piece in pieces for d in splitter.feed(piece)] + splitter.close():
        assert delta.text
        thinking = isinstance(delta, ReasoningDelta)
        if runs and runs[-1][0] == thinking:
            runs[-1] = (thinking, runs[-1][1] + delta.text)
        else:
            runs.append((thinking, delta.text))
    return runs


@given(FRAGMENTS, st.lists(st.integers(0, 99)))
def test_any_cut_of_the_text_gives_the_same_runs(text: str, cuts: list[int]) -> None:
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in pairwise(edges)]
    assert split(*pieces) == split(text)


@given(FRAGMENTS)
def test_it_agrees_with_the_obvious_way_for_whole_text(text: str) -> None:
    assert "".join(run for _, run in split(text)) == "".join(split_runs(text))


def split_runs(text: str) -> list[str]:
    """The obvious way, for text that is all there."""
    runs, thinking = [], False
    while text:
        before, found, text = text.partition("</think>" if thinking else "<think>")
        runs.append(before)
        thinking ^= bool(found)
    return runs


def test_tags_cut_over_chunks_are_found() -> None:
    assert split("<th", "ink>why", " not</", "think>", "yes") == [(True, "why not"), (False, "yes")]


def test_a_closing_tag_that_nothing_opened_is_text() -> None:
    assert split("a</think>b") == [(False, "a</think>b")]


def test_what_only_looks_like_a_tag_is_text_and_waits_no_longer_than_needed() -> None:
    splitter = ThinkSplitter()
    assert splitter.feed("1 <") == [TextDelta("1 ")]
    assert splitter.feed(" 2") == [TextDelta("< 2")]


def test_an_unfinished_tag_at_the_end_is_kept() -> None:
    assert split("a <thi") == [(False, "a <thi")]
    assert split("<think>b</thi") == [(True, "b</thi")]
