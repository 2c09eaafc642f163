from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgoped.memory.content_query import MAX_PARTS, ContentQuery, parse_query


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("plain words", ContentQuery("plain words")),
        ('a "b c" d', ContentQuery("a d", phrases=("b c",))),
        ('a -b -"c d"', ContentQuery("a", excluded=("b", "c d"))),
        ("a path:src -path:test", ContentQuery("a", paths=("src",), not_paths=("test",))),
        ('a path:"my notes"', ContentQuery("a", paths=("my notes",))),
        (
            "a ext:py,.MD ext:c -ext:js",
            ContentQuery("a", suffixes=("py", "md", "c"), not_suffixes=("js",)),
        ),
        ("--long -x", ContentQuery("--long", excluded=("x",))),
        ("well-known - dash", ContentQuery("well-known - dash")),
        ('"unclosed words', ContentQuery('"unclosed words')),
        ("path: ext: http://x", ContentQuery("path: ext: http://x")),
        ("-path:src", ContentQuery(not_paths=("src",))),
        ("", ContentQuery()),
    ],
)
def test_a_query_is_taken_apart(text: str, query: ContentQuery) -> None:
    assert parse_query(text) == query


def test_the_parameters_add_to_the_filters_of_the_text() -> None:
    query = parse_query("a path:src ext:py", path="docs", ext=".md, rst")
    assert query.paths == ("docs", "src")
    assert query.suffixes == ("md", "rst", "py")


pieces = st.sampled_from(
    ['"', "-", "path:", "ext:", "(", ")", " ", "a", "b c", ",", "\n", "\x00", "é"]
)


@given(st.lists(pieces, max_size=200).map("".join) | st.text())
def test_every_text_is_a_query_and_no_word_of_it_is_lost(text: str) -> None:
    query = parse_query(text)
    kept = " ".join(
        [
            query.words,
            *query.phrases,
            *query.excluded,
            *query.paths,
            *query.not_paths,
            *query.suffixes,
            *query.not_suffixes,
        ]
    )
    if max(map(len, (query.phrases, query.excluded, query.paths, query.suffixes))) < MAX_PARTS:
        for letter in "bcé":
            assert (letter in text.lower()) <= (letter in kept.lower())


@pytest.mark.parametrize(
    "text", ['"' * 4000, '-"' * 2000, 'path:"' * 700, "-a" * 2000, "-a " * 1300]
)
def test_hostile_queries_are_bounded(text: str) -> None:
    query = parse_query(text)
    assert len(query.excluded) <= MAX_PARTS
    assert len(query.phrases) <= MAX_PARTS
