"""The file that ``/add_knowledge`` makes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sgoped.actions import ActionRequest, Source
from sgoped.actions.knowledge_file import (
    TYPED,
    Summary,
    fallback_name,
    leaves_block_open,
    render_knowledge,
)

MARKDOWN = st.text(st.sampled_from("`~# >\n\rab")) | st.text(max_size=80)
SOURCE = st.builds(Source, st.text(max_size=20), MARKDOWN, st.sampled_from(["upload", "memory"]))


@given(MARKDOWN, st.lists(SOURCE, max_size=3), MARKDOWN)
@example("```\nunclosed", [Source("a`b\n# x.md", "````", "upload")], "> x\n```")
def test_every_text_is_held_verbatim(text: str, sources: list[Source], said: str) -> None:
    request = ActionRequest(text, tuple(sources))
    rendered = render_knowledge(request, {TYPED: Summary(said)} if said else {})
    if text.strip():
        assert text in rendered
    for source in sources:
        assert source.content in rendered
    assert rendered.startswith("# ")
    assert rendered.endswith("\n")


@given(MARKDOWN, MARKDOWN)
def test_no_text_can_pose_as_another_part(text: str, said: str) -> None:
    request = ActionRequest(text, (Source("s.txt", said, "upload"),))
    rendered = render_knowledge(request, {TYPED: Summary(said)} if said else {})
    before_source = rendered[: rendered.rindex("## Source: s.txt")]
    assert not leaves_block_open(before_source)
    assert not leaves_block_open(rendered)


def test_the_parts_come_in_their_order() -> None:
    request = ActionRequest("# Plan\n\nwords", (Source("up.py", "print(1)", "upload"),))
    summaries = {TYPED: Summary("short"), 0: Summary("one\ntwo", covers="parts 1 to 2 of 3")}
    assert render_knowledge(request, summaries) == (
        "# Plan\n\n"
        "## Summary\n\n> short\n\n"
        "## Summary of up.py\n\n> one\n> two\n\n(It covers parts 1 to 2 of 3.)\n\n"
        "## Text\n\n# Plan\n\nwords\n\n"
        "## Source: up.py (upload, no final newline)\n\n```py\nprint(1)\n```\n"
    )


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (ActionRequest("# My Plan\ntext"), "my_plan"),
        (ActionRequest("", (Source("Report Q3.txt", "x", "upload"),)), "report_q3"),
        (ActionRequest("", (Source("???", "# Inside", "upload"),)), "inside"),
        (ActionRequest("", (Source("...", "", "memory"),)), "note"),
    ],
)
def test_a_name_is_found_without_a_model(request_: ActionRequest, name: str) -> None:
    assert fallback_name(request_) == name


@pytest.mark.parametrize(
    ("text", "is_open"),
    [
        ("```\nx", True),
        ("```\nx\n```", False),
        ("````\n```", True),
        ("~~~\n```\n~~~", False),
        ("    ```\n", False),
        ("``` a`b\n", False),
        ("```\nx\n``` no", True),
        ("x\r```\r", True),
    ],
)
def test_open_code_blocks_are_recognised(text: str, *, is_open: bool) -> None:
    assert leaves_block_open(text) is is_open
