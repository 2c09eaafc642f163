"""``Learner``: finds out in the background what the models of a service can do.

It asks after a probe was answered, for models that are not known in their present version, one
after the other and a few at a time; nobody waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from sgoped.errors import ServiceError
from sgoped.llm.capabilities import Capabilities
from sgoped.llm.configured import ConfiguredService

log = logging.getLogger(__name__)

Learnt = Callable[[ConfiguredService, dict[str, Capabilities]], Awaitable[None]]


@runtime_checkable
class TellsCapabilities(Protocol):
    """A service that knows what its models can do; not every kind does."""

    async def capabilities(
        self, models: Sequence[str], known: Mapping[str, Capabilities]
    ) -> dict[str, Capabilities]:
        """What it tells of ``models``, without asking again for what ``known`` has already.

        A few questions at most: what is left is asked for at the next time.

        Raises:
            ServiceError: It did not tell.
        """


class Learner:
    """One task at a time for each service.

    Args:
        tasks: Where its tasks live; ``stop_all`` before it is left.
        learnt: Given all that is known of a service's models once that changed.
    """

    def __init__(self, tasks: asyncio.TaskGroup, learnt: Learnt) -> None:
        self._tasks = tasks
        self._learnt = learnt
        self._learning: dict[str, asyncio.Task[None]] = {}

    def start(self, configured: ConfiguredService) -> None:
        """Find out what is not known of the service, unless that is under way."""
        running = self._learning.get(configured.id)
        if running is None or running.done():
            task = self._tasks.create_task(self._learn(configured), name=f"learn {configured.id}")
            self._learning[configured.id] = task

    def stop(self, service_id: str) -> None:
        """Ask no further."""
        task = self._learning.pop(service_id, None)
        if task is not None:
            task.cancel()

    def stop_all(self) -> None:
        """Ask no service any further."""
        for service_id in list(self._learning):
            self.stop(service_id)

    async def _learn(self, configured: ConfiguredService) -> None:
        service = configured.service
        if not isinstance(service, TellsCapabilities):
            return
        known = configured.capabilities
        try:
            told = await service.capabilities(configured.models, known)
            merged = {**known, **told}
            wanted = {name: merged[name] for name in configured.models if name in merged}
            if wanted != known:
                await self._learnt(configured, wanted)
        except ServiceError as failure:
            log.info("%s does not tell what its models can do: %s", configured.id, failure.code)
        except Exception:
            log.exception("what the models of %s can do is not known", configured.id)
