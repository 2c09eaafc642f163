from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.chat.world import World, open_world


@pytest.fixture
async def world(home: Path) -> AsyncIterator[World]:
    """A chat without any service."""
    async with open_world(home) as opened:
        yield opened


@pytest.fixture(params=["ollama", "openai"])
async def served(request: pytest.FixtureRequest, world: World) -> World:
    """A chat with one service, of each kind in turn."""
    await world.serve(request.param)
    return world
