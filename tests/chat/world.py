"""A chat with real memory, a real registry and a real upstream, and what to do with its runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sgoped.actions import ActionRegistry, open_actions
from sgoped.chat import (
    Cancelled,
    Chat,
    ChatRequest,
    Citation,
    Citations,
    Completed,
    Content,
    ContextTold,
    Failed,
    Run,
    RunEvent,
    UsageTold,
    open_chat,
)
from sgoped.config import Settings
from sgoped.events import Bus
from sgoped.llm import Registry, open_registry
from sgoped.memory import Memory, open_memory
from sgoped.state import State, open_state
from tests.fakes.upstream import FakeUpstream
from tests.memory.opening import paths_below

ENDS = (Completed, Cancelled, Failed)


@dataclass
class World:
    """Everything a chat stands on."""

    memory: Memory
    registry: Registry
    actions: ActionRegistry
    chat: Chat
    bus: Bus
    upstream: FakeUpstream
    settings: Settings
    state: State

    @property
    def root(self) -> Path:
        return self.memory.root

    async def serve(self, kind: str = "openai", service_id: str = "s", **config: Any) -> None:
        """Configure the upstream as a service of that kind with the model ``beta``."""
        place = {
            "ollama": {"host": self.upstream.url},
            "openai": {"base_url": f"{self.upstream.url}/v1"},
        }
        config = {"name": "Fake", "models": ["beta"], **place[kind], **config}
        await self.registry.put(service_id, kind, config)

    async def write(self, files: Mapping[str, str | bytes]) -> None:
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        await self.memory.refresh()

    async def ask(self, message: str, **fields: Any) -> list[RunEvent]:
        """All events of the answer to a message."""
        return await events_of(self.chat.start(ChatRequest(message, **fields)))

    def prompt(self) -> str:
        """The last message that the model was sent last."""
        return str(self.upstream.chats[-1].body["messages"][-1]["content"])

    def sent(self) -> str:
        """All that the model was sent last."""
        messages = self.upstream.chats[-1].body["messages"]
        return "\n".join(message["content"] for message in messages)

    def files(self) -> dict[str, str]:
        """What lies in the memory folder."""
        return {path.name: path.read_text() for path in self.root.iterdir() if path.is_file()}


@asynccontextmanager
async def open_world(home: Path, **settings: Any) -> AsyncGenerator[World]:
    paths = paths_below(home / "sgoped")
    configured = Settings(quiet_seconds=0.02, max_delay_seconds=0.1, poll_seconds=0.2, **settings)
    bus = Bus()
    actions = open_actions()
    async with (
        FakeUpstream() as upstream,
        open_state(paths.state_db, paths.backups_dir) as state,
        open_memory(paths, configured, state, bus) as memory,
        open_registry(configured, state, bus) as registry,
        open_chat(memory, registry, actions, configured, bus, state=state) as chat,
    ):
        await memory.refresh()
        yield World(memory, registry, actions, chat, bus, upstream, configured, state)


async def followed(run: Run, after: int = 0) -> AsyncGenerator[list[RunEvent]]:
    """The batches of ``Run.follow`` without their numbers, which rise by one."""
    last = after
    async with aclosing(run.follow(after)) as batches:
        async for batch in batches:
            assert [number for number, _ in batch] == list(range(last + 1, last + 1 + len(batch)))
            last += len(batch)
            yield [event for _, event in batch]


async def events_of(run: Run) -> list[RunEvent]:
    """Everything a run tells, having checked that it ends once, and last."""
    async with aclosing(followed(run)) as batches:
        events = [event async for batch in batches for event in batch]
    assert [event for event in events if isinstance(event, ENDS)] == events[-1:]
    return events


async def until(run: Run, text: str) -> None:
    """Follow a run as another reader until ``text`` was said."""
    said = ""
    async with aclosing(followed(run)) as batches:
        async for batch in batches:
            said += said_in(batch)
            if text in said:
                return


def told_in(events: Any) -> ContextTold:
    """What was told last of what goes along."""
    return [event for event in events if isinstance(event, ContextTold)][-1]


def cited_in(events: Any) -> tuple[Citation, ...]:
    """The places that the answer names."""
    found = [event.citations for event in events if isinstance(event, Citations)]
    assert len(found) == 1
    return found[0]


def said_in(events: Any) -> str:
    return "".join(event.text for event in events if isinstance(event, Content))


def names(events: Any) -> list[str]:
    """The kinds of events but those only told to new clients, neighbouring equal ones as one."""
    told = (Citations, ContextTold, UsageTold)
    kinds = [type(event).__name__ for event in events if not isinstance(event, told)]
    return [kind for at, kind in enumerate(kinds) if kind not in kinds[at - 1 : at] or at == 0]
