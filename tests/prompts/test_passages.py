"""Cutting a long text into pieces, and which of them fit a question."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sgoped.prompts.passages import outline, question_terms, rank_pieces, split_pieces


@given(st.text(st.sampled_from("ab \n"), max_size=400), st.integers(2, 60))
def test_the_pieces_are_the_text_and_know_their_lines(text: str, max_chars: int) -> None:
    pieces = list(split_pieces(text, max_chars))
    assert "".join(text[piece.start : piece.end] for piece in pieces) == text
    for piece in pieces:
        assert 0 < piece.end - piece.start <= max_chars
        assert piece.line_start == text.count("\n", 0, piece.start) + 1
        assert piece.line_end == text.count("\n", 0, piece.end - 1) + 1


def test_a_question_loses_its_common_words_and_plurals() -> None:
    assert question_terms("What are the names of the Engines in it?") == ("name", "engine")


def test_a_question_without_spaces_becomes_pairs() -> None:
    assert question_terms("会議の") == ("会議", "議の")


def test_a_question_of_any_length_has_few_terms() -> None:
    assert len(question_terms(" ".join(f"word{n}" for n in range(100_000)))) == 32


def test_the_piece_with_the_rare_word_comes_first() -> None:
    text = "\n\n".join([*("the engine runs and runs" for _ in range(200)), "the carburettor"])
    score, best = rank_pieces(text, question_terms("engine carburettors"), 100, 1)[0]
    assert score > 0
    assert "carburettor" in text[best.start : best.end]


def test_words_are_found_by_their_beginning_and_behind_an_underscore() -> None:
    text = "rebuild_index()\n\nunrelated"
    scores = {
        text[piece.start : piece.end].strip(): score
        for score, piece in rank_pieces(text, ("index",), 17, 5)
    }
    assert scores["rebuild_index()"] > 0
    assert scores["unrelated"] == 0


def test_short_words_count_only_where_a_word_begins() -> None:
    text = "one atom\n\ntom is here"
    (best, piece), (other, _) = rank_pieces(text, ("tom",), 12, 2)
    assert best > other == 0
    assert text[piece.start : piece.end] == "tom is here"


def test_ranking_stops_when_nobody_wants_it() -> None:
    assert rank_pieces("a\n" * 10_000, ("a",), 100, 5, should_stop=lambda: True) == []


def test_without_terms_the_order_is_that_of_the_text() -> None:
    pieces = list(split_pieces("a\n\nb\n\nc", 3))
    assert [piece for _, piece in rank_pieces("a\n\nb\n\nc", (), 3, 5)] == pieces


def test_an_outline_has_headings_and_definitions_with_their_lines() -> None:
    text = "# Title\n\ntext\n\nclass Foo:\n    def bar(self): ...\n\nexport function baz() {}\n"
    assert outline(text, 10) == [
        "1: # Title",
        "5: class Foo:",
        "6: def bar(self): ...",
        "8: export function baz() {}",
    ]


def test_a_long_outline_is_thinned_over_the_whole_length() -> None:
    text = "".join(f"## Section {number}\n" for number in range(1000))
    entries = outline(text, 10)
    assert len(entries) == 10
    assert entries[0].startswith("1: ")
    assert entries[-1].startswith("901: ")


def test_an_outline_stops_when_nobody_wants_it() -> None:
    assert outline("# a\n" * 10_000, 5, should_stop=lambda: True) == []
