"""``Toolbelt``: what an action may use, bound to one run's model and to what the action saved."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from sgoped.actions import Saved
from sgoped.chat.enriching import Enricher
from sgoped.config import Settings
from sgoped.errors import Conflict, ServiceError, StorageError
from sgoped.llm import Message, ModelChoice
from sgoped.memory import Memory, SavedFile

_MAX_NAMES = 1000
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class Toolbelt:
    """Fulfils ``actions.Tools``.

    Saves are tasks of their own: an action that is cancelled in the middle of one leaves it to
    be completed, since half a save would be worse than one more. An action can change only files
    that it saved itself, so that no text, a model's or a plug-in's, reaches any other.

    Attributes:
        settings: What the person configured.
        saved: Etags of the files this action saved, by path.
    """

    def __init__(
        self,
        memory: Memory,
        settings: Settings,
        choice: ModelChoice | None,
        tasks: asyncio.TaskGroup,
        *,
        later: Enricher | None = None,
        model: str = "",
    ) -> None:
        self.settings = settings
        self.saved: dict[str, str] = {}
        self._memory = memory
        self._choice = choice
        self._tasks = tasks
        self._later = later
        self._model = model

    async def add_text(self, name: str, content: str) -> Saved:
        """See ``Tools.add_text``."""
        return await self._completed(self._remember(self._memory.add_text(name, content)))

    async def replace_text(self, saved: Saved, content: str) -> Saved:
        """See ``Tools.replace_text``."""
        etag = self._own(saved)
        write = self._memory.write_text(saved.path, content, if_match=etag)
        return await self._completed(self._remember(write))

    async def rename(self, saved: Saved, name: str) -> Saved:
        """See ``Tools.rename``."""
        self._own(saved)
        return await self._completed(self._renamed(saved.path, name))

    async def complete(self, messages: Sequence[Message]) -> str | None:
        """See ``Tools.complete``."""
        if self._choice is None:
            return None
        try:
            return await self._choice.complete(messages)
        except ServiceError as error:
            _log.info("a model failed an action: %s", error.code)
            return None

    async def context_tokens(self) -> int:
        """See ``Tools.context_tokens``."""
        if self._choice is None:
            return self.settings.context_tokens
        return await self._choice.context_tokens()

    async def enrich_later(self, saved: Saved, recipe: dict[str, Any]) -> str:
        """See ``Tools.enrich_later``; nothing is lost where the queue cannot be written."""
        etag = self._own(saved)
        if self._later is None or not self.settings.enrich_later:
            return ""
        try:
            return await self._completed(self._later.add(saved.path, etag, recipe, self._model))
        except StorageError as error:
            _log.warning("a summary cannot be left for later: %s", error.code)
            return ""

    def _own(self, saved: Saved) -> str:
        etag = self.saved.get(saved.path)
        if etag is None:
            raise Conflict(f"{saved.path} was not saved by this action")
        return etag

    async def _remember(self, work: Coroutine[Any, Any, SavedFile]) -> SavedFile:
        file = await work
        self.saved[file.path] = file.etag
        return file

    async def _renamed(self, path: str, name: str) -> SavedFile:
        stem, dot, suffix = name.rpartition(".")
        for number in range(1, _MAX_NAMES):
            numbered = (
                name if number == 1 else f"{stem or suffix}_{number}{dot}{suffix * bool(stem)}"
            )
            try:
                file = await self._remember(self._memory.rename(path, numbered))
            except Conflict:
                continue
            self.saved.pop(path, None)
            return file
        raise Conflict(f"every name like {name} is taken")

    async def _completed(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Await ``work`` in a task that survives the caller's cancellation."""

        async def attempt() -> _T | Exception:
            try:
                return await work
            except Exception as error:  # noqa: BLE001 - raised again below; it may not end the group
                return error

        result = await asyncio.shield(self._tasks.create_task(attempt()))
        if isinstance(result, Exception):
            raise result
        return result
