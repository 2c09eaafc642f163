"""Section 3: every fault of an upstream, in both dialects: one end, last, and the text is kept."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.e2e.page import Event, Page, spoken, text_of
from tests.e2e.upstream import Upstream
from tests.fakes.scripts import Script

# What an upstream may be silent for; the other faults do not come near it.
ENVIRONMENT = {
    "SGOPED_FIRST_TOKEN_TIMEOUT_SECONDS": "2.5",
    "SGOPED_IDLE_TIMEOUT_SECONDS": "1.5",
}
WHOLE = "Hello, world"
ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+|localhost|:\d{2,5}\b|https?:")


async def ask_both(page: Page, services: dict[str, str]) -> list[list[Event]]:
    """The same question in both dialects at the same time."""
    async with asyncio.TaskGroup() as tasks:
        asked = [
            tasks.create_task(page.chat("hello", model=model, stream_id=dialect))
            for dialect, model in services.items()
        ]
    return [task.result() for task in asked]


@pytest.mark.parametrize(
    ("fault", "mark"),
    [
        ("400", "400"),
        ("401", "401"),
        ("403", "403"),
        ("404", "404"),
        ("302", "302"),
        ("204", "does not answer"),
        ("html", "does not answer"),
        ("trailing_html", "does not answer"),
        ("500", "500"),
        ("503", "503"),
        ("text_error", "500"),
        ("reset_early", "Connection"),
    ],
)
async def test_a_refusal_is_an_error_without_addresses(
    page: Page, services: dict[str, str], upstream: Upstream, fault: str, mark: str
) -> None:
    upstream.behave(Script(fault=fault))
    for events in await ask_both(page, services):
        assert [event["type"] for event in events] == ["start", "error"]
        assert mark in events[-1]["message"]
        assert not ADDRESS.search(events[-1]["message"])


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("fault", ["reset", "close", "error", "no_end", "huge_line"])
async def test_text_before_a_fault_is_kept(
    page: Page, services: dict[str, str], upstream: Upstream, fault: str, *, together: bool
) -> None:
    upstream.behave(Script(("one ", "two ", "three"), fault=fault, fault_at=2, together=together))
    for events in await ask_both(page, services):
        assert events[-1]["type"] == "error"
        assert events[-1]["message"]
        assert not ADDRESS.search(events[-1]["message"])
        if fault != "reset":  # a reset may discard what the kernel still held
            assert text_of(events) == "one two "
    assert len(upstream.prompts) == 2  # nothing was asked again


@pytest.mark.parametrize(
    ("fault", "fault_at", "said"),
    [("stall_early", 0, ""), ("stall", 0, ""), ("stall", 2, "Hello, ")],
)
async def test_silence_is_a_timeout_with_the_text_kept(
    *,
    page: Page,
    services: dict[str, str],
    upstream: Upstream,
    fault: str,
    fault_at: int,
    said: str,
) -> None:
    upstream.behave(Script(fault=fault, fault_at=fault_at))
    for events in await ask_both(page, services):
        assert events[-1]["type"] == "error"
        assert "timeout" in events[-1]["message"]
        assert text_of(events) == said
    await upstream.client_closed(2)


@pytest.mark.parametrize("fault", ["json", "json_lines", "bad_line"])
async def test_what_can_be_understood_is_an_answer(
    page: Page, services: dict[str, str], upstream: Upstream, fault: str
) -> None:
    upstream.behave(Script(fault=fault, fault_at=1))
    for events in await ask_both(page, services):
        assert (text_of(events), events[-1]["type"]) == (WHOLE, "complete")


@pytest.mark.parametrize("piece_bytes", [0, 1])
@pytest.mark.parametrize(
    "quirks",
    [("crlf", "no_space"), ("comments", "empty_choices", "null_deltas"), ("no_done",), ("cr",)],
)
async def test_strange_writing_is_read(
    page: Page,
    services: dict[str, str],
    upstream: Upstream,
    quirks: tuple[str, ...],
    piece_bytes: int,
) -> None:
    chunks = ("Grüße", " 😀", " 中文")
    upstream.behave(Script(chunks, quirks=quirks, piece_bytes=piece_bytes))
    for events in await ask_both(page, services):
        assert (text_of(events), events[-1]["type"]) == ("".join(chunks), "complete")


async def test_a_line_of_300_kb_is_read(
    page: Page, services: dict[str, str], upstream: Upstream
) -> None:
    upstream.behave(Script(("x" * 300_000, "y")))
    for events in await ask_both(page, services):
        assert (len(text_of(events)), events[-1]["type"]) == (300_001, "complete")


@pytest.mark.parametrize("retry_after", ["1", "soon", ""])
async def test_a_busy_service_is_asked_again(
    page: Page, services: dict[str, str], upstream: Upstream, retry_after: str
) -> None:
    upstream.behave(Script(fault="429", fault_times=2, retry_after=retry_after))
    for events in await ask_both(page, services):
        assert (text_of(events), events[-1]["type"]) == (WHOLE, "complete")
    assert len(upstream.prompts) == 4


async def test_a_service_that_is_busy_for_an_hour_is_an_error_at_once(
    page: Page, services: dict[str, str], upstream: Upstream
) -> None:
    upstream.behave(Script(fault="429", retry_after="3600"))
    for events in await ask_both(page, services):
        assert events[-1]["type"] == "error"
        assert "429" in events[-1]["message"]
    assert len(upstream.prompts) == 2


async def test_an_answer_without_words_is_an_error(
    page: Page, services: dict[str, str], upstream: Upstream
) -> None:
    upstream.behave(Script(()))
    for events in await ask_both(page, services):
        assert [event["type"] for event in events] == ["start", "error"]


async def test_a_fault_while_thinking_closes_the_tag(
    page: Page, services: dict[str, str], upstream: Upstream
) -> None:
    upstream.behave(Script(("<think>Hm", "x"), fault="close", fault_at=1))
    for events in await ask_both(page, services):
        assert text_of(events) == "<think>Hm</think>"
        assert (spoken(events), events[-1]["type"]) == ("", "error")
