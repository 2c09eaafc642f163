"""What an action may use."""

from __future__ import annotations

import asyncio

import pytest

from sgoped.chat.tools import Toolbelt
from sgoped.errors import Conflict, PathRefused
from sgoped.llm import Message
from sgoped.memory import Memory, SavedFile
from tests.chat.world import World
from tests.fakes.scripts import Script

ASK = (Message("user", "hi"),)


class SlowMemory(Memory):
    """A memory whose disk answers when it is told to."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()
        self.completed = False

    async def add_text(self, name: str, content: str) -> SavedFile:
        self.asked.set()
        await self.answer.wait()
        self.completed = True
        return SavedFile(name, len(content), "e", created=True, version=None)


async def test_a_save_is_completed_although_its_action_is_cancelled(world: World) -> None:
    memory = SlowMemory()
    async with asyncio.TaskGroup() as tasks:
        tools = Toolbelt(memory, world.settings, None, tasks)
        saving = tasks.create_task(tools.add_text("a.md", "text"))
        await memory.asked.wait()
        saving.cancel()
        await asyncio.wait([saving])
        assert not memory.completed
        memory.answer.set()
    assert memory.completed
    assert list(tools.saved) == ["a.md"]


async def test_a_refused_save_is_raised_and_leaves_the_group_alone(world: World) -> None:
    async with asyncio.TaskGroup() as tasks:
        tools = Toolbelt(world.memory, world.settings, None, tasks)
        with pytest.raises(PathRefused):
            await tools.add_text("../a.md", "text")
        saved = await tools.add_text("a.md", "text")
    assert saved.path == "a.md"


async def test_what_was_saved_can_be_replaced_and_renamed_and_nothing_else(world: World) -> None:
    await world.write({"b.md": "b", "b_2.md": "b2"})
    async with asyncio.TaskGroup() as tasks:
        tools = Toolbelt(world.memory, world.settings, None, tasks)
        saved = await tools.add_text("a.md", "one")
        saved = await tools.replace_text(saved, "two")
        renamed = await tools.rename(saved, "b.md")
        with pytest.raises(Conflict):
            await tools.replace_text(saved, "three")
        stranger = SavedFile("b.md", 1, "", created=False, version=None)
        with pytest.raises(Conflict):
            await tools.rename(stranger, "c.md")
    assert renamed.path == "b_3.md"
    assert world.files() == {"b.md": "b", "b_2.md": "b2", "b_3.md": "two"}


async def test_a_model_that_fails_or_is_missing_says_none(world: World) -> None:
    await world.serve()
    choice = world.registry.find_model("")
    async with asyncio.TaskGroup() as tasks:
        assert await Toolbelt(world.memory, world.settings, None, tasks).complete(ASK) is None
        tools = Toolbelt(world.memory, world.settings, choice, tasks)
        assert await tools.complete(ASK) == "Hello, world"
        world.upstream.behave(Script(fault="500"))
        assert await tools.complete(ASK) is None
