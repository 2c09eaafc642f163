from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from sgoped.errors import NotFound, ServiceError
from sgoped.memory.query_vectors import FIRST_PAUSE_SECONDS, MAX_KEPT, QueryVectors

MODEL = "home/model"


class Embedding:
    """Answers when it is let, and counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: Exception | None = None
        self.model = MODEL

    def model_id(self) -> str:
        if isinstance(self.failure, NotFound):
            raise self.failure
        return self.model

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.asked += texts
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return [[float(len(text)), 1.0] for text in texts]


class Desk:
    def __init__(self, tasks: asyncio.TaskGroup, wait_seconds: float = 20.0) -> None:
        self.embedding = Embedding()
        self.now = 1000.0
        self.vectors = QueryVectors(self.embedding, tasks, wait_seconds, lambda: self.now)

    async def ask(self, text: str) -> list[float] | None:
        return await self.vectors.vector(text, MODEL)


@pytest.fixture
async def tasks() -> AsyncIterator[asyncio.TaskGroup]:
    async with asyncio.TaskGroup() as group:
        yield group


@pytest.fixture
def desk(tasks: asyncio.TaskGroup) -> Desk:
    return Desk(tasks)


async def test_a_vector_is_asked_for_once_and_kept(desk: Desk) -> None:
    assert await desk.ask("abc") == [3.0, 1.0]
    assert await desk.ask("abc") == [3.0, 1.0]
    assert desk.embedding.asked == ["abc"]
    assert [*await asyncio.gather(desk.ask("ab"), desk.ask("ab"))] == [[2.0, 1.0]] * 2
    assert desk.embedding.asked == ["abc", "ab"]


async def test_so_many_are_kept(desk: Desk) -> None:
    for number in range(MAX_KEPT + 1):
        await desk.ask(str(number))
    await desk.ask("1")
    await desk.ask("0")
    assert desk.embedding.asked[MAX_KEPT + 1 :] == ["0"]


async def test_after_a_failure_nobody_is_asked_for_a_pause_that_grows(desk: Desk) -> None:
    desk.embedding.failure = ServiceError("down")
    pause = FIRST_PAUSE_SECONDS
    for asked in range(1, 5):
        assert await desk.ask(f"first {asked}") is None
        assert await desk.ask(f"second {asked}") is None
        desk.now += pause - 0.1
        assert await desk.ask(f"third {asked}") is None
        assert len(desk.embedding.asked) == asked
        desk.now += 0.2
        pause *= 2
    assert desk.vectors.problem == "down"
    desk.embedding.failure = None
    assert await desk.ask("back") == [4.0, 1.0]
    assert desk.vectors.problem == ""
    desk.embedding.failure = ServiceError("down")
    assert await desk.ask("again") is None
    desk.embedding.failure = None
    desk.vectors.try_again()
    assert await desk.ask("again") == [5.0, 1.0]


async def test_what_comes_late_is_kept_and_nobody_waits_until_then(
    tasks: asyncio.TaskGroup,
) -> None:
    desk = Desk(tasks, wait_seconds=0.01)
    desk.embedding.gate.clear()
    assert await desk.ask("slow") is None
    desk.vectors._wait_seconds = 1e9  # whoever waits now waits for ever
    assert await desk.ask("slow") is None
    assert await desk.ask("other") is None
    assert desk.embedding.asked == ["slow"]
    desk.embedding.gate.set()
    while (found := await desk.ask("slow")) is None:  # noqa: ASYNC110 - its own turn
        await asyncio.sleep(0)
    assert found == [4.0, 1.0]
    assert await desk.ask("other") == [5.0, 1.0]


async def test_another_model_is_not_asked(desk: Desk) -> None:
    desk.embedding.model = "home/other"
    assert await desk.ask("abc") is None
    assert desk.embedding.asked == []
    desk.embedding.failure = NotFound("no such model")
    assert await desk.ask("abc") is None


async def test_what_a_plug_in_raises_fails_no_search(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.embedding.failure = KeyError("the query's words")
    assert await desk.ask("abc") is None
    assert "KeyError" in caplog.text
    assert "the query's words" not in caplog.text


async def test_questions_under_way_end_with_it(tasks: asyncio.TaskGroup) -> None:
    desk = Desk(tasks, wait_seconds=0.01)
    desk.embedding.gate.clear()
    assert await desk.ask("slow") is None
    desk.vectors.cancel()
