from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from sgoped.llm.ollama import OllamaConfig, OllamaService
from sgoped.llm.openai import OpenAIConfig, OpenAIService
from sgoped.llm.service import Timeouts
from sgoped.llm.transport import open_session
from tests.fakes.upstream import FakeUpstream

QUICK = Timeouts(
    connect_seconds=5,
    first_token_seconds=20,
    idle_seconds=20,
    request_seconds=10,
    retry_pause_seconds=0.01,
    final_seconds=0.05,
)


@pytest.fixture
def timeouts() -> Timeouts:
    """Generous where an event is awaited, short where time itself is tested."""
    return QUICK


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as server:
        yield server


@pytest.fixture
async def session(timeouts: Timeouts) -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session(timeouts) as opened:
        yield opened


@pytest.fixture(params=["ollama", "openai"])
def service(
    request: pytest.FixtureRequest,
    upstream: FakeUpstream,
    session: aiohttp.ClientSession,
    timeouts: Timeouts,
) -> OllamaService | OpenAIService:
    """Each dialect's service for the same upstream."""
    if request.param == "ollama":
        return OllamaService(OllamaConfig(host=upstream.url), session, timeouts)
    return OpenAIService(OpenAIConfig(base_url=f"{upstream.url}/v1"), session, timeouts)
