"""The configured services: added, changed, removed, tried; and which model a name means.

Reading never waits: what is asked here is answered from what the background probes found last.
Changes are durable when they return, and complete even if their caller is cancelled.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from sgoped.background import task_group
from sgoped.config import Settings
from sgoped.errors import InvalidInput, NotFound, ServiceError
from sgoped.events import Bus, ServiceChanged, SettingsChanged
from sgoped.llm import catalogue, environment
from sgoped.llm.capabilities import UNKNOWN, Capabilities
from sgoped.llm.choice import ModelChoice
from sgoped.llm.circuit import Circuit
from sgoped.llm.completing import completed
from sgoped.llm.configured import DISABLED, ONLINE, ConfiguredService, refuse_odd_id
from sgoped.llm.embedding import ModelEmbedder
from sgoped.llm.guard import Guard
from sgoped.llm.keyless import KeylessService
from sgoped.llm.keys import KeyRing, given_key
from sgoped.llm.kinds import Kinds, as_stored, load_kinds
from sgoped.llm.learned import Learned
from sgoped.llm.learning import Learner
from sgoped.llm.probing import Prober
from sgoped.llm.remembered import Remembered
from sgoped.llm.service import ServiceConfig, Timeouts
from sgoped.llm.transport import open_session
from sgoped.llm.trials import Trials, is_same
from sgoped.llm.types import ModelHealth, ModelInfo, ServiceInfo, ServiceTest
from sgoped.redaction import Redactor
from sgoped.state import ServiceRow, State

MAX_SERVICES = 100
HEALTH_AGE_SECONDS = 5.0
DEFAULT_MODEL_KEY = "default_model"


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
        self._remembered = Remembered(state)
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
        self._learned = Learned(state, tasks)
        self._learner = Learner(tasks, self._learnt)

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
            return self._choice(catalogue.resolve(self._configured, name))
        offer = catalogue.usable_offer(self._configured, self._default)
        return None if offer is None else self._choice(offer)

    async def look_again(self) -> None:
        """Have what is down probed, and wait for that shortly: its next probe may be minutes away."""
        await self._prober.check(*(each.id for each in self._configured if not each.available))

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
        for service in self._configured:
            if service.config is not None and is_same(kind, bound, service.kind, service.config):
                self._close_circuit(service)
                self._prober.wake(service.id)
        return ServiceTest(ok=True, models=models)

    async def put(self, service_id: str, kind: str, config: Mapping[str, Any]) -> ServiceInfo:
        """Add a service, or replace the one with that id.

        Raises:
            InvalidInput: The id, the kind or a field cannot be used.
            StorageError: It could not be stored; nothing changed.
        """
        with self._redactor.holding(given_key(config)):
            return await completed(self._tasks, self._put(service_id, kind, config))

    async def remove(self, service_id: str) -> None:
        """Remove a service; its key can still be referred to for some minutes.

        Raises:
            NotFound: There is no such service.
            StorageError: It could not be removed from the disk; nothing changed.
        """
        await completed(self._tasks, self._remove(service_id))

    async def set_default(self, model: str) -> None:
        """Choose the default model by id or unambiguous bare name.

        Raises:
            NotFound: There is no such model.
            StorageError: The choice could not be stored; nothing changed.
        """
        await completed(self._tasks, self._set_default(model))

    async def refresh(self) -> None:
        """Ask all services again, side by side, within limits; chats may ask all that answer."""
        await self._prober.refresh(list(self._services))
        for service in self._configured:
            if service.status == ONLINE:
                self._close_circuit(service)

    async def health(self, model_id: str) -> ModelHealth:
        """How a model was when its service was last asked; has it asked again if that is old.

        Raises:
            NotFound: There is no such model.
        """
        offer = catalogue.resolve(self._configured, model_id)
        service = offer.service
        if time.time() - (service.checked_at or 0) > HEALTH_AGE_SECONDS:
            self._prober.wake(service.id)
        return service.health(offer.id)

    async def load(self) -> None:
        """Take up what is stored and what the environment names, and begin to probe."""
        for failure in self._kinds.failures:
            log.warning("service kind %s is left out: %s", failure.name, failure.error)
        await self._learned.load()
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
        """Stop asking; changes under way complete."""
        self._prober.stop_all()
        self._learner.stop_all()

    @property
    def _configured(self) -> list[ConfiguredService]:
        return list(self._services.values())

    def _choice(self, offer: catalogue.Offer) -> ModelChoice | None:
        configured = offer.service
        if configured.service is None:
            return None

        def report(failure: ServiceError | None) -> None:
            is_news = failure is not None or configured.status != ONLINE
            if is_news and self._services.get(configured.id) is configured:
                self._prober.wake(configured.id)

        return ModelChoice(
            offer.id,
            offer.name,
            configured.id,
            service=configured.service,
            assumed_tokens=self._settings.context_tokens,
            report=report,
            set_tokens=self._settings.window_of(offer.id, configured.id),
            learned=self._learned,
            guard=configured.guard,
            known_tokens=configured.capabilities.get(offer.name, UNKNOWN).window,
            is_local=configured.is_local,
        )

    async def _restored(
        self, row: ServiceRow, named: dict[str, ServiceConfig]
    ) -> ConfiguredService:
        """A stored service; one that cannot be used (any more) is kept and says why."""
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
        await self._remembered.recall(service)
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
        self._guard(configured)
        return configured

    def _guard(self, configured: ConfiguredService) -> None:
        configured.circuit = Circuit(time.monotonic, self._settings.circuit_failures)
        configured.guard = Guard(
            configured.circuit,
            check=lambda: self._prober.check(configured.id),
            changed=lambda: self._tell(configured),
        )

    def _close_circuit(self, configured: ConfiguredService) -> None:
        if configured.circuit.state != "closed":
            configured.circuit.close()
            self._tell(configured)

    def _tell(self, configured: ConfiguredService) -> None:
        if self._services.get(configured.id) is configured:
            self._bus.publish(ServiceChanged(configured.id, configured.shown_status))

    async def _put(self, service_id: str, kind: str, config: Mapping[str, Any]) -> ServiceInfo:
        refuse_odd_id(service_id)
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
            self._learner.stop(service_id)
            self._prober.start(configured)
            self._tell(configured)
        return configured.info()

    def _take_known(self, configured: ConfiguredService) -> None:
        """What a test showed a moment ago, or the service before it at the same place."""
        old = self._services.get(configured.id)
        if old is not None and old.config is not None and configured.config is not None:
            if old.config.address == configured.config.address:
                configured.discovered, configured.capabilities = old.discovered, old.capabilities
            else:
                self._learned.forget(configured.id)
        models = self._trials.recent(configured.kind, configured.config)
        if models is not None and configured.enabled:
            configured.status, configured.discovered, configured.probed = ONLINE, models, True
            configured.told_at = configured.checked_at = time.time()

    async def _remove(self, service_id: str) -> None:
        async with self._changing:
            if service_id not in self._services:
                raise NotFound(f"There is no service '{service_id[:100]}'")
            await environment.release(self._state, service_id)
            await self._state.delete_service(service_id)
            await self._remembered.forget(service_id)
            self._prober.stop(service_id)
            self._learner.stop(service_id)
            self._keys.forget(service_id)
            self._learned.forget(service_id)
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
        before, configured.status = (configured.shown_status, configured.discovered), status
        configured.circuit.note_probe(answered=models is not None)
        if models is not None:
            configured.probed = True
            configured.told_at = time.time()
            if configured.discovered != models:
                configured.discovered = models
                await self._remembered.keep_models(configured.id, models)
        if before != (configured.shown_status, configured.discovered):
            self._tell(configured)
        if models is not None:
            self._learner.start(configured)

    async def _learnt(self, configured: ConfiguredService, told: dict[str, Capabilities]) -> None:
        """Keep what the models of a service can do, unless it was replaced meanwhile."""
        if self._services.get(configured.id) is configured:
            configured.capabilities = told
            await self._remembered.keep_capabilities(configured.id, told)
            self._tell(configured)


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

    ``kinds`` are those of the entry points if None, ``timeouts`` those of the settings, and
    ``redactor`` is one of the registry's own.
    """
    timeouts = timeouts or Timeouts.from_settings(settings)
    if kinds is None:
        kinds = await asyncio.to_thread(load_kinds)
    async with open_session(timeouts) as session, task_group() as tasks:
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
        finally:
            registry.stop()
