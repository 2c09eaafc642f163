"""Names for files, from a model's answer, from the content, from a person."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sgoped.memory.document import safe_relative_path
from sgoped.prompts import (
    file_name_messages,
    name_from_answer,
    name_from_content,
    safe_file_name,
    snake_name,
    title_from_content,
    without_thoughts,
)

RESERVED = ["con", "PRN", "aux", "nul", "COM1", "lpt9"]
ANY_TEXT = st.text(max_size=300) | st.text(
    st.sampled_from("aB._-/\\:\"'` \n<>é字\u0301\u202e\uff21½")
)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("quarterly_report", "quarterly_report"),
        ("  Quarterly Report.md\n", "quarterly_report"),
        ('"meeting_notes"', "meeting_notes"),
        ("```\nmeeting_notes\n```", "meeting_notes"),
        ("```text\nmeeting_notes.txt\n```", "meeting_notes"),
        ("Sure! Here is a file name: **meeting_notes**", "meeting_notes"),
        ("Here's a name for it:\n\nmeeting_notes", "meeting_notes"),
        ("The file name could be `meeting_notes.md`, because it fits.", "meeting_notes"),
        ("I suggest meeting_notes as it is short.", "meeting_notes"),
        ("Filename: Meeting Notes", "meeting_notes"),
        ("<think>Let me call it bad_idea.</think>\nmeeting_notes", "meeting_notes"),
        ("so, bad_idea? no.</think>meeting_notes", "meeting_notes"),
        ("meeting_notes<think>or else other_name", "meeting_notes"),
        ("MeetingNotes2024", "meeting_notes2024"),
        ("- meeting_notes\n", "meeting_notes"),
        ("../../etc/passwd", "etc_passwd"),
        ("réunion_équipe", "réunion_équipe"),
        ("会議メモ", "会議メモ"),
        ("हिन्दी नोट", "हिन्दी_नोट"),
        ("", ""),
        ("<think>endless", ""),
        ("🎉🎉", ""),
        ("...", ""),
    ],
)
def test_the_name_is_taken_out_of_a_models_babble(answer: str, expected: str) -> None:
    assert name_from_answer(answer) == expected


@given(ANY_TEXT)
@example("\u0345 a")
@example("ﬃ.ﬃ")
def test_a_snake_name_is_short_safe_and_stable(text: str) -> None:
    name = snake_name(text)
    assert len(name) <= 65
    assert len(name.encode()) <= 190
    assert not name.startswith("_")
    assert not name.endswith("_")
    assert all(char == "_" or unicodedata.category(char)[0] in "LNM" for char in name)
    assert snake_name(name) == name
    if name:
        assert safe_relative_path(f"{name}.md") == f"{name}.md"


@given(ANY_TEXT)
def test_any_answer_gives_a_snake_name_or_nothing(answer: str) -> None:
    name = name_from_answer(answer)
    assert snake_name(name) == name


@pytest.mark.parametrize("name", RESERVED)
def test_windows_device_names_are_not_used(name: str) -> None:
    assert snake_name(name) == f"{name.lower()}_file"
    assert safe_file_name(f"{name}.txt").lower() == f"{name.lower()}_file.txt"


def test_a_long_name_is_cut_between_words() -> None:
    assert snake_name("one two three four five six seven") == "one_two_three_four_five_six"
    assert len(snake_name("a" * 500)) == 60


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("# My Plan for 2024\n\ntext", "my_plan_for_2024"),
        ("intro\n\n## Deep Dive ##\n", "deep_dive"),
        ("The walrus is asleep and it will not wake", "walrus_asleep_wake"),
        ("it is", "it_is"),
        ("# ###\nbread recipe", "bread_recipe"),
        ("!!!", "note"),
        ("", "note"),
        ("会議は明日です", "会議は明日です"),
    ],
)
def test_without_a_model_the_content_names_itself(content: str, expected: str) -> None:
    assert name_from_content(content) == expected


@given(ANY_TEXT)
def test_a_name_from_content_is_never_empty(content: str) -> None:
    name = name_from_content(content)
    assert name
    assert snake_name(name) == name


@given(ANY_TEXT)
def test_a_title_is_one_line(content: str) -> None:
    title = title_from_content(content, "Note")
    assert title
    assert len(title) <= 60
    assert len(title.splitlines()) == 1


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        ("notes.md", "notes.md"),
        ("CON.0", "CON_file.0.md"),
        ("My Notes (2).txt", "My Notes (2).txt"),
        ("notes", "notes.md"),
        ("v1.2 notes", "v1.2 notes.md"),
        ("report.2024", "report.2024.md"),
        ("data.json", "data.json"),
        ("photo.png", "photo.png.md"),
        ("../../etc/passwd", "passwd.md"),
        ("/etc/passwd", "passwd.md"),
        ("..\\..\\evil.txt", "evil.txt"),
        ("C:\\temp\\x.txt", "x.txt"),
        (".hidden", "hidden.md"),
        ("a:b?.md", "a_b_.md"),
        ("a\x00b\n.md", "ab.md"),
        ("gpj\u202eexe.txt", "gpjexe.txt"),
        ("dir/sub/", "sub.md"),
        ("  spaced.md  ", "spaced.md"),
        ("notes.md.", "notes.md"),
        ("заметки", "заметки.md"),
        ("..", ""),
        ("", ""),
        ("///", ""),
        (".md", "md.md"),
    ],
)
def test_a_given_name_is_kept_when_safe_and_made_safe_when_not(
    given_name: str, expected: str
) -> None:
    assert safe_file_name(given_name) == expected


@settings(max_examples=300)
@given(ANY_TEXT | st.text(st.characters(exclude_categories=()), max_size=400))
def test_a_given_name_never_leaves_the_folder_and_never_hides(given_name: str) -> None:
    name = safe_file_name(given_name)
    if name:
        assert safe_relative_path(name) == name
        assert "/" not in name
        assert len(name.encode()) <= 190
        assert safe_file_name(name) == name


def test_only_the_beginning_of_a_text_is_sent_for_a_name() -> None:
    ask = file_name_messages("x" * 100_000)[-1].content
    assert len(ask) < 5000


def test_thoughts_are_left_out() -> None:
    assert without_thoughts("<think>a</think>b<THINK>c</THINK>d") == "bd"
