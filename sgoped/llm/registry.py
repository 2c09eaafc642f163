"""The configured services: added, changed, removed, tried, watched; and which model a name means.

Reading never waits: what is asked here is answered from what the background probes found last.
Changes are durable when they return, and complete even if their caller is cancelled.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import aiohttp

from sgoped.config import Settings
from sgoped.errors import InvalidInput, NotFound, ServiceError
from sgoped.events import Bus, ServiceChanged, SettingsChanged
from sgoped.llm import catalogue, environment
from sgoped.llm.choice import ModelChoice
from sgoped.llm.configured import DISABLED, ONLINE, ConfiguredService
from sgoped.llm.embedding import ModelEmbedder
from sgoped.llm.keyless import KeylessService
from sgoped.llm.keys import KeyRing, given_key
from sgoped.llm.kinds import Kinds, as_stored, load_kinds
from sgoped.llm.probing import Prober
from sgoped.llm.service import ServiceConfig, Timeouts
from sgoped.llm.transport import open_session
from sgoped.llm.trials import Trials
from sgoped.llm.types import ModelHealth, ModelInfo, ServiceInfo, ServiceTest
from sgoped.redaction import Redactor
from sgoped.state import ServiceRow, State

MAX_SERVICES = 100
HEALTH_AGE_SECONDS = 5.0
DEFAULT_MODEL_KEY = "default_model"

_SERVICE_ID = re.compile(r"[^\x00-\x1f\x7f/\\\ud800-\udfff]{1,100}")
_T = TypeVar("_T")

log = logging.getLogger(__name__)


class Registry:
    """All configured services; see the module. Made by ``open_registry``."""

    def __init__(
        self,
        settings: Settings,
        state: State,
        bus: Bus,
        *,
        kinds: Kinds,
        session: aiohttp.ClientSession,
        tasks: asyncio.TaskGroup,
        timeouts: Timeouts,
        redactor: Redactor,
    ) -> None:
        self._settings = settings
        self._state = state
        self._bus = bus
        self._kinds = kinds
        self._session = session
        self._tasks = tasks
        self._timeouts = timeouts
        self._services: dict[str, ConfiguredService] = {}
        self._default: str | None = None
        self._redactor = redactor
        self._keys = KeyRing(redactor)
        self._trials = Trials()
        self._changing = asyncio.Lock()
        self._prober = Prober(tasks, timeouts, self._found)

    def services(self) -> list[ServiceInfo]:
        """All services, oldest first."""
        return [service.info() for service in self._services.values()]

    def models(self) -> list[ModelInfo]:
        """All models of enabled services, in the order of services."""
        return catalogue.model_infos(self._configured, self._default)

    def default_model(self) -> str | None:
        """The id of the default model.

        The chosen one where it is known, even while its service is down; otherwise (never chosen,
        or its service was removed) the first usable model; None when there is none. A choice is
        remembered while its service is away and counts again when it is back.
        """
        offer = catalogue.default_offer(self._configured, self._default)
        return None if offer is None else offer.id

    def find_model(self, name: str) -> ModelChoice | None:
        """The model that ``name``, an id or an unambiguous bare name, means.

        Args:
            name: Empty for the default, or the first usable model in its place.

        Returns:
            None when ``name`` is empty and nothing is usable.

        Raises:
            NotFound: No such model (``model_not_found``), or several (``model_ambiguous``).
        """
        if name:
            offer: catalogue.Offer | None = catalogue.resolve(self._configured, name)
        else:
            offer = catalogue.usable_offer(self._configured, self._default)
        return None if offer is None else self._choice(offer)

    def embedder(self, name: str) -> ModelEmbedder:
        """Asks the embedding model ``name``, found among the services of each moment."""
        return ModelEmbedder(name, lambda: self._configured)

    async def test(self, kind: str, config: Mapping[str, Any]) -> ServiceTest:
        """Try a configuration without keeping it or spending tokens; never raises for it."""
        with self._redactor.holding(given_key(config)):
            try:
                bound, _ = self._keys.fill_in(self._kinds.bind(kind, config))
                models = tuple(await self._made(kind, bound).models())
            except (InvalidInput, ServiceError) as failure:
                return ServiceTest(ok=False, error=self._redactor.redact(failure.message))
        self._trials.keep(kind, bound, models)
        return ServiceTest(ok=True, models=models)

    async def put(self, service_id: str, kind: str, config: Mapping[str, Any]) -> ServiceInfo:
        """Add a service, or replace the one with that id.

        Raises:
            InvalidInput: The id, the kind or a field cannot be used.
            StorageError: It could not be stored; nothing changed.
        """
        with self._redactor.holding(given_key(config)):
            return await self._completed(self._put(service_id, kind, config))

    async def remove(self, service_id: str) -> None:
        """Remove a service; its key can still be referred to for some minutes.

        Raises:
            NotFound: There is no such service.
            StorageError: It could not be removed from the disk; nothing changed.
        """
        await self._completed(self._remove(service_id))

    async def set_default(self, model: str) -> None:
        """Choose the default model by id or unambiguous bare name.

        Raises:
            NotFound: There is no such model.
            StorageError: The choice could not be stored; nothing changed.
        """
        await self._completed(self._set_default(model))

    async def refresh(self) -> None:
        """Ask all services for their models again, side by side, and wait within the limits."""
        await self._prober.refresh(list(self._services))

    async def health(self, model_id: str) -> ModelHealth:
        """How a model was when its service was last asked; has it asked again if that is old.

        Raises:
            NotFound: There is no such model.
        """
        offer = catalogue.resolve(self._configured, model_id)
        service = offer.service
        if service.checked_at is None or time.time() - service.checked_at > HEALTH_AGE_SECONDS:
            self._prober.wake(service.id)
        return ModelHealth(
            model=offer.id,
            service=service.id,
            status=service.status,
            available=service.available,
            checked_at=service.checked_at,
        )

    async def load(self) -> None:
        """Take up what is stored and what the environment names, and begin to probe."""
        for failure in self._kinds.failures:
            log.warning("service kind %s is left out: %s", failure.name, failure.error)
        named = environment.named_services(self._settings, self._kinds)
        await environment.apply_environment(self._state, named, self._kinds)
        self._default = await self._state.get_value(DEFAULT_MODEL_KEY)
        if self._default is None:
            self._default = self._settings.default_model
        for row in await self._state.load_services():
            service = await self._restored(row, named)
            self._services[service.id] = service
            self._prober.start(service)

    def stop(self) -> None:
        """Stop probing; changes under way complete."""
        self._prober.stop_all()

    @property
    def _configured(self) -> list[ConfiguredService]:
        return list(self._services.values())

    def _choice(self, offer: catalogue.Offer) -> ModelChoice | None:
        configured = offer.service
        if configured.service is None:
            return None

        def report(failure: ServiceError | None) -> None:
            stale = configured.status != ONLINE if failure is None else True
            if stale and self._services.get(configured.id) is configured:
                self._prober.wake(configured.id)

        return ModelChoice(
            offer.id,
            offer.name,
            configured.id,
            service=configured.service,
            assumed_tokens=self._settings.context_tokens,
            report=report,
        )

    async def _restored(
        self, row: ServiceRow, named: dict[str, ServiceConfig]
    ) -> ConfiguredService:
        """A stored service; one that cannot be used (any more) is kept and says why."""
        discovered = await self._state.get_value(_discovered_key(row.id))
        try:
            config = self._kinds.bind(row.kind, row.config)
            config = environment.with_key(row.config, config, named)
            service = self._configure(row.id, row.kind, config, enabled=row.enabled)
        except InvalidInput as error:
            log.warning("the stored service %s cannot be used: %s", row.id, error.message)
            status = f"error: {error.message}"
            return ConfiguredService(row.id, row.kind, row.name, row.enabled, None, None, status)
        from_environment = bool(row.config.get(environment.KEY_MARK))
        self._keys.keep(row.id, config, from_environment=from_environment)
        with suppress(ValueError, TypeError):  # it is asked again anyway
            service.discovered = tuple(map(str, json.loads(discovered or "[]")))
        return service

    def _made(self, kind: str, config: ServiceConfig) -> KeylessService:
        service = self._kinds.make(kind, config, self._session, self._timeouts)
        return KeylessService(service, self._redactor)

    def _configure(
        self, service_id: str, kind: str, config: ServiceConfig, *, enabled: bool
    ) -> ConfiguredService:
        service = self._made(kind, config)
        name = config.name or self._kinds.title(kind)
        configured = ConfiguredService(service_id, kind, name, enabled, config, service)
        if not enabled:
            configured.status = DISABLED
        return configured

    async def _put(self, service_id: str, kind: str, config: Mapping[str, Any]) -> ServiceInfo:
        if not _SERVICE_ID.fullmatch(service_id) or service_id in (".", ".."):
            raise InvalidInput("service_id: 1 to 100 characters, no slashes or control characters")
        if service_id not in self._services and len(self._services) >= MAX_SERVICES:
            raise InvalidInput(f"There are {MAX_SERVICES} services already: remove one first")
        async with self._changing:
            bound, from_environment = self._keys.fill_in(self._kinds.bind(kind, config))
            configured = self._configure(service_id, kind, bound, enabled=bound.enabled)
            fields = environment.keyless(bound) if from_environment else as_stored(bound)
            row = ServiceRow(service_id, kind, configured.name, bound.enabled, fields)
            await environment.release(self._state, service_id)
            await self._state.save_service(row)
            self._take_known(configured)
            self._keys.keep(service_id, bound, from_environment=from_environment)
            self._services[service_id] = configured
            self._prober.start(configured)
            self._bus.publish(ServiceChanged(service_id, configured.status))
        return configured.info()

    def _take_known(self, configured: ConfiguredService) -> None:
        """What a test showed a moment ago, or the service before it at the same place."""
        old = self._services.get(configured.id)
        if old is not None and old.config is not None and configured.config is not None:
            is_same_place = old.config.address == configured.config.address
            configured.discovered = old.discovered if is_same_place else ()
        models = self._trials.recent(configured.kind, configured.config)
        if models is not None and configured.enabled:
            configured.status, configured.discovered, configured.probed = ONLINE, models, True

    async def _remove(self, service_id: str) -> None:
        async with self._changing:
            if service_id not in self._services:
                raise NotFound(f"There is no service '{service_id[:100]}'")
            await environment.release(self._state, service_id)
            await self._state.delete_service(service_id)
            await self._state.set_value(_discovered_key(service_id), None)
            self._prober.stop(service_id)
            self._keys.forget(service_id)
            del self._services[service_id]
            self._bus.publish(ServiceChanged(service_id, "removed"))

    async def _set_default(self, model: str) -> None:
        async with self._changing:
            offer = catalogue.resolve(self._configured, model)
            await self._state.set_value(DEFAULT_MODEL_KEY, offer.id)
            self._default = offer.id
            self._bus.publish(SettingsChanged(DEFAULT_MODEL_KEY))

    async def _found(
        self, configured: ConfiguredService, status: str, models: tuple[str, ...] | None
    ) -> None:
        """Take up what a probe found, unless the service was replaced meanwhile."""
        if self._services.get(configured.id) is not configured:
            return
        changed = configured.status != status
        configured.status = status
        if models is not None:
            changed |= configured.discovered != models
            configured.probed = True
            if configured.discovered != models:
                configured.discovered = models
                await self._state.set_value(_discovered_key(configured.id), json.dumps(models))
        if changed:
            self._bus.publish(ServiceChanged(configured.id, status))

    async def _completed(self, change: Coroutine[Any, Any, _T]) -> _T:
        """Run ``change`` to its end in a task of its own, whatever happens to the caller."""
        done: asyncio.Future[_T] = asyncio.get_running_loop().create_future()

        async def run() -> None:
            try:
                result = await change
            except Exception as error:  # noqa: BLE001 - handed to the caller, who raises it
                done.set_exception(error)
                done.exception()  # a caller that left will not look
            else:
                done.set_result(result)

        self._tasks.create_task(run(), name="change of services")
        return await asyncio.shield(done)


@asynccontextmanager
async def open_registry(
    settings: Settings,
    state: State,
    bus: Bus,
    *,
    kinds: Kinds | None = None,
    timeouts: Timeouts | None = None,
    redactor: Redactor | None = None,
) -> AsyncGenerator[Registry]:
    """Open the registry with one HTTP session and its background probes.

    Args:
        settings: Time limits and what the environment names.
        state: Where services and the default model are kept.
        bus: Told of every change.
        kinds: The kinds of service; those of the entry points if None.
        timeouts: Those of the settings if None.
        redactor: Told of every key; one of the registry's own if None.
    """
    timeouts = timeouts or Timeouts.from_settings(settings)
    if kinds is None:
        kinds = await asyncio.to_thread(load_kinds)
    failure: Exception | None = None
    async with open_session(timeouts) as session, asyncio.TaskGroup() as tasks:
        registry = Registry(
            settings,
            state,
            bus,
            kinds=kinds,
            session=session,
            tasks=tasks,
            timeouts=timeouts,
            redactor=redactor or Redactor(),
        )
        try:
            await registry.load()
            yield registry
        except Exception as error:  # noqa: BLE001 - raised again outside of the group
            failure = error
        finally:
            registry.stop()
    if failure is not None:
        raise failure


def _discovered_key(service_id: str) -> str:
    return f"discovered:{service_id}"
