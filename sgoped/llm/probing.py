"""Asking every configured service, in the background, how it is and which models it has.

Each service has one task that is the only one to probe it; requests read what it found last and
can wake it, and nothing but an explicit refresh waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from sgoped.errors import ServiceError
from sgoped.llm import faults
from sgoped.llm.configured import ONLINE, ConfiguredService
from sgoped.llm.service import Timeouts

FIRST_RETRY_SECONDS = 1.0
CHECK_SECONDS = 0.25

log = logging.getLogger(__name__)

Found = Callable[[ConfiguredService, str, tuple[str, ...] | None], Awaitable[None]]


@dataclass(slots=True)
class _Probe:
    """The task of one service and who waits for its next result."""

    service: ConfiguredService
    task: asyncio.Task[None] | None = None
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)


class Prober:
    """Keeps the status of services up to date.

    Args:
        tasks: Where its tasks live; ``stop_all`` before it is left.
        timeouts: How long a probe may take.
        found: Told after each probe: the service, its status, and its models if it told them.
    """

    def __init__(self, tasks: asyncio.TaskGroup, timeouts: Timeouts, found: Found) -> None:
        self._tasks = tasks
        self._timeouts = timeouts
        self._found = found
        self._probes: dict[str, _Probe] = {}

    def start(self, service: ConfiguredService) -> None:
        """Probe ``service`` now and from time to time, instead of what had its id before."""
        self.stop(service.id)
        if service.enabled and service.service is not None:
            probe = _Probe(service)
            self._probes[service.id] = probe
            probe.task = self._tasks.create_task(self._watch(probe), name=f"probe {service.id}")

    def stop(self, service_id: str) -> None:
        """Stop probing; whoever waits is let go."""
        probe = self._probes.pop(service_id, None)
        if probe is not None and probe.task is not None:
            probe.task.cancel()
            _release(probe.waiting)

    def stop_all(self) -> None:
        """Stop probing every service."""
        for service_id in list(self._probes):
            self.stop(service_id)

    def wake(self, service_id: str) -> None:
        """Probe soon: something suggests that the status is out of date."""
        if service_id in self._probes:
            self._probes[service_id].wake.set()

    async def refresh(self, service_ids: Iterable[str]) -> None:
        """Probe these now, side by side, and wait for the results, within the time limits."""
        waiting = []
        for service_id in service_ids:
            if service_id in self._probes:
                done = asyncio.get_running_loop().create_future()
                self._probes[service_id].waiting.append(done)
                self._probes[service_id].wake.set()
                waiting.append(done)
        if waiting:
            limit = 2 * (self._timeouts.connect_seconds + self._timeouts.request_seconds)
            await asyncio.wait(waiting, timeout=limit)

    async def check(self, *service_ids: str) -> None:
        """Probe these now, and wait for the results for ``CHECK_SECONDS`` at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CHECK_SECONDS):
                await self.refresh(service_ids)

    async def _watch(self, probe: _Probe) -> None:
        failures = 0
        while True:
            probe.wake.clear()
            waiting, probe.waiting = probe.waiting, []
            try:
                is_online = await self._probe(probe.service)
            finally:
                _release(waiting)
            failures = 0 if is_online else failures + 1
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_seconds(probe.service, failures)):
                    await probe.wake.wait()

    async def _probe(self, configured: ConfiguredService) -> bool:
        """One probe; whatever a plug-in raises becomes a status, because this is a task's edge."""
        models: tuple[str, ...] | None = None
        try:
            if configured.service is not None:
                models = tuple(await configured.service.models())
            status = ONLINE
        except ServiceError as failure:
            status = f"error: {failure.message}"
        except Exception:
            log.exception("probing the service %s failed", configured.id)
            status = f"error: {faults.fault(faults.REPORTED).message}"
        configured.checked_at = time.time()
        try:
            await self._found(configured, status, models)
        except Exception:
            log.exception("what the service %s told could not be kept", configured.id)
        return status == ONLINE


def pause_seconds(configured: ConfiguredService, failures: int) -> float:
    """How long until the next probe: doubled with each failure in a row, within a bound."""
    period = configured.period_seconds
    if failures == 0:
        return period
    return min(period, FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 16))


def _release(waiting: list[asyncio.Future[None]]) -> None:
    for done in waiting:
        if not done.done():
            done.set_result(None)
