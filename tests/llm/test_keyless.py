"""Whatever a service says of its key, nobody else is told."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import pytest

from sgoped.errors import ServiceError
from sgoped.llm.keyless import KeylessService
from sgoped.llm.types import Finished, Message, ReasoningDelta, StreamEvent, TextDelta, Usage
from sgoped.redaction import REDACTED, Redactor
from tests.llm.doubles import SilentService

KEY = "sk-planted-0123456789"


class Talkative(SilentService):
    """Repeats its key in everything."""

    batches: Sequence[Sequence[StreamEvent]] = ()
    error = ServiceError(f"Incorrect key: {KEY}", code="service_busy", retry_after_seconds=3)

    async def models(self) -> list[str]:
        return ["alpha", f"alpha-{KEY}", "beta"]

    async def stream(
        self, model: str, messages: Sequence[Message], *, context_tokens: int | None = None
    ) -> AsyncGenerator[Sequence[StreamEvent], None]:
        for batch in self.batches:
            yield batch
        raise self.error

    async def context_tokens(self, model: str) -> int | None:
        raise self.error


@pytest.fixture
def redactor() -> Redactor:
    redactor = Redactor()
    redactor.hold(KEY)
    return redactor


async def heard(
    redactor: Redactor, *batches: Sequence[StreamEvent]
) -> tuple[list[StreamEvent], ServiceError]:
    talkative = Talkative()
    talkative.batches = batches
    events: list[StreamEvent] = []
    with pytest.raises(ServiceError) as raised:
        async for batch in KeylessService(talkative, redactor).stream("m", []):
            events += batch
    return events, raised.value


async def test_a_model_called_like_a_key_is_left_out(redactor: Redactor) -> None:
    assert await KeylessService(Talkative(), redactor).models() == ["alpha", "beta"]


async def test_an_error_keeps_all_but_the_key(redactor: Redactor) -> None:
    _, failure = await heard(redactor)
    assert failure.message == f"Incorrect key: {REDACTED}"
    assert (failure.code, failure.retry_after_seconds) == ("service_busy", 3)
    assert failure.__cause__ is None
    assert failure.__suppress_context__
    with pytest.raises(ServiceError) as raised:
        await KeylessService(Talkative(), redactor).context_tokens("m")
    assert KEY not in raised.value.message


async def test_a_key_in_pieces_is_in_no_answer(redactor: Redactor) -> None:
    pieces = [[TextDelta(character)] for character in f"It is {KEY}, yes"]
    thoughts = [[ReasoningDelta(f"the key {KEY[:10]}")], [ReasoningDelta(f"{KEY[10:]}?")]]
    events, _ = await heard(redactor, *thoughts, *pieces, [Usage(1, 2), Finished(KEY)])
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    thought = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    assert KEY not in text + thought
    assert text == f"It is sk-{REDACTED}, yes"
    assert thought == f"the key {REDACTED}?"
    assert events[-2:] == [Usage(1, 2), Finished(REDACTED)]


async def test_what_looks_like_the_beginning_of_a_key_is_told_in_the_end(
    redactor: Redactor,
) -> None:
    events, _ = await heard(redactor, [TextDelta(f"see {KEY[:8]}")])
    assert events == [TextDelta("see "), TextDelta(KEY[:8])]
    events, _ = await heard(redactor, [TextDelta(KEY[:8])], [ReasoningDelta("hm")], [Finished("x")])
    assert events == [TextDelta(KEY[:8]), ReasoningDelta("hm"), Finished("x")]


async def test_without_a_key_batches_pass_as_they_are() -> None:
    batch: list[StreamEvent] = [TextDelta("a"), ReasoningDelta("b")]
    talkative = Talkative()
    talkative.batches = [batch, [Finished("x" * 1000)]]
    stream = KeylessService(talkative, Redactor()).stream("m", [])
    assert await anext(stream) is batch
    (finished,) = await anext(stream)
    assert isinstance(finished, Finished)
    assert len(finished.reason) == 100
    await stream.aclose()
