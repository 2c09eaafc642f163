"""The places that an answer names."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgoped.prompts import ContextItem, ContextSource, Window, assemble, find_citations
from sgoped.prompts.citations import MAX_CITATIONS, NO_SUCH_FILE, NOT_SENT, SEVERAL

PAGE = "app/[id]/page.tsx"


def item(path: str, *lines: tuple[int, int], total: int = 100, name: str = "") -> ContextItem:
    return ContextItem(
        name or path.rpartition("/")[2], path, "memory", lines, total, 9, "attached", "", "best"
    )


ITEMS = (
    item("notes/a.md", (1, 20), (40, 60)),
    item(PAGE, (1, 30)),
    item("left/out.md"),
    ContextItem("my upload, v2.txt", "", "upload", ((1, 3),), 3, 9, "attached", "", "whole"),
)


def places(answer: str) -> list[tuple[str, int | None, int | None]]:
    """Those that were sent."""
    return [
        (found.path or found.name, found.line_start, found.line_end)
        for found in find_citations(answer, ITEMS)
        if not found.reason
    ]


def reasons(answer: str) -> list[str]:
    return [found.reason for found in find_citations(answer, ITEMS)]


@pytest.mark.parametrize(
    ("written", "first", "last"),
    [
        ("[notes/a.md:12]", 12, 12),
        ("[a.md:12-14]", 12, 14),
        ("[a.md:14-12]", 12, 14),
        ("[a.md:L12-L14]", 12, 14),
        ("[a.md#L12-L14]", 12, 14),
        ("[a.md, lines 12-14]", 12, 14),
        ("[a.md, line 12]", 12, 12),
        ("[a.md lines 12 to 14]", 12, 14),
        ("[a.md (lines 12-14)]", 12, 14),
        ("[a.md: 12]", 12, 12),
        ("[a.md:12:7]", 12, 12),
        ("[a.md:12\N{EN DASH}14]", 12, 14),
        ("`[a.md:12]`", 12, 12),
        ("[`a.md:12`]", 12, 12),
        ("[`a.md`:12]", 12, 12),
        ("**[a.md:12]**", 12, 12),
        ("[@a.md:12]", 12, 12),
        ("[./notes/a.md:12]", 12, 12),
        ("[A.MD:12]", 12, 12),
        ("[see [a.md:12]]", 12, 12),
        ("\N{LEFT BLACK LENTICULAR BRACKET}a.md:12\N{RIGHT BLACK LENTICULAR BRACKET}", 12, 12),
    ],
)
def test_many_spellings_mean_a_place(written: str, first: int, last: int) -> None:
    assert places(f"So it is {written}, they say.") == [("notes/a.md", first, last)]


def test_a_file_without_lines_is_a_place_too() -> None:
    assert places("[a.md]") == [("notes/a.md", None, None)]


def test_names_may_have_brackets_commas_and_spaces() -> None:
    assert places(f"[{PAGE}:3] and [page.tsx:4]") == [(PAGE, 3, 3), (PAGE, 4, 4)]
    assert places("[my upload, v2.txt:2-3]") == [("my upload, v2.txt", 2, 3)]


def test_several_places_may_share_their_brackets() -> None:
    assert places("[a.md:1, 3-4; page.tsx:5, notes/a.md:7]") == [
        ("notes/a.md", 1, 1),
        ("notes/a.md", 3, 4),
        (PAGE, 5, 5),
        ("notes/a.md", 7, 7),
    ]


@pytest.mark.parametrize(
    "text",
    ["[1]", "[^1]", "[x](http://a.md)", "[a.md:1](http://x)", "[TODO]", "[ ]", "x[1:2]", "[12:30]",
     "[http://x.org:80]", "[127.0.0.1:8080]", "[]", "a.md:12", "```\n[a.md:12]\n```", "[i:3]",
     "~~~py\nx[a.md:12]\n", "[note 3]", "[e.g.]"],
)  # fmt: skip
def test_what_is_no_place_is_left_alone(text: str) -> None:
    assert find_citations(text, ITEMS) == []


def test_behind_a_code_block_it_is_text_again() -> None:
    assert places("```\n[a.md:1]\n``` x\n[a.md:2]\n```\n[a.md:3]") == [("notes/a.md", 3, 3)]


def test_each_place_is_told_once_in_the_order_of_the_answer() -> None:
    assert places("[a.md:9] [a.md:3] [notes/a.md:9]") == [
        ("notes/a.md", 9, 9),
        ("notes/a.md", 3, 3),
    ]


def test_what_was_not_sent_is_told_with_the_reason() -> None:
    assert reasons("[a.md:21] [a.md:15-45] [a.md:0] [out.md:1] [out.md]") == [NOT_SENT] * 5
    assert reasons("[a.md:99-101]") == ["the file has only 100 lines"]
    assert reasons("[invented.md:3] [other/a.txt]") == [NO_SUCH_FILE] * 2


def test_a_name_of_several_files_is_none() -> None:
    items = (item("x/a.md", (1, 5)), item("y/a.md", (1, 5)), item("y/z/a.md", (1, 5)))
    assert [found.reason for found in find_citations("[a.md:1] [x/a.md:1] [z/a.md:1]", items)] == [
        SEVERAL,
        "",
        "",
    ]


def test_adjoining_ranges_are_one_and_outlined_and_cut_lines_count() -> None:
    sent = ContextItem(
        *("a.md", "a.md", "memory", ((1, 4), (5, 9)), 99, 1, "attached", "", ""),
        ((11, 1, 9),),
        (50,),
    )
    found = find_citations("[a.md:3-7] [a.md:11] [a.md:50] [a.md:10]", [sent])
    assert [citation.reason for citation in found] == ["", "", "", NOT_SENT]


def test_the_number_on_a_line_is_the_one_that_resolves() -> None:
    text = "".join(f"line {number}\n" for number in range(1, 2000))
    prompt = assemble(
        "line 1234", [ContextSource("a.md", text, "memory", "a.md")], window=Window(2000)
    )
    assert "1234| line 1234\n" in prompt.messages[-1].content
    (found,) = find_citations("It is there [a.md:1234].", prompt.items)
    assert found.reason == ""
    (found,) = find_citations("It is there [a.md:600].", prompt.items)
    assert found.reason == NOT_SENT


HOSTILE = st.lists(
    st.sampled_from(
        ["[", "]", "a.md", ":1", "-", "L", ", ", ";", "`", "```\n", "\n", " ", "9" * 12, "[a.md:12]",
         "(", ")", "x", PAGE, "\N{LEFT BLACK LENTICULAR BRACKET}", "line ", "\ud800"]
    ),
    max_size=200,
).map("".join)  # fmt: skip


@settings(max_examples=300)
@given(HOSTILE | st.text(max_size=500))
def test_any_answer_can_be_read(answer: str) -> None:
    for found in find_citations(answer, ITEMS):
        assert found.text in answer
        if not found.reason and found.line_start is not None and found.line_end is not None:
            assert 1 <= found.line_start <= found.line_end
            assert any(
                first <= found.line_start and found.line_end <= last
                for sent in ITEMS
                for first, last in ((1, 20), (40, 60), (1, 30), (1, 3))
                if sent.path == found.path
            )


@pytest.mark.parametrize(
    "piece",
    ["[", "[a", "[[a]", "[a.md:", "[" + "a, " * 130 + "]", "[" + ":1" * 199 + "]", "```\n", "]" * 9,
     "[" + " " * 399 + "]", "[" + "[a]" * 300, "[a.md:1]", "`[" * 5, "[" + "1" * 399 + "]"],
)  # fmt: skip
def test_a_hostile_answer_of_a_megabyte_is_read_within_the_time_limit(piece: str) -> None:
    answer = piece * (2**20 // len(piece))
    assert len(find_citations(answer, ITEMS)) <= MAX_CITATIONS


def test_two_uploads_of_one_name_are_several() -> None:
    uploads = [
        ContextItem("a.txt", "", "upload", ((1, total),), total, 9, "attached", "", "whole")
        for total in (2, 20)
    ]
    (found,) = find_citations("[a.txt:9]", uploads)
    assert found.reason == SEVERAL


def test_slashes_may_lean_either_way() -> None:
    assert places(r"[notes\a.md:12]") == [("notes/a.md", 12, 12)]
    upload = ContextItem(r"C:\Docs\b.md", "", "upload", ((1, 3),), 3, 9, "attached", "", "whole")
    for answer in (r"[C:\Docs\b.md:2]", "[b.md:2]", "[docs/b.md:2]"):
        (found,) = find_citations(answer, [upload])
        assert (found.name, found.line_start, found.reason) == (upload.name, 2, "")


def test_a_line_that_no_file_has_is_told() -> None:
    (found,) = find_citations("[notes/a.md:99999999999]", ITEMS)
    assert found.reason == "the file has only 100 lines"


def test_there_is_a_most_of_them() -> None:
    answer = " ".join(f"[f{number}.md:1]" for number in range(3000))
    assert len(find_citations(answer, ITEMS)) == MAX_CITATIONS
