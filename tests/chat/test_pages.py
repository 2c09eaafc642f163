"""Events packed into pages, and unpacked again."""

from __future__ import annotations

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgoped.chat import (
    ActionCompleted,
    ActionStarted,
    Cancelled,
    Citation,
    Citations,
    Completed,
    Content,
    ContextTold,
    Failed,
    RunEvent,
    ServiceTold,
    Started,
    UsageTold,
)
from sgoped.chat.pages import OF_ANOTHER_VERSION, Page, event_text, pack, text_event
from sgoped.prompts import ContextItem
from sgoped.web.run_events import event_json
from sgoped.web.wire import encode

ITEM = ContextItem(
    name="plan.md",
    path="notes/plan.md",
    origin="memory",
    lines=((1, 3), (7, 9)),
    total_lines=12,
    tokens=40,
    why="referenced",
    omitted="lines 4-6",
    chosen="the passages nearest to the question",
    cut_lines=((3, 0, 80),),
    outline_lines=(2, 5),
)
CITATION = Citation("[notes/plan.md:2]", "notes/plan.md", "plan.md", 2, 2, True, "")
EVERYTHING: tuple[RunEvent, ...] = (
    Started("s/beta", 1.25),
    ServiceTold("another model answers", "s/beta", "s/alpha", 1.5),
    ContextTold((ITEM,), ("x: not there",), ("a note",), 40, 8192, 2.0),
    Content("<think>", 3.0, "tag"),
    Content("hm \ud800 \u2028", 3.1, "thought"),
    Content("</think>", 3.2, "tag"),
    Content("ä\n", 0.1 + 0.2),
    Citations((CITATION,), 4.0),
    UsageTold("s/beta", 7, None, 9, 0.5, 1.5, None, 5.0),
    ActionStarted("add_knowledge", 6.0),
    ActionCompleted("add_knowledge", {"path": "a.md", "sizes": [1, None]}, 7.0),
    Completed(8.0, "length"),
    Cancelled("Stopped.", 9.0),
    Failed("Connection lost", 10.0),
)


def test_every_kind_of_event_is_the_same_after_packing() -> None:
    page = pack(5, EVERYTHING)
    assert (page.first, page.last) == (5, 4 + len(EVERYTHING))
    assert tuple(page.events()) == EVERYTHING
    assert tuple(text_event(event_text(event)) for event in EVERYTHING) == EVERYTHING


@pytest.mark.parametrize("typed", [True, False])
def test_on_the_wire_nothing_tells_that_an_event_was_packed(typed: bool) -> None:
    again = pack(1, EVERYTHING).events()
    assert [encode(event_json(event, typed=typed)) for event in again] == [
        encode(event_json(event, typed=typed)) for event in EVERYTHING
    ]


@given(
    st.lists(
        st.builds(
            Content,
            st.text(min_size=1),
            st.floats(allow_nan=False),
            st.sampled_from(["answer", "thought", "tag"]),
        ),
        min_size=1,
    )
)
def test_any_text_is_the_same_after_packing(events: list[Content]) -> None:
    assert pack(1, events).events() == events


def packed(rows: object) -> Page:
    return Page(1, 1, zlib.compress(json.dumps(rows).encode()))


def test_what_another_version_wrote_keeps_its_number() -> None:
    (unknown, known) = packed([["Hummed", {"at": 1.0}], ["a", 1.0, "x"]]).events()
    assert unknown == ServiceTold(OF_ANOTHER_VERSION, "", "", 0.0)
    assert known == Content("x", 1.0)
    (lacking,) = packed([["Started", {"model": "m"}]]).events()
    assert lacking == unknown
    (more,) = packed([["Started", {"model": "m", "at": 1.0, "mood": "good"}]]).events()
    assert more == Started("m", 1.0)


@pytest.mark.parametrize("data", [b"", b"garbled", zlib.compress(b"{")])
def test_a_damaged_page_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        Page(1, 1, data).events()


def test_tokens_take_little_room() -> None:
    events = [Content(f"token{number}", 1_700_000_000.0 + number / 50) for number in range(400)]
    assert pack(1, events).kept_bytes < 400 * 12
