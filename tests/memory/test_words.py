from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgoped.memory.words import (
    fold,
    fold_mapped,
    joined,
    query_tokens,
    split_words,
    spread_cjk,
)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("foo.test.ts", ["foo", "test", "ts"]),
        ("parseHTTPResponse.py", ["parse", "http", "response", "parsehttpresponse", "py"]),
        ("snake_case-and-kebab", ["snake", "case", "and", "kebab"]),
        ("utf8", ["utf", "8", "utf8"]),
        ("Résumé.txt", ["resume", "txt"]),
        ("ПриветМир.md", ["привет", "мир", "приветмир", "md"]),
        ("会議メモ.md", ["会議メモ", "議メモ", "メモ", "モ", "md"]),
        ("🚀launch.md", ["launch", "md", "🚀"]),
        ("", []),
        ("___", []),
    ],
)
def test_a_name_falls_into_the_words_a_person_would_type(name: str, words: list[str]) -> None:
    assert split_words(name) == words


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("ÀÉÎ", "aei"),
        ("Straße", "strasse"),
        ("Łódź", "lodz"),
        ("ＦＵＬＬ", "full"),
        ("Ёлка", "елка"),
        ("한글", "한글"),
        ("plain", "plain"),
    ],
)
def test_folding_forgets_case_accents_and_width(text: str, folded: str) -> None:
    assert fold(text) == folded


@given(st.text(max_size=40))
def test_folding_with_a_map_points_into_the_original_in_order(text: str) -> None:
    folded, origin = fold_mapped(text)
    if origin is not None:
        assert len(origin) == len(folded)
        assert origin == sorted(origin)
        assert all(0 <= index < len(text) for index in origin)
    else:
        assert len(folded) == len(text)


@given(st.text(max_size=40))
def test_folding_twice_changes_nothing_more(text: str) -> None:
    once = fold(fold(text))
    assert fold(once) == once


def test_cjk_runs_become_bigrams_and_the_rest_stays() -> None:
    assert spread_cjk("see 日本語 now").split() == ["see", "日本", "本語", "now"]
    assert spread_cjk("字").split() == ["字"]
    assert spread_cjk("plain") == "plain"


def test_a_query_is_cut_before_it_can_cost_anything() -> None:
    assert query_tokens("src/Foo.py") == ["src", "foo", "py"]
    assert query_tokens("(" * 8000) == []
    assert len(query_tokens("a b " * 5000)) == 32
    assert query_tokens("🚀") == ["🚀"]


def test_joining_leaves_separators_out() -> None:
    assert joined("foo.Test_ts") == "footestts"


@given(st.text(st.characters(max_codepoint=127), max_size=40))
def test_plain_names_are_split_as_any_other(name: str) -> None:
    # The other letter makes it take the way of all other alphabets.
    assert split_words(f"{name} \u00e9") == list(dict.fromkeys([*split_words(name), "e"]))
