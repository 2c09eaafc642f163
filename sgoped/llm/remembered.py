"""``Remembered``: what services told of their models, kept over a restart in ``state.db``."""

from __future__ import annotations

import json
from typing import Any

from sgoped.llm.capabilities import Capabilities, as_json, from_json
from sgoped.llm.configured import ConfiguredService
from sgoped.state import State


class Remembered:
    """Reads and writes the lists and facts of services, by the services' ids."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def recall(self, service: ConfiguredService) -> None:
        """Fill in what is kept; what cannot be read is asked for again anyway."""
        discovered = await self._load(_discovered_key(service.id))
        if isinstance(discovered, list):
            service.discovered = tuple(map(str, discovered))
        service.capabilities = from_json(await self._load(_capabilities_key(service.id)))

    async def keep_models(self, service_id: str, models: tuple[str, ...]) -> None:
        """Keep the names of a service's models."""
        await self._state.set_value(_discovered_key(service_id), json.dumps(models))

    async def keep_capabilities(
        self, service_id: str, capabilities: dict[str, Capabilities]
    ) -> None:
        """Keep what they can do."""
        stored = json.dumps(as_json(capabilities))
        await self._state.set_value(_capabilities_key(service_id), stored)

    async def forget(self, service_id: str) -> None:
        """Keep nothing of a service any more."""
        await self._state.set_value(_discovered_key(service_id), None)
        await self._state.set_value(_capabilities_key(service_id), None)

    async def _load(self, key: str) -> Any:
        try:
            return json.loads(await self._state.get_value(key) or "null")
        except ValueError:
            return None


def _discovered_key(service_id: str) -> str:
    return f"discovered:{service_id}"


def _capabilities_key(service_id: str) -> str:
    return f"capabilities:{service_id}"
