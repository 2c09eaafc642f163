"""What tests of configurations found a moment ago.

A form tests a configuration, then adds it and lists its models at once. With this the service is
known to be online right away, without a request that waits for a probe.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sgoped.llm.service import ServiceConfig

RECENT_SECONDS = 60.0
MAX_TRIALS = 32

_Tried = tuple[str, str, str]


class Trials:
    """Models by kind, address and key, for ``RECENT_SECONDS``."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._found: dict[_Tried, tuple[float, tuple[str, ...]]] = {}

    def keep(self, kind: str, config: ServiceConfig, models: tuple[str, ...]) -> None:
        """A test found ``models``."""
        self._found.pop(_tried(kind, config), None)
        self._found[_tried(kind, config)] = (self._clock(), models)
        while len(self._found) > MAX_TRIALS:
            del self._found[next(iter(self._found))]

    def recent(self, kind: str, config: ServiceConfig | None) -> tuple[str, ...] | None:
        """What a recent test of the same place with the same key found."""
        if config is None:
            return None
        at, models = self._found.get(_tried(kind, config), (float("-inf"), ()))
        return models if self._clock() - at <= RECENT_SECONDS else None


def _tried(kind: str, config: ServiceConfig) -> _Tried:
    return (kind, str(config.address), config.api_key.get_secret_value())


def is_same(kind: str, config: ServiceConfig, other_kind: str, other: ServiceConfig) -> bool:
    """Whether two configurations mean the same place with the same key."""
    return _tried(kind, config) == _tried(other_kind, other)
