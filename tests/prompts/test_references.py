"""What a message refers to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgoped.prompts import find_references


def names(text: str, *known: str) -> list[str]:
    return [reference.name for reference in find_references(text, known)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@notes.md", ["notes.md"]),
        ("compare @a.md and @src/foo-bar_2.py please", ["a.md", "src/foo-bar_2.py"]),
        ('read @"my file.md" first', ["my file.md"]),
        ("@foo.test.ts", ["foo.test.ts"]),
        ("@заметки.md", ["заметки.md"]),
        ("@.f:notes/a%20b.md", [".f:notes/a%20b.md"]),
    ],
)
def test_a_name_behind_an_at_sign_is_a_reference(text: str, expected: list[str]) -> None:
    assert names(text) == expected


@pytest.mark.parametrize(
    "text",
    ["see @a.md.", "see @a.md, then go", "is it @a.md?", "(see @a.md)", "[@a.md]", "@a.md: yes",
     "**@a.md**", "@a.md…", "`@a.md`", "@a.md!?", "@a.md;b", "见@a.md。好".replace("见", "见 ")],
)  # fmt: skip
def test_punctuation_around_a_reference_belongs_to_the_sentence(text: str) -> None:
    assert names(text) == ["a.md"]


def test_balanced_brackets_belong_to_the_name() -> None:
    assert names("(@a(1).md and @b(2))") == ["a(1).md", "b(2)"]


@pytest.mark.parametrize(
    "text",
    ["me@example.com", "first.last+tag@example.org", "a@b", "git@host:x/y.git", "@", "@ x", "a @ b",
     '@""', '@" "', "@@", "@...", "x/@y"],
)  # fmt: skip
def test_e_mail_addresses_and_bare_at_signs_are_not_references(text: str) -> None:
    assert names(text) == []


def test_each_name_is_returned_once_and_in_order() -> None:
    assert names("@b @a @b") == ["b", "a"]


def test_a_known_label_may_have_spaces_without_quotes() -> None:
    assert names("sum up @my file.md now", "my file.md", "my") == ["my file.md"]


def test_the_longest_known_label_wins_but_not_in_the_middle_of_a_name() -> None:
    assert names("@a.md.bak @a.md", "a.md") == ["a.md.bak", "a.md"]


def test_a_known_label_ends_where_a_script_without_spaces_goes_on() -> None:
    assert names("@メモ.mdを要約", "メモ.md") == ["メモ.md"]


def test_positions_cover_the_at_sign_and_the_name() -> None:
    text = 'x @"a b" y @c.'
    assert [text[found.start : found.end] for found in find_references(text)] == ['@"a b"', "@c"]


def test_a_flood_of_references_is_bounded() -> None:
    assert len(find_references(" ".join(f"@{number}" for number in range(5000)))) == 100
    assert find_references("@" * 1_000_000) == []


@given(st.text(st.characters(exclude_characters='"\n', exclude_categories=["Cs"]), min_size=1))
def test_any_name_can_be_written_in_quotes(name: str) -> None:
    if name.strip():
        assert names(f'see @"{name}" now')[:1] == [name]


@given(st.text(max_size=200), st.lists(st.text(max_size=10), max_size=4))
def test_any_text_is_taken(text: str, known: list[str]) -> None:
    for reference in find_references(text, known):
        assert text[reference.start] == "@"
        assert reference.name
        assert reference.name in text[reference.start : reference.end]
