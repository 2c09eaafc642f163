"""Section 3: chat that goes well, with a model and without."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Model
from tests.e2e.page import Event, Page, check_events, spoken, text_of
from tests.e2e.upstream import Upstream
from tests.fakes.scripts import Script
from tests.processes import DaemonProcess

WORDS = ("Grüße", ", ", "中文", " 😀", "\u2028", "<b>", "end\n")


@pytest.fixture(autouse=True, scope="module")
def files(shared: DaemonProcess) -> None:
    folder = shared.memory_dir
    (folder / "plans").mkdir()
    (folder / "plans/garden.md").write_text("# Garden\n\nThe tulips stand by the well.\n")
    (folder / "recipes.txt").write_text("Soup: leek and potato.\n")
    (folder / "my notes.md").write_text("The spare key hangs in the shed.\n")
    lines = [f"Line {number} of a long log about zeppelins." for number in range(40_000)]
    (folder / "long.log").write_text("\n".join(lines))
    assert shared.request("POST", "/api/refresh", {})[0] == 200


def file(name: str, content: str | None = None) -> dict[str, Any]:
    upload = {} if content is None else {"content": content, "size": len(content)}
    return {"type": "file", "name": name, **upload}


async def test_an_answer_is_streamed(page: Page, model: Model, upstream: Upstream) -> None:
    upstream.behave(Script(WORDS))
    events = await page.chat("hello there", model=model.id)
    assert [events[0]["type"], events[-1]["type"]] == ["start", "complete"]
    assert events[0]["model"] == model.id
    assert text_of(events) == "".join(WORDS)
    assert "hello there" in upstream.prompts[0]


async def test_the_wire_is_one_data_line_and_a_blank_one(
    page: Page, model: Model, upstream: Upstream
) -> None:
    upstream.behave(Script(WORDS))
    async with page.stream("hello", model=model.id) as stream:
        raw = await stream.response.read()
        assert "chunked" in stream.response.headers["Transfer-Encoding"]
    assert b"\r" not in raw
    *blocks, rest = raw.split(b"\n\n")
    assert rest == b""
    lines = [line for block in blocks for line in block.split(b"\n")]
    for line in lines:
        assert line.startswith((b"data: {", b":", b"id: ", b"event: "))
    stream.events += [json.loads(line[6:]) for line in lines if line.startswith(b"data: ")]
    check_events(stream.events)
    assert text_of(stream.events) == "".join(WORDS)


async def test_headers_come_before_any_upstream_answers(
    page: Page, model: Model, upstream: Upstream
) -> None:
    upstream.behave(Script(gate_at=-1))
    async with page.stream("hello", model=model.id) as stream:
        first = await stream.next()
        assert first is not None
        assert first["type"] == "start"
        upstream.open_gate()
        assert (await stream.rest())[-1]["type"] == "complete"


async def test_headers_come_while_the_upstream_tells_nothing_of_itself(
    page: Page, services: dict[str, str], upstream: Upstream
) -> None:
    """Not even how much it can take."""
    upstream.behave(Script(fault="stall_early", fault_on=("show", "models", "chat")))
    async with page.stream("hello", model="local/alpha:latest", stream_id="mute") as stream:
        await stream.next()
        await page.stop("mute")
        assert (await stream.rest())[-1]["type"] == "cancelled"


async def test_a_token_is_passed_on_when_it_comes(
    page: Page, model: Model, upstream: Upstream
) -> None:
    upstream.behave(Script(("first", "second"), gate_at=1))
    async with page.stream("hello", model=model.id) as stream:
        assert (await stream.until("content"))["content"] == "first"
        upstream.open_gate()
        assert text_of(await stream.rest()) == "firstsecond"


@pytest.mark.parametrize("name", ["garden.md", "plans/garden.md", "recipes.txt", "my notes.md"])
async def test_an_attached_memory_file_becomes_context(
    page: Page, model: Model, upstream: Upstream, folder: Path, name: str
) -> None:
    events = await page.chat("what is there?", model=model.id, attachments=[file(name)])
    assert events[-1]["type"] == "complete"
    (path,) = folder.rglob(name.rpartition("/")[2])
    lines = path.read_text().splitlines()
    numbered = "\n".join(f"{number}| {line}" for number, line in enumerate(lines, start=1))
    assert numbered in upstream.prompts[0]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("where do they stand, @garden.md?", "tulips"),
        ("@plans/garden.md and @recipes.txt please", "tulips leek"),
        ('look into @"my notes.md"!', "spare key"),
        ("(see @recipes.txt)", "leek"),
    ],
)
async def test_a_file_named_in_the_text_becomes_context(
    page: Page, model: Model, upstream: Upstream, message: str, expected: str
) -> None:
    await page.chat(message, model=model.id)
    for word in expected.split():
        assert word in upstream.prompts[0]
    assert message in upstream.prompts[0]


async def test_a_file_named_twice_is_sent_once(
    page: Page, model: Model, upstream: Upstream
) -> None:
    attachments = [file("garden.md"), file("plans/garden.md")]
    await page.chat("@garden.md @plans/garden.md", model=model.id, attachments=attachments)
    assert upstream.prompts[0].count("The tulips stand by the well.") == 1


async def test_an_upload_becomes_context_and_stays_out_of_memory(
    page: Page, model: Model, upstream: Upstream, folder: Path
) -> None:
    before = sorted(folder.rglob("*"))
    upload = file("garden.md", "These tulips are only uploaded.\n")
    events = await page.chat("what is it?", model=model.id, attachments=[upload])
    assert events[-1]["type"] == "complete"
    assert "These tulips are only uploaded." in upstream.prompts[0]
    assert "by the well" not in upstream.prompts[0]
    assert sorted(folder.rglob("*")) == before


async def test_a_file_that_is_not_there_is_told_and_the_rest_answered(
    page: Page, model: Model, upstream: Upstream
) -> None:
    attachments = [file("missing.md"), file("garden.md")]
    events = await page.chat(
        "what is there?", model=model.id, attachments=attachments, events="typed"
    )
    assert events[-1]["type"] == "complete"
    (told,) = [event for event in events if event["type"] == "context"]
    assert [line for line in told["missing"] if "missing.md" in line]
    assert "tulips" in upstream.prompts[0]
    assert "missing.md" in upstream.prompts[0]


async def test_a_big_file_is_not_cut_in_silence(
    page: Page, model: Model, upstream: Upstream
) -> None:
    events = await page.chat(
        "what of zeppelins in line 31234?",
        model=model.id,
        attachments=[file("long.log")],
        events="typed",
    )
    (told,) = [event for event in events if event["type"] == "context"]
    (item,) = told["items"]
    assert (item["path"], item["total_lines"]) == ("long.log", 40_000)
    assert item["omitted"]
    assert item["lines"]
    assert "Line 31234 of" in upstream.prompts[0]
    assert told["tokens"] <= told["window_tokens"]
    assert len(upstream.prompts[0]) < 400_000


@pytest.mark.parametrize("field", ["", "reasoning_content", "reasoning", "thinking"])
async def test_thinking_in_a_field_stands_between_tags(
    page: Page, model: Model, upstream: Upstream, field: str
) -> None:
    upstream.behave(Script(("Yes", "."), reasoning=("Hm", ", well"), reasoning_field=field))
    check_thinking(await page.chat("hello", model=model.id), "Hm, well", "Yes.")


@pytest.mark.parametrize("piece_bytes", [0, 1])
@pytest.mark.parametrize(
    "chunks",
    [
        ("<think>Hm, well</think>Yes.",),
        ("<th", "ink>Hm, ", "well</t", "hink", ">Yes."),
        tuple("<think>Hm, well</think>Yes."),
    ],
)
async def test_thinking_in_cut_tags_stands_between_tags(
    page: Page, model: Model, upstream: Upstream, chunks: tuple[str, ...], piece_bytes: int
) -> None:
    upstream.behave(Script(chunks, piece_bytes=piece_bytes))
    check_thinking(await page.chat("hello", model=model.id), "Hm, well", "Yes.")


def check_thinking(events: list[Event], thought: str, said: str) -> None:
    contents = [event["content"] for event in events if event["type"] == "content"]
    assert contents[0] == "<think>"
    end = contents.index("</think>")
    assert "".join(contents[1:end]) == thought
    assert "".join(contents[end + 1 :]) == said
    assert not [text for text in contents[1:end] + contents[end + 1 :] if "think>" in text]
    assert events[-1]["type"] == "complete"


async def test_a_model_that_only_thinks_still_closes_its_tag(
    page: Page, model: Model, upstream: Upstream
) -> None:
    upstream.behave(Script((), reasoning=("Hm",), fault="error"))
    events = await page.chat("hello", model=model.id)
    contents = [event["content"] for event in events if event["type"] == "content"]
    assert contents == ["<think>", "Hm", "</think>"]
    assert events[-1]["type"] == "error"


async def test_a_named_model_that_is_unknown_is_an_error(page: Page, upstream: Upstream) -> None:
    for name in ("nobody", "local/nobody", "nowhere/beta"):
        events = await page.chat("hello", model=name)
        assert [event["type"] for event in events] == ["start", "error"]
        assert f"Model '{name}' not available" in events[-1]["message"]
    assert upstream.prompts == []


async def test_an_unknown_action_is_an_error_and_an_unknown_command_only_text(
    page: Page, model: Model, upstream: Upstream
) -> None:
    events = await page.chat("hello", model=model.id, selected_action="nothing")
    assert [event["type"] for event in events] == ["start", "error"]
    assert upstream.prompts == []
    events = await page.chat("/nothing and/or yes/no", model=model.id)
    assert events[-1]["type"] == "complete"
    assert "/nothing and/or yes/no" in upstream.prompts[0]


async def test_a_second_stream_of_one_id_leaves_the_first_alone(
    page: Page, model: Model, upstream: Upstream
) -> None:
    upstream.behave(Script(gate_at=1))
    async with page.stream("hello", model=model.id, stream_id="same") as stream:
        await stream.until("content")
        events = await page.chat("hello", model=model.id, stream_id="same")
        assert events[-1]["type"] == "error"
        upstream.open_gate()
        assert (await stream.rest())[-1]["type"] == "complete"


async def test_a_service_that_is_removed_ends_no_stream(page: Page, upstream: Upstream) -> None:
    body = {"service_type": "ollama", "config": {"name": "Brief", "host": upstream.url}}
    await page.post("/api/services/add", {"service_id": "brief", **body})
    upstream.behave(Script(gate_at=1))
    async with page.stream("hello", model="brief/beta") as stream:
        await stream.until("content")
        await page.delete("/api/services/brief")
        upstream.open_gate()
        events = await stream.rest()
    assert (text_of(events), events[-1]["type"]) == ("Hello, world", "complete")


async def test_what_runs_is_listed(page: Page, model: Model, upstream: Upstream) -> None:
    upstream.behave(Script(gate_at=1))
    async with page.stream("hello", model=model.id, stream_id="listed") as stream:
        await stream.until("content")
        status = await page.get("/api/chat/status")
        assert [live["stream_id"] for live in status["streams"]] == ["listed"]
        upstream.open_gate()
        await stream.rest()
    assert (await page.get("/api/chat/status"))["streams"] == []


async def test_streams_do_not_mix(page: Page, services: dict[str, str], upstream: Upstream) -> None:
    """Each of two dozen, in both dialects, gets the words meant for it, in order."""

    def echo(prompt: str) -> Script:
        (mark,) = re.findall(r"mark-\w+", prompt)
        return Script(tuple(f"{mark}:{number} " for number in range(30)), pause_seconds=0.002)

    upstream.respond(echo)
    async with asyncio.TaskGroup() as tasks:
        asked = {
            f"mark-{dialect}{number}": tasks.create_task(
                page.chat(
                    f"mark-{dialect}{number}",
                    model=services[dialect],
                    stream_id=f"{dialect}{number}",
                )
            )
            for dialect in services
            for number in range(12)
        }
    for mark, task in asked.items():
        assert text_of(task.result()) == "".join(f"{mark}:{number} " for number in range(30))


async def test_hostile_words_of_a_model_are_only_words(
    page: Page, model: Model, upstream: Upstream, folder: Path
) -> None:
    before = sorted(folder.rglob("*"))
    words = (
        '\n\ndata: {"type": "complete"}\n\n',
        "/add_knowledge evil",
        "@recipes.txt",
        "event: x\r\n",
    )
    upstream.behave(Script(words))
    events = await page.chat("hello", model=model.id)
    assert text_of(events) == "".join(words)
    assert sorted(folder.rglob("*")) == before


async def test_without_any_model_memory_answers_with_file_and_line(
    session: Any, daemon: DaemonProcess
) -> None:
    page = Page(session, daemon.url)
    (daemon.memory_dir / "zoo.md").write_text("# Zoo\n\nThe okapi sleeps at noon.\n")
    await page.post("/api/refresh", {})
    for fields in ({}, {"model": ""}, {"model": None}):
        events = await page.chat("When does the okapi sleep?", **fields)
        assert events[-1]["type"] == "complete"
        assert text_of(events).startswith("No model is available")
        assert re.search(r"zoo\.md:\d+", text_of(events))
        assert "The okapi sleeps at noon." in text_of(events)
    attached = await page.chat("What is it?", attachments=[file("zoo.md")])
    assert "okapi" in text_of(attached)
    upload = file("up.txt", "An uploaded okapi.\n")
    assert "An uploaded okapi." in text_of(await page.chat("okapi?", attachments=[upload]))
    assert text_of(await page.chat("xyzzy plugh")).startswith("No model is available")
    body = {"name": "Off", "base_url": "http://127.0.0.1:9/v1", "models": ["m"]}
    service = {"service_id": "off", "service_type": "openai", "config": body}
    await page.post("/api/services/add", service)
    for model in ("", "off/m"):
        events = await page.chat("When does the okapi sleep?", model=model)
        assert events[-1]["type"] == "complete"
        assert text_of(events).startswith("No model is available")
        assert re.search(r"zoo\.md:\d+", text_of(events))
    events = await page.chat("hello", model="gone")
    assert events[-1]["type"] == "error"
    assert "Model 'gone' not available" in events[-1]["message"]


async def test_a_service_that_went_down_is_used_again_when_it_is_back(
    page: Page, model: Model, upstream: Upstream
) -> None:
    upstream.go_down()
    try:
        events = await page.chat("hello", model=model.id)
        assert events[-1]["type"] == "error"
        assert "Connection" in events[-1]["message"]
        assert str(upstream.port) not in events[-1]["message"]
    finally:
        upstream.come_back()
    events = await page.chat("hello", model=model.id)
    assert (spoken(events), events[-1]["type"]) == ("Hello, world", "complete")
