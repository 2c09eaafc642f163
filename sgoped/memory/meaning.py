"""Finding by meaning: drives the embedding of passages, and tells which are near to a query.

Opened beside an open memory, once somebody is there who embeds, and closed before it; without it,
and for all that it cannot tell, a search is by words alone.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import sqlite3
import struct
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sgoped.background import background, task_group
from sgoped.errors import ServiceError, SgopedError
from sgoped.events import Bus, ServiceChanged
from sgoped.memory.embedder import Embedder, EmbeddingStatus
from sgoped.memory.indexer import Indexer
from sgoped.memory.passage_vectors import PassageVectors
from sgoped.memory.query_vectors import QueryVectors
from sgoped.memory.vectors import open_vectors
from sgoped.unexpected import log_unexpected

if TYPE_CHECKING:
    from sgoped.memory.embedding import Batch, Embedding
    from sgoped.memory.memory import Memory
    from sgoped.memory.nearest import Similarities

REQUEST_TEXTS = 16
# After each request, this share of the time that it took.
REST_SHARE = 0.25
MAX_REST_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 1.0
MAX_PAUSE_SECONDS = 300.0
# A file that was moved is gone for a moment; its vectors are kept for longer.
ORPHAN_SECONDS = 30.0
# Anything will do to learn how many dimensions a model has.
INTRODUCTION = "Hello"
# A model that was replaced under its name answers in other dimensions from now on.
ODD_ANSWERS = 3
STORE_ERRORS = (sqlite3.Error, OSError, LookupError, ValueError, TypeError, struct.error)

_NO_NUMPY = "numpy is not installed, which compares vectors"

Result = TypeVar("Result")

log = logging.getLogger(__name__)


class Meaning:
    """The one task that embeds, and the answers to queries; loop thread only.

    Attributes:
        orphan_seconds: For so long the vectors of a text stay that is in no file any more.
    """

    def __init__(
        self,
        name: str,
        embedder: Embedder,
        *,
        embedding: Embedding,
        queries: QueryVectors,
        indexer: Indexer,
        executor: ThreadPoolExecutor,
    ) -> None:
        self._name = name
        self._embedder = embedder
        self._embedding = embedding
        self._queries = queries
        self._indexer = indexer
        self._executor = executor
        self.orphan_seconds = ORPHAN_SECONDS
        self._changed: set[int] = set()
        self._looked_at: set[int] = set()
        self._wake = asyncio.Event()
        self._loaded = False
        self._problem = ""
        self._failures = 0
        self._paused_until = 0.0
        self._odd_answers = 0
        self._passages = PassageVectors(embedder)

    # -- what others ask for

    def status(self) -> EmbeddingStatus:
        """How far finding by meaning is."""
        known, waiting = self._embedding.known_count, self._embedding.waiting_count
        looking = not self._loaded or self._changed or self._looked_at
        busy = looking or waiting or self._has_other_model
        model, problem = self._name, self._problem or self._queries.problem
        try:
            model = self._embedder.model_id()
        except SgopedError as failure:
            problem = problem or failure.message
        state = f"waiting: {problem}" if problem else "working" if busy else "ready"
        return EmbeddingStatus(model, state, known, known + waiting)

    async def similar_to(self, text: str) -> Callable[[], Similarities | None] | None:
        """How near passages are to ``text``, to be called in a thread; ``None``: cannot be told."""
        nearest, model = self._embedding.nearest, self._embedding.model
        if not nearest or not text.strip():
            return None
        vector = await self._queries.vector(text, model)
        if vector is None or len(vector) != nearest.dimensions:
            return None
        return partial(nearest.compare, vector)

    def note(self, pids: Iterable[int]) -> None:
        """These files changed, or are gone."""
        self._changed.update(pids)
        self._wake.set()

    def try_again(self) -> None:
        """A service may be back: do not wait for the end of a pause."""
        self._paused_until = 0.0
        self._queries.try_again()
        self._wake.set()

    # -- the one task

    async def run(self) -> None:
        """Embed for ever."""
        while True:
            await self._guarded(self._advance)

    async def _guarded(self, step: Callable[[], Awaitable[None]]) -> None:
        """One step; whatever it raises becomes a pause, because this is a task's edge."""
        try:
            await step()
        except SgopedError as failure:
            asked = failure.retry_after_seconds if isinstance(failure, ServiceError) else None
            self._pause(failure.message, asked or 0.0)
        except STORE_ERRORS as error:
            log_unexpected("keeping vectors", error)
            self._pause(_unkept(error))
            if _is_damage(error):
                with suppress(*STORE_ERRORS):
                    await self._call(self._embedding.renew)
        except Exception as error:  # noqa: BLE001 - a plug-in may raise any
            log_unexpected("embedding", error)
            self._pause("embedding failed; see the log")

    def _pause(self, problem: str, at_least_seconds: float = 0.0) -> None:
        if problem != self._problem:
            log.warning("finding by meaning waits: %s", problem)
        self._problem = problem
        seconds = max(at_least_seconds, FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures, 16))
        self._failures += 1
        self._paused_until = time.monotonic() + min(MAX_PAUSE_SECONDS, seconds)

    async def _advance(self) -> None:
        """Do the most pressing thing, or wait for one."""
        pause = self._paused_until - time.monotonic()
        if not self._loaded:
            await asyncio.sleep(max(0.0, pause))
            await self._call(self._embedding.load)
            self._loaded = True
        elif self._changed:
            await self._look_at_changed()
        elif pause > 0 and (self._embedding.waiting_count or self._has_other_model):
            await self._sleep(pause)
        elif self._has_other_model:
            await self._meet_other_model()
        elif self._embedding.waiting_count:
            await self._do_batch()
        elif self._problem and self._embedding.nearest is not None:
            self._problem, self._failures = "", 0
        elif not await self._sleep(self.orphan_seconds if self._embedding.has_orphans else None):
            await self._call(self._embedding.drop_orphans)

    async def _look_at_changed(self) -> None:
        self._looked_at, self._changed = self._changed, set()
        try:
            await self._call(lambda: self._embedding.look_at(self._looked_at))
        except Exception:
            self._changed |= self._looked_at
            raise
        finally:
            self._looked_at = set()

    @property
    def _has_other_model(self) -> bool:
        """Whether the vectors that are kept are not those of the model that is there now."""
        try:
            return self._embedding.model not in ("", self._embedder.model_id())
        except SgopedError:
            return False

    async def _meet_other_model(self) -> None:
        """Begin afresh once the other model answers: until then the old vectors are kept."""
        answer = await self._passages.ask([INTRODUCTION])
        if not answer.dimensions:
            raise ServiceError("The model refuses whatever it is given")
        await self._agree(answer.model, answer.dimensions)

    async def _sleep(self, seconds: float | None) -> bool:
        """Whether something happened before the time was over."""
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    async def _do_batch(self) -> None:
        await self._indexer.until_idle()
        batch = await self._call(self._embedding.next_batch)
        try:
            await self._embed(batch)
            await self._call(lambda: self._embedding.finish(batch))
        except Exception:
            await self._call(lambda: self._embedding.put_back(batch))
            raise
        self._problem, self._failures = "", 0

    async def _embed(self, batch: Batch) -> None:
        keys = list(batch.texts)
        for start in range(0, len(keys), REQUEST_TEXTS):
            await self._indexer.until_idle()
            await self._look_at_changed()
            some = self._embedding.wanted(batch, keys[start : start + REQUEST_TEXTS])
            if not some:
                continue
            started = time.monotonic()
            answer = await self._passages.ask([batch.texts[key] for key in some])
            if answer.dimensions:
                await self._agree(answer.model, answer.dimensions)
            vectors = dict(zip(some, answer.vectors, strict=True))
            await self._call(partial(self._embedding.save, vectors))
            took = time.monotonic() - started
            await asyncio.sleep(min(MAX_REST_SECONDS, REST_SHARE * took))

    async def _agree(self, model: str, dimensions: int) -> None:
        """See that the vectors belong to those that are kept, or begin afresh."""
        held = self._embedding.nearest
        if held is not None and self._embedding.model == model and held.dimensions != dimensions:
            self._odd_answers += 1
            if self._odd_answers < ODD_ANSWERS:
                raise ServiceError(
                    f"The model answers in {dimensions} dimensions instead of {held.dimensions}"
                )
        elif held is not None and self._embedding.model == model:
            self._odd_answers = 0
            return
        self._odd_answers = 0
        await self._call(lambda: self._embedding.begin_afresh(model, dimensions))

    async def _call(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


def _unkept(error: Exception) -> str:
    return f"the vectors cannot be kept ({type(error).__name__})"


def _is_damage(error: Exception) -> bool:
    """Whether ``vectors.db`` is damaged, and not only out of reach: full, locked, unreadable."""
    if isinstance(error, sqlite3.OperationalError):
        return "no such" in str(error)
    return not isinstance(error, OSError)


async def _hear_of_services(bus: Bus, meaning: Meaning) -> None:
    with bus.subscribe() as events:
        async for _, event in events:
            if isinstance(event, ServiceChanged) and not event.status.startswith("error"):
                meaning.try_again()


@asynccontextmanager
async def open_meaning(
    memory: Memory,
    path: Path,
    bus: Bus,
    embedder: Embedder,
    *,
    name: str,
    wait_seconds: float,
    max_index_bytes: int,
    orphan_seconds: float = ORPHAN_SECONDS,
) -> AsyncGenerator[None]:
    """Let ``memory`` find by meaning, for as long as the block lasts.

    Args:
        memory: An open one.
        path: Of ``vectors.db``.
        bus: Tells when a service is back.
        embedder: Who gives vectors.
        name: What the setting says.
        wait_seconds: How long a search waits for the vector of its query.
        max_index_bytes: How much of each file is indexed.
        orphan_seconds: For so long the vectors of a text stay that is in no file any more.
    """
    async with AsyncExitStack() as stack:
        try:
            # numpy is a tenth of a start, and not there on every machine.
            await asyncio.to_thread(importlib.import_module, "sgoped.memory.embedding")
            store = await stack.enter_async_context(open_vectors(path))
        except (ImportError, sqlite3.Error, OSError) as error:
            problem = _NO_NUMPY if isinstance(error, ImportError) else _unkept(error)
            log.warning("nothing is found by meaning: %s", problem)
            memory.use_meaning(None, lambda: EmbeddingStatus(name, f"waiting: {problem}"))
            yield
            return
        from sgoped.memory.embedding import Embedding  # noqa: PLC0415 - see above

        executor = ThreadPoolExecutor(1, thread_name_prefix="meaning")
        stack.callback(executor.shutdown)
        queries = QueryVectors(
            embedder, await stack.enter_async_context(task_group()), wait_seconds
        )
        stack.callback(queries.cancel)
        indexer = memory.indexer
        meaning = Meaning(
            name,
            embedder,
            embedding=Embedding(memory.root, indexer.worker.table, store, max_index_bytes),
            queries=queries,
            indexer=indexer,
            executor=executor,
        )
        meaning.orphan_seconds = orphan_seconds
        stack.callback(setattr, indexer, "on_contents", indexer.on_contents)
        indexer.on_contents = meaning.note
        work = background(embed=meaning.run(), services=_hear_of_services(bus, meaning))
        await stack.enter_async_context(work)
        memory.use_meaning(meaning.similar_to, meaning.status)
        stack.callback(memory.use_meaning, None, EmbeddingStatus)
        yield
