"""Every fault of an upstream, in both dialects, over a real connection."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from dataclasses import replace

import aiohttp
import pytest

from sgoped.errors import ServiceError
from sgoped.llm.ollama import OllamaConfig, OllamaService
from sgoped.llm.openai import OpenAIConfig, OpenAIService
from sgoped.llm.service import Timeouts
from sgoped.llm.transport import open_session
from sgoped.llm.types import Finished, Message, ReasoningDelta, StreamEvent, TextDelta, Usage
from tests.fakes.scripts import Script
from tests.fakes.upstream import FakeUpstream

AnyService = OllamaService | OpenAIService
HI = [Message("user", "hi")]
WHOLE = "Hello, world"


async def collect(
    service: AnyService, model: str = "beta"
) -> tuple[list[StreamEvent], ServiceError | None]:
    events: list[StreamEvent] = []
    try:
        async with aclosing(service.stream(model, HI)) as batches:
            async for batch in batches:
                assert batch
                events += batch
    except ServiceError as failure:
        return events, failure
    return events, None


def text_of(events: list[StreamEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def thought_of(events: list[StreamEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, ReasoningDelta))


def make(
    service: AnyService, upstream: FakeUpstream, session: aiohttp.ClientSession, limits: Timeouts
) -> AnyService:
    """The same dialect with other time limits."""
    if isinstance(service, OllamaService):
        return OllamaService(OllamaConfig(host=upstream.url), session, limits)
    return OpenAIService(OpenAIConfig(base_url=upstream.url), session, limits)


async def test_an_answer_is_streamed_with_counts_and_one_end(service: AnyService) -> None:
    events, failure = await collect(service)
    assert failure is None
    assert text_of(events) == WHOLE
    assert events[-1] == Finished("stop")
    assert Usage(7, 3) in events
    assert sum(isinstance(event, Finished) for event in events) == 1


@pytest.mark.parametrize(
    "quirks",
    [
        ("crlf", "no_space"),
        ("cr",),
        ("comments", "empty_choices", "null_deltas"),
        ("crlf", "comments", "null_deltas", "no_space"),
    ],
)
@pytest.mark.parametrize("piece_bytes", [0, 1, 7])
async def test_strange_but_whole_answers_are_read(
    service: AnyService, upstream: FakeUpstream, quirks: tuple[str, ...], piece_bytes: int
) -> None:
    chunks = ("Grüße", " 😀", " 中文", "\u2028", "end")
    upstream.behave(Script(chunks, quirks=quirks, piece_bytes=piece_bytes))
    events, failure = await collect(service)
    assert failure is None
    assert text_of(events) == "".join(chunks)
    assert events[-1] == Finished("stop")


async def test_a_300_kb_event_is_read(service: AnyService, upstream: FakeUpstream) -> None:
    upstream.behave(Script(("x" * 300_000, "y")))
    events, failure = await collect(service)
    assert (text_of(events), failure) == ("x" * 300_000 + "y", None)


@pytest.mark.parametrize("field", ["", "reasoning", "thinking", "reasoning_content"])
async def test_thinking_in_any_field_is_told_apart(
    service: AnyService, upstream: FakeUpstream, field: str
) -> None:
    upstream.behave(Script(reasoning=("first ", "this"), reasoning_field=field))
    events, _ = await collect(service)
    assert (thought_of(events), text_of(events)) == ("first this", WHOLE)


async def test_thinking_tags_cut_over_chunks_are_told_apart(
    service: AnyService, upstream: FakeUpstream
) -> None:
    upstream.behave(Script(("<th", "ink>first ", "this</thi", "nk>Hello")))
    events, _ = await collect(service)
    assert (thought_of(events), text_of(events)) == ("first this", "Hello")


@pytest.mark.parametrize("fault", ["json", "json_lines"])
async def test_an_answer_in_one_document_is_an_answer(
    service: AnyService, upstream: FakeUpstream, fault: str
) -> None:
    upstream.behave(Script(fault=fault))
    events, failure = await collect(service)
    assert (text_of(events), failure) == (WHOLE, None)
    assert isinstance(events[-1], Finished)


async def test_a_broken_line_in_the_middle_is_skipped_and_counted(
    service: AnyService, upstream: FakeUpstream
) -> None:
    upstream.behave(Script(fault="bad_line", fault_at=1))
    events, failure = await collect(service)
    assert (text_of(events), failure) == (WHOLE, None)
    assert events[-1] == Finished("stop", skipped_lines=1)


async def test_a_reason_to_stop_ends_an_answer_without_done(
    upstream: FakeUpstream, session: aiohttp.ClientSession, timeouts: Timeouts
) -> None:
    service = OpenAIService(OpenAIConfig(base_url=upstream.url), session, timeouts)
    for quirk in ("no_done", "silent_end"):
        upstream.behave(Script(quirks=(quirk,), finish_reason="length"))
        events, failure = await collect(service)
        assert (text_of(events), failure) == (WHOLE, None)
        assert events[-1] == Finished("length")


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("fault", "mark"),
    [
        ("reset", "Connection"),
        ("close", "Connection"),
        ("no_end", "without finishing"),
        ("error", "reported an error"),
        ("huge_line", "more at once"),
    ],
)
async def test_tokens_before_a_fault_are_delivered_and_then_it_is_raised(
    service: AnyService, upstream: FakeUpstream, fault: str, mark: str, together: bool
) -> None:
    upstream.behave(Script(("one ", "two ", "three"), fault=fault, fault_at=2, together=together))
    events, failure = await collect(service)
    assert failure is not None
    assert mark in failure.message
    if fault != "reset":  # a reset may discard what the kernel has not handed over
        assert text_of(events) == "one two "
    assert not any(isinstance(event, Finished) for event in events)


async def test_what_arrived_before_the_connection_broke_is_kept_for_a_slow_reader(
    service: AnyService, upstream: FakeUpstream
) -> None:
    """The reader of aiohttp would raise the error before it hands out what it holds."""
    upstream.behave(Script(("one ", "two ", "three"), fault="close", fault_at=2, gate_at=1))
    events: list[StreamEvent] = []
    batches = service.stream("beta", HI)
    events += await anext(batches)
    upstream.open_gate()
    await upstream.until(lambda: upstream.live_streams == 0)
    for _ in range(20):  # let the client's side take in both the bytes and the end
        await asyncio.sleep(0)
    events += await anext(batches)
    assert text_of(events) == "one two "
    with pytest.raises(ServiceError, match="Connection lost"):
        await anext(batches)


async def test_text_held_back_as_a_possible_tag_is_delivered_before_a_fault(
    service: AnyService, upstream: FakeUpstream
) -> None:
    upstream.behave(Script(("1 <", "2"), fault="error", fault_at=1))
    events, failure = await collect(service)
    assert text_of(events) == "1 <"
    assert failure is not None


@pytest.mark.parametrize(
    ("fault", "mark"),
    [
        ("400", "(400)"),
        ("401", "Authentication failed (401)"),
        ("403", "(403)"),
        ("404", "(404)"),
        ("500", "(500)"),
        ("503", "(503)"),
        ("302", "(302)"),
        ("204", "does not answer as an LLM service"),
        ("html", "does not answer as an LLM service"),
        ("trailing_html", "does not answer as an LLM service"),
        ("text_error", "(500)"),
        ("reset_early", "Connection lost"),
    ],
)
@pytest.mark.parametrize("question", ["chat", "models"])
async def test_a_refusal_is_a_fixed_phrase(
    service: AnyService, upstream: FakeUpstream, fault: str, mark: str, question: str
) -> None:
    upstream.behave(Script(fault=fault, fault_on=(question,)))
    if question == "chat":
        events, failure = await collect(service)
        assert events == []
    else:
        with pytest.raises(ServiceError) as raised:
            await service.models()
        failure = raised.value
    assert failure is not None
    assert mark in failure.message
    assert failure.__cause__ is None
    assert failure.__suppress_context__ or failure.__context__ is None
    assert not re.search(r"127\.|10\.|localhost|:\d|http", failure.message)


async def test_a_redirect_is_never_followed(service: AnyService, upstream: FakeUpstream) -> None:
    upstream.behave(Script(fault="302"))
    await collect(service)
    assert len(upstream.chats) == 1


async def test_a_kept_connection_that_was_closed_meanwhile_is_no_fault() -> None:
    document = b'{"message":{"content":"hi"},"done":true}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(document), document)
    requests: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = re.search(rb"(?i)content-length: (\d+)", head)
        await reader.readexactly(int(size[1]) if size else 0)
        requests.append(1)
        writer.write(answer)
        await reader.read(1)  # of the next request: too late, it closes now
        writer.close()

    no_second_try = Timeouts(retry_seconds=0, retry_pause_seconds=60)
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with asyncio.timeout(20), server, open_session(no_second_try) as session:
        service = OllamaService(OllamaConfig(host=f"127.0.0.1:{port}"), session, no_second_try)
        for _ in range(3):
            batches = [batch async for batch in service.stream("m", HI)]
            assert text_of([event for batch in batches for event in batch]) == "hi"
    assert len(requests) == 3


@pytest.mark.parametrize("fault", ["429", "500", "503", "reset_early"])
async def test_what_passes_is_tried_again_before_the_first_byte(
    service: AnyService, upstream: FakeUpstream, fault: str
) -> None:
    upstream.behave(Script(fault=fault, fault_times=2))
    events, failure = await collect(service)
    assert (text_of(events), failure) == (WHOLE, None)
    assert len(upstream.chats) == 3


@pytest.mark.parametrize("fault", ["429", "503"])
async def test_trying_again_ends(service: AnyService, upstream: FakeUpstream, fault: str) -> None:
    upstream.behave(Script(fault=fault))
    _, failure = await collect(service)
    assert failure is not None
    assert len(upstream.chats) == 3


@pytest.mark.parametrize(
    ("retry_after", "tries", "told"),
    [
        ("0.02", 3, 0.02),
        ("3600", 1, 3600.0),
        ("soon", 3, None),
        ("-5", 3, None),
        ("nan", 3, None),
        ("Wed, 21 Oct 2037 07:28:00 GMT", 1, float("inf")),
    ],
)
async def test_retry_after_is_honoured_within_its_bound(
    service: AnyService,
    upstream: FakeUpstream,
    retry_after: str,
    tries: int,
    told: float | None,
) -> None:
    upstream.behave(Script(fault="429", retry_after=retry_after))
    _, failure = await collect(service)
    assert failure is not None
    assert "(429)" in failure.message
    assert failure.retry_after_seconds == told
    assert len(upstream.chats) == tries


@pytest.mark.parametrize("fault", ["401", "404", "400", "302", "html"])
async def test_what_does_not_pass_is_not_tried_again(
    service: AnyService, upstream: FakeUpstream, fault: str
) -> None:
    upstream.behave(Script(fault=fault))
    await collect(service)
    assert len(upstream.chats) == 1


@pytest.mark.parametrize("fault", ["reset", "error", "no_end"])
async def test_nothing_is_tried_again_after_the_first_byte(
    service: AnyService, upstream: FakeUpstream, fault: str
) -> None:
    upstream.behave(Script(fault=fault, fault_at=1))
    await collect(service)
    assert len(upstream.chats) == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("This model's maximum context length is 8192 tokens", "prompt_too_long"),
        ("model requires more system memory (5.6 GiB) than is available", "service_memory"),
        ("insufficient_quota", "service_quota"),
    ],
)
@pytest.mark.parametrize("fault", ["400", "error"])
async def test_well_known_causes_have_their_own_phrase(
    service: AnyService, upstream: FakeUpstream, body: str, code: str, fault: str
) -> None:
    upstream.behave(Script(fault=fault, error_body=body))
    _, failure = await collect(service)
    assert failure is not None
    assert failure.code == code
    assert body not in failure.message


@pytest.mark.parametrize(
    ("fault", "chunks", "phrase"),
    [
        ("stall_early", 0, "First token timeout"),
        ("stall", 0, "First token timeout"),
        ("stall", 2, "Idle timeout"),
    ],
)
async def test_silence_ends_in_a_timeout_with_the_text_kept(
    *,
    service: AnyService,
    upstream: FakeUpstream,
    session: aiohttp.ClientSession,
    timeouts: Timeouts,
    fault: str,
    chunks: int,
    phrase: str,
) -> None:
    limits = replace(
        timeouts,
        first_token_seconds=20 if chunks else 0.1,
        idle_seconds=0.1 if chunks else 20,
    )
    upstream.behave(Script(fault=fault, fault_at=chunks))
    events, failure = await collect(make(service, upstream, session, limits))
    assert text_of(events) == "".join(Script().chunks[:chunks])
    assert failure is not None
    assert failure.message.startswith(phrase)
    await upstream.client_closed()


async def test_a_silent_question_ends_in_a_timeout(
    service: AnyService, upstream: FakeUpstream, session: aiohttp.ClientSession, timeouts: Timeouts
) -> None:
    upstream.behave(Script(fault="stall_early", fault_on=("models",)))
    quick = make(service, upstream, session, replace(timeouts, request_seconds=0.1))
    with pytest.raises(ServiceError, match="Request timeout"):
        await quick.models()


async def test_nobody_listening_is_a_connection_failure_at_once(
    service: AnyService, upstream: FakeUpstream
) -> None:
    await upstream.stop()
    _, failure = await collect(service)
    assert failure is not None
    assert failure.message.startswith("Connection failed")
    with pytest.raises(ServiceError, match="Connection failed"):
        await service.models()


@pytest.mark.parametrize("gate_at", [-1, 0, 1])
async def test_cancelling_closes_the_connection_of_a_silent_upstream(
    service: AnyService, upstream: FakeUpstream, gate_at: int
) -> None:
    upstream.behave(Script(gate_at=gate_at))
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(collect(service))
        await upstream.until(lambda: upstream.live_streams == 1)
        reading.cancel()
    await upstream.client_closed()


async def test_closing_the_stream_closes_the_connection(
    service: AnyService, upstream: FakeUpstream
) -> None:
    upstream.behave(Script(gate_at=1))
    batches = service.stream("beta", HI)
    assert text_of(list(await anext(batches))) == "Hello"
    await batches.aclose()
    await upstream.client_closed()


async def test_an_upstream_waits_for_a_reader_that_does_not_read(
    service: AnyService, upstream: FakeUpstream
) -> None:
    """Unread bytes are bounded: flow control reaches the service."""
    chunks = ("x" * 100_000,) * 300
    upstream.behave(Script(chunks))
    batches = service.stream("beta", HI)
    await anext(batches)
    for _ in range(300):
        await asyncio.sleep(0)
    assert upstream.live_streams == 1
    await batches.aclose()
    await upstream.client_closed()


async def test_events_of_one_read_come_in_one_batch(
    service: AnyService, upstream: FakeUpstream
) -> None:
    upstream.behave(Script(tuple("abcdef"), together=True))
    batches = [list(batch) async for batch in service.stream("beta", HI)]
    assert text_of(batches[0]) == "abcdef"


async def test_a_flood_of_tokens_leaves_others_their_turn(
    service: AnyService, upstream: FakeUpstream
) -> None:
    chunks = tuple(f"{number} " for number in range(10_000))
    upstream.behave(Script(chunks, together=True))
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    batches, turns_before = [], []
    async with asyncio.TaskGroup() as group:
        other = group.create_task(take_turns())
        async for batch in service.stream("beta", HI):
            batches.append(text_of(list(batch)))
            turns_before.append(turns)
        other.cancel()
    assert "".join(batches) == "".join(chunks)
    assert max(len(batch.split()) for batch in batches) < 2_000, "more than 60 bytes each"
    assert len(set(turns_before)) > len(batches) // 2


async def test_an_answer_without_any_text_is_an_error_only_without_a_reason(
    service: AnyService, upstream: FakeUpstream
) -> None:
    upstream.behave(Script(()))
    events, failure = await collect(service)
    assert failure is None
    assert isinstance(events[-1], Finished)
    upstream.behave(Script((), fault="no_end"))
    events, failure = await collect(service)
    assert failure is not None


async def test_the_models_are_listed_without_spending_tokens(
    service: AnyService, upstream: FakeUpstream
) -> None:
    assert await service.models() == ["alpha:latest", "beta"]
    assert upstream.chats == []


async def test_the_window_is_what_the_upstream_says(
    service: AnyService, upstream: FakeUpstream
) -> None:
    assert await service.context_tokens("alpha:latest") == 32768
    asked = len(upstream.requests)
    assert await service.context_tokens("alpha:latest") == 32768
    assert len(upstream.requests) == asked
    assert await service.context_tokens("beta") is None


async def test_the_request_says_what_was_asked(service: AnyService, upstream: FakeUpstream) -> None:
    messages = [Message("system", "be brief"), Message("user", "hi\ud800")]
    async for _ in service.stream("beta", messages, context_tokens=16384):
        pass
    body = upstream.chats[0].body
    assert body["model"] == "beta"
    assert body["stream"] is True
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    if isinstance(service, OllamaService):
        assert body["options"] == {"num_ctx": 16384}


async def test_a_megabyte_prompt_is_sent(service: AnyService, upstream: FakeUpstream) -> None:
    async for _ in service.stream("beta", [Message("user", "x" * 3_000_000)]):
        pass
    assert len(upstream.chats[0].body["messages"][0]["content"]) == 3_000_000


async def test_the_key_is_sent_and_never_told(
    upstream: FakeUpstream, session: aiohttp.ClientSession, timeouts: Timeouts
) -> None:
    upstream.key = "sk-planted"
    config = OpenAIConfig(base_url=upstream.url, api_key="sk-planted")
    assert await OpenAIService(config, session, timeouts).models() == ["alpha:latest", "beta"]
    assert "sk-planted" not in repr(config)
    wrong = OpenAIConfig(base_url=upstream.url, api_key="sk-wrong")
    with pytest.raises(ServiceError, match=r"Authentication failed \(401\)") as raised:
        await OpenAIService(wrong, session, timeouts).models()
    assert "sk-" not in str(raised.value)


async def test_chosen_models_do_for_an_endpoint_that_lists_none(
    upstream: FakeUpstream, session: aiohttp.ClientSession, timeouts: Timeouts
) -> None:
    upstream.behave(Script(fault="404", fault_on=("models",)))
    config = OpenAIConfig(base_url=upstream.url, models=("mine",))
    assert await OpenAIService(config, session, timeouts).models() == ["mine"]
    elsewhere = OpenAIConfig(base_url=f"{upstream.url}/nowhere", models=("mine",))
    upstream.behave(Script(fault="404", fault_on=("models", "chat")))
    with pytest.raises(ServiceError, match="404"):
        await OpenAIService(elsewhere, session, timeouts).models()


async def test_an_endpoint_that_refuses_to_count_is_asked_without(
    upstream: FakeUpstream, session: aiohttp.ClientSession, timeouts: Timeouts
) -> None:
    upstream.behave(
        Script(fault="400", fault_times=1, error_body="Unknown parameter: stream_options")
    )
    service = OpenAIService(OpenAIConfig(base_url=upstream.url), session, timeouts)
    events, failure = await collect(service)
    assert (text_of(events), failure) == (WHOLE, None)
    assert ["stream_options" in chat.body for chat in upstream.chats] == [True, False]


async def test_a_body_beyond_its_bound_is_refused(
    service: AnyService, upstream: FakeUpstream
) -> None:
    upstream.models = ["m" * 150 + str(number) for number in range(40_000)]
    with pytest.raises(ServiceError, match="more at once"):
        await service.models()
