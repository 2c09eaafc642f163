from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgoped.errors import ServiceError
from sgoped.llm.choice import ModelChoice, reserved_tokens
from sgoped.llm.types import Message
from tests.llm.doubles import SilentService


def choice(service: SilentService, reports: list[ServiceError | None] | None = None) -> ModelChoice:
    report = (reports if reports is not None else []).append
    return ModelChoice("s/m", "m", "s", service=service, assumed_tokens=8192, report=report)


HI = [Message("user", "hi")]


@given(st.integers(0, 3_000_000), st.integers(256, 10**6), st.integers(256, 10**6))
def test_what_is_reserved_fits_the_window_and_the_prompt_if_both_can_be(
    prompt_bytes: int, at_least: int, at_most: int
) -> None:
    reserved = reserved_tokens(
        [Message("user", "x" * prompt_bytes)], at_least=at_least, at_most=at_most
    )
    assert reserved <= at_most
    assert reserved >= min(at_least, at_most)
    assert reserved == at_most or reserved * 3 >= prompt_bytes


def test_a_short_prompt_does_not_reserve_a_huge_window() -> None:
    assert reserved_tokens(HI, at_least=8192, at_most=131_072) == 8192
    assert reserved_tokens([Message("user", "x" * 60_000)], at_least=8192, at_most=131_072) == 32768
    assert reserved_tokens(HI, at_least=8192, at_most=2048) == 2048


async def test_the_window_is_the_models_or_the_assumed_one() -> None:
    assert await choice(SilentService(window=4096)).context_tokens() == 4096
    assert await choice(SilentService()).context_tokens() == 8192


async def test_streaming_reserves_for_the_messages_within_what_was_given() -> None:
    service = SilentService(window=131_072, texts=["a"])
    long = [Message("user", "x" * 60_000)]
    async for _ in choice(service).stream(long):
        pass
    async for _ in choice(service).stream(long, context_tokens=10_000):
        pass
    assert service.reserved == [32768, 10_000]


async def test_completing_is_the_whole_text() -> None:
    reports: list[ServiceError | None] = []
    text = await choice(SilentService(texts=[" a", "b "]), reports).complete(HI)
    assert (text, reports) == ("ab", [None])


async def test_completing_nothing_or_a_broken_answer_is_an_error() -> None:
    with pytest.raises(ServiceError, match="without writing"):
        await choice(SilentService(texts=["  "])).complete(HI)
    reports: list[ServiceError | None] = []
    failure = ServiceError("broke")
    with pytest.raises(ServiceError, match="broke"):
        await choice(SilentService(texts=["a"], failure=failure), reports).complete(HI)
    assert reports == [None, failure]


async def test_completing_without_end_is_stopped() -> None:
    with pytest.raises(ServiceError, match="more at once"):
        await choice(SilentService(texts=["x" * 2**20] * 5)).complete(HI)
