"""Tools for an action under test: files in a dictionary, a model that says what a test tells it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sgoped.actions import Saved
from sgoped.config import Settings
from sgoped.errors import Conflict, StorageError
from sgoped.llm import Message

Answer = Callable[[str], str | None]


@dataclass(frozen=True)
class SavedInMemory:
    path: str
    etag: str


@dataclass
class Toolbox:
    """Fulfils ``actions.Tools``.

    Attributes:
        answer: What the model says to a prompt; ``None`` when it fails.
        files: What was saved.
        history: Every state that the files were in.
        prompts: All that the model was asked.
        full: Whether the disk refuses from now on.
        later: What was left for later, by path.
    """

    answer: Answer = lambda _: None
    window: int = 8192
    settings: Settings = field(default_factory=Settings)
    files: dict[str, str] = field(default_factory=dict)
    history: list[dict[str, str]] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    full: bool = False
    later: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def add_text(self, name: str, content: str) -> Saved:
        stem, dot, suffix = name.rpartition(".")
        numbered = (name if n == 1 else f"{stem}_{n}{dot}{suffix}" for n in range(1, 100))
        path = next(name for name in numbered if name not in self.files)
        return self._put(path, content)

    async def replace_text(self, saved: Saved, content: str) -> Saved:
        if str(hash(self.files.get(saved.path))) != saved.etag:
            raise Conflict("changed")
        return self._put(saved.path, content)

    async def rename(self, saved: Saved, name: str) -> Saved:
        content = self.files.pop(saved.path)
        return await self.add_text(name, content)

    async def complete(self, messages: Sequence[Message]) -> str | None:
        self.prompts.append("\n".join(message.content for message in messages))
        return self.answer(self.prompts[-1])

    async def enrich_later(self, saved: Saved, recipe: dict[str, Any]) -> str:
        self.later[saved.path] = recipe
        return "later"

    async def context_tokens(self) -> int:
        return self.window

    def _put(self, path: str, content: str) -> Saved:
        if self.full:
            raise StorageError("no space left", code="storage_full")
        self.files[path] = content
        self.history.append(dict(self.files))
        return SavedInMemory(path, str(hash(content)))
