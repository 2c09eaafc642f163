"""``Enricher``: adds to saved files what a model was to add, once one answers.

Files wait in ``state.db``, over restarts and kills. One at a time is worked on, and its model is
asked for nothing while somebody waits for an answer of the same service. A file that was changed
or is gone is left alone: it is written only with the etag it was saved with, so that nothing of
the person's is ever overwritten and no summary is added twice.

What a person kept is sent only to the model that was to be asked when they did so, the chosen or
the default one, and in its place to one on this machine or network. A remote service that came, or
became the default, or took that model's name later was not agreed to: for it a person has to ask
that it is tried again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any
from uuid import uuid4

from sgoped.actions import enriched, is_enriched, recipe_from
from sgoped.background import background
from sgoped.chat.courtesy import CourteousModel
from sgoped.errors import Conflict, NotFound, NotText, PathRefused, SgopedError
from sgoped.events import Bus, EnrichmentChanged, ServiceChanged, SettingsChanged
from sgoped.llm import ModelChoice, Registry
from sgoped.memory import Memory, document_id, shown
from sgoped.state import Enrichment, Enrichments, EnrichmentState, State
from sgoped.unexpected import log_unexpected

MAX_WAITING = 1000
MAX_ENDED = 200
MAX_ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 30.0
LOOK_SECONDS = 60.0
CHANGED = "changed"
GONE = "gone"

log = logging.getLogger(__name__)


class Enricher:
    """The queue, and the one who works on it. Made by ``open_enricher``."""

    def __init__(
        self,
        memory: Memory,
        registry: Registry,
        table: Enrichments,
        bus: Bus,
        *,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
        is_on: bool = True,
    ) -> None:
        self._memory = memory
        self._registry = registry
        self._table = table
        self._bus = bus
        self._first_pause_seconds = first_pause_seconds
        self._is_on = is_on
        self._rows: dict[str, Enrichment] = {}
        self._wake = asyncio.Event()
        self._working: tuple[str, asyncio.Task[None]] | None = None

    def all(self) -> list[Enrichment]:
        """What waits and what has ended lately, oldest first."""
        return list(self._rows.values())

    async def add(self, path: str, etag: str, recipe: Mapping[str, Any], model: str) -> str:
        """Have a file completed later.

        Args:
            path: Relative to the memory folder.
            etag: Of the content that ``recipe`` is for.
            recipe: See ``actions.later``.
            model: Which is to be asked, an id or name; empty: the default one of this moment.

        Returns:
            The id under which it waits; empty when too many wait already.

        Raises:
            StorageError: It could not be kept.
        """
        if sum(row.ended_at is None for row in self._rows.values()) >= MAX_WAITING:
            log.warning("%d summaries wait already: one more is left out", MAX_WAITING)
            return ""
        now = time.time()
        row = Enrichment(
            id=uuid4().hex,
            path=path,
            etag=etag,
            recipe=dict(recipe),
            created_at=now,
            next_try_at=now,
            **self._agreed(model),
        )
        await self._keep(row)
        self._wake.set()
        return row.id

    async def cancel(self, enrichment_id: str) -> None:
        """Give one up, or forget how it ended; the file stays as it is.

        Raises:
            NotFound: There is none of that id.
            StorageError: It could not be forgotten.
        """
        row = self._row(enrichment_id)
        del self._rows[row.id]  # first, so that nothing that goes on writes it again
        await self._table.delete([row.id])
        if self._working is not None and self._working[0] == row.id:
            self._working[1].cancel()
        self._bus.publish(EnrichmentChanged(row.id, shown(row.path), "cancelled"))

    async def retry(self, enrichment_id: str) -> Enrichment:
        """Try one again as soon as a model answers, however often it failed.

        Its model is asked wherever it is by now, or the present default one if it is gone.

        Raises:
            NotFound: There is none of that id.
            Conflict: It is done, being done, or its file was changed.
            StorageError: It could not be kept.
        """
        row = self._row(enrichment_id)
        if row.state not in ("queued", "failed"):
            raise Conflict(f"it is {row.state}: only what waits or failed can be tried again")
        now, agreed = time.time(), self._agreed(row.model if self._found(row.model) else "")
        row = replace(row, state="queued", why="", attempts=0, next_try_at=now, ended_at=None)
        await self._keep(replace(row, **agreed))
        self._wake.set()
        return row

    async def moved(self, reference: str, path: str) -> None:
        """A file or folder was renamed: what waits for it goes along.

        Args:
            reference: Its former path or id.
            path: Its new path.
        """
        folder = f"{reference}/"
        for row in self.all():
            if row.ended_at is None and reference in (row.path, document_id(row.path)):
                await self._move(row, path)
            elif row.ended_at is None and row.path.startswith(folder):
                await self._move(row, f"{path}/{row.path.removeprefix(folder)}")

    async def _move(self, row: Enrichment, path: str) -> None:
        try:
            await self._keep(replace(row, path=path))
        except SgopedError as error:  # the rename is done, and this is known until the next start
            log.warning("the new path of a waiting summary could not be kept: %s", error.code)

    # -- inside

    async def load(self) -> None:
        """Take up what is kept; what a kill interrupted waits again."""
        for row in await self._table.load():
            self._rows[row.id] = replace(row, state="queued") if row.state == "working" else row

    async def watch(self) -> None:
        """Look again whenever a service or a setting changes."""
        with self._bus.subscribe() as events:
            async for _, event in events:
                if isinstance(event, ServiceChanged | SettingsChanged):
                    self._wake.set()

    async def work(self) -> None:
        """Go on for ever."""
        while True:
            self._wake.clear()
            found = self._next()
            if found is None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_seconds()):
                        await self._wake.wait()
                continue
            row, choice = found
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(self._do(row, choice), name=f"enrichment {row.id}")
                self._working = (row.id, task)
            self._working = None

    def _next(self) -> tuple[Enrichment, ModelChoice] | None:
        now = time.time()
        for row in self._rows.values() if self._is_on else ():
            if row.state == "queued" and (row.next_try_at or 0) <= now:
                choice = self._usable(row)
                if choice is not None:
                    return row, choice
        return None

    def _agreed(self, model: str) -> dict[str, Any]:
        """Which model a person means who keeps something now, and whether it is elsewhere."""
        choice = self._found(model or self._registry.default_model() or self._only_elsewhere())
        if choice is None:
            return {"model": model, "may_leave": False}
        return {"model": choice.id, "may_leave": not choice.is_local}

    def _only_elsewhere(self) -> str:
        """The first model where all are remote: while these are down, none is the default."""
        models = [model.id for model in self._registry.models()]
        found = [choice for model in models if (choice := self._found(model)) is not None]
        return "" if not found or any(choice.is_local for choice in found) else found[0].id

    def _found(self, model: str) -> ModelChoice | None:
        try:
            return self._registry.find_model(model) if model else None
        except NotFound:
            return None

    def _usable(self, row: Enrichment) -> ModelChoice | None:
        """The model, if its service is known to answer: not one that was never heard."""
        choice = self._found(row.model) or self._registry.find_model("")
        if choice is None or choice.guard.is_open:
            return None
        if not choice.is_local and not (row.may_leave and choice.id == row.model):
            return None
        services = {service.id: service for service in self._registry.services()}
        service = services.get(choice.service_id)
        return choice if service is not None and service.status == "online" else None

    def _pause_seconds(self) -> float:
        """Until the next one may be tried; a clock that was set may make that later or sooner."""
        times = [row.next_try_at for row in self._rows.values() if row.next_try_at is not None]
        ahead = [at - time.time() for at in times if at > time.time()]
        return min([LOOK_SECONDS, *ahead]) + 0.01

    async def _do(self, row: Enrichment, choice: ModelChoice) -> None:
        """One attempt; what goes wrong with it is noted, because this is a task's edge."""
        try:
            row = replace(row, state="working", attempts=row.attempts + 1)
            await self._keep(row)
            await self._attempt(row, CourteousModel(choice))
        except SgopedError as error:
            log.warning("a summary could not be added: %s", error.code)
            await self._failed(row, error.message)
        except Exception as error:  # noqa: BLE001 - see above
            log_unexpected("adding a summary", error)
            await self._failed(row, "something went wrong inside sgoped; its log says where")

    async def _attempt(self, row: Enrichment, model: CourteousModel) -> None:
        recipe = recipe_from(row.recipe)
        try:
            file = await self._memory.read_text(document_id(self._path(row)))
            if file.etag != row.etag:
                is_done = is_enriched(file.content, recipe)
                await self._end(row, "done" if is_done else "skipped", "" if is_done else CHANGED)
                return
            text = await enriched(file.content, recipe, model)
            if text is None:
                await self._failed(row, model.failure or "the model gave no summary")
                return
            path = document_id(self._path(row))
            await self._memory.write_text(path, text, if_match=row.etag)
        except (NotFound, NotText, PathRefused):
            await self._end(row, "skipped", GONE)
        except Conflict:
            await self._end(row, "skipped", CHANGED)
        else:
            await self._end(row, "done")

    def _path(self, row: Enrichment) -> str:
        """Where the file is by now."""
        return self._rows[row.id].path if row.id in self._rows else row.path

    async def _failed(self, row: Enrichment, why: str) -> None:
        if row.attempts >= MAX_ATTEMPTS:
            await self._end(row, "failed", why)
            return
        pause = self._first_pause_seconds * 4.0 ** (row.attempts - 1)
        next_try_at = time.time() + pause
        with suppress(SgopedError):  # a disk that refuses is met again at the next attempt
            await self._keep(replace(row, state="queued", why=why, next_try_at=next_try_at))

    async def _end(self, row: Enrichment, state: EnrichmentState, why: str = "") -> None:
        ended = replace(row, state=state, why=why, next_try_at=None, ended_at=time.time())
        with suppress(SgopedError):
            await self._keep(ended)
            ids = [each.id for each in self._rows.values() if each.ended_at is not None]
            for each in ids[:-MAX_ENDED]:
                del self._rows[each]
                await self._table.delete([each])

    async def _keep(self, row: Enrichment) -> None:
        """Keep its present state, unless it was given up meanwhile; its path may be a newer one."""
        known = self._rows.get(row.id)
        if known is None and row.attempts:
            return
        if known is not None and row.state != known.state:
            row = replace(row, path=known.path)
        self._rows[row.id] = row
        try:
            await self._table.save(row)
        except SgopedError:
            if known is None:
                del self._rows[row.id]
            raise
        if row.id in self._rows:
            self._bus.publish(EnrichmentChanged(row.id, shown(row.path), row.state))

    def _row(self, enrichment_id: str) -> Enrichment:
        row = self._rows.get(enrichment_id)
        if row is None:
            raise NotFound("There is no summary of that id to be made")
        return row


@asynccontextmanager
async def open_enricher(
    memory: Memory,
    registry: Registry,
    state: State,
    bus: Bus,
    *,
    first_pause_seconds: float = FIRST_PAUSE_SECONDS,
    is_on: bool = True,
) -> AsyncGenerator[Enricher]:
    """Open the queue and work on it until the block is left.

    While it is not ``is_on``, what waits goes on waiting.

    Raises:
        StorageError: What waits cannot be read.
    """
    enricher = Enricher(
        memory,
        registry,
        Enrichments(state),
        bus,
        first_pause_seconds=first_pause_seconds,
        is_on=is_on,
    )
    await enricher.load()
    async with background(enrichment=enricher.work(), enrichment_watch=enricher.watch()):
        yield enricher
