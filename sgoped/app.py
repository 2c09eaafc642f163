"""The composition root: which parts there are, in which order they open and close.

``create_app`` only constructs. Each part is an async context manager that knows no HTTP; the
order of ``PARTS`` is the order of dependency, and they close in reverse.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from importlib.metadata import version

from aiohttp import web  # noqa: TID251 - composes the application
from pydantic import SecretStr

from sgoped.actions import open_actions
from sgoped.chat import open_chat, open_enricher
from sgoped.config import Settings
from sgoped.events import Bus
from sgoped.llm import open_registry
from sgoped.memory import open_meaning, open_memory
from sgoped.paths import Paths
from sgoped.redaction import Redactor, redacted_logs
from sgoped.state import open_state
from sgoped.suggestions import Suggestions
from sgoped.web import keys
from sgoped.web.live import LiveConnections
from sgoped.web.menus import MenuEncoder
from sgoped.web.middlewares import add_headers, errors, make_gate, make_limits
from sgoped.web.openapi import DOCUMENT, Document
from sgoped.web.routes import ROUTES, add_routes, body_caps
from sgoped.web.saves import open_saves


def create_app(settings: Settings, paths: Paths) -> web.Application:
    """Build the application; nothing is opened until it is started."""
    app = web.Application(
        middlewares=[make_gate(settings), errors, make_limits(body_caps(settings))]
    )
    app[keys.SETTINGS] = settings
    app[keys.PATHS] = paths
    app[keys.BOUND] = keys.Bound()
    app[keys.MENUS] = MenuEncoder()
    app[keys.LIVE] = LiveConnections()
    app[keys.REDACTOR] = make_redactor(settings)
    app[DOCUMENT] = Document(ROUTES)
    add_routes(app)
    app.on_response_prepare.append(add_headers)
    app.cleanup_ctx.extend([logs, state, memory, registry, meaning, actions, enricher, chat, saves])
    app.on_shutdown.append(end_live_connections)
    return app


def make_redactor(settings: Settings) -> Redactor:
    """One that knows every secret of the settings; the registry adds the keys of services."""
    redactor = Redactor()
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            redactor.hold(value.get_secret_value())
    return redactor


async def logs(app: web.Application) -> AsyncIterator[None]:
    """No key is logged from here on until everything is closed."""
    with redacted_logs(app[keys.REDACTOR]):
        yield


async def state(app: web.Application) -> AsyncIterator[None]:
    """What happened and what must survive."""
    paths = app[keys.PATHS]
    app[keys.BUS] = Bus()
    app[keys.TANTIVY_VERSION] = await asyncio.to_thread(version, "tantivy")
    async with open_state(paths.state_db, paths.backups_dir) as opened:
        app[keys.STATE] = opened
        yield


async def memory(app: web.Application) -> AsyncIterator[None]:
    """The watched folder, its catalogue and its index."""
    async with open_memory(
        app[keys.PATHS], app[keys.SETTINGS], app[keys.STATE], app[keys.BUS]
    ) as opened:
        app[keys.MEMORY] = opened
        yield


async def registry(app: web.Application) -> AsyncIterator[None]:
    """The LLM services."""
    async with open_registry(
        app[keys.SETTINGS], app[keys.STATE], app[keys.BUS], redactor=app[keys.REDACTOR]
    ) as opened:
        app[keys.REGISTRY] = opened
        yield


async def meaning(app: web.Application) -> AsyncIterator[None]:
    """Finding by meaning, where a model for it is named; between the two who ignore each other."""
    settings = app[keys.SETTINGS]
    if not settings.embedding_model:
        yield
        return
    async with open_meaning(
        app[keys.MEMORY],
        app[keys.PATHS].vectors_db,
        app[keys.BUS],
        app[keys.REGISTRY].embedder(settings.embedding_model),
        name=settings.embedding_model,
        wait_seconds=settings.embedding_wait_seconds,
        max_index_bytes=settings.max_index_bytes,
    ):
        yield


async def actions(app: web.Application) -> AsyncIterator[None]:
    """What ``/commands`` do, and what is suggested of them and of files."""
    loaded = await asyncio.to_thread(open_actions)
    app[keys.ACTIONS] = loaded
    app[keys.SUGGESTIONS] = Suggestions(app[keys.MEMORY], loaded)
    yield


async def enricher(app: web.Application) -> AsyncIterator[None]:
    """What waits for a model."""
    async with open_enricher(
        app[keys.MEMORY],
        app[keys.REGISTRY],
        app[keys.STATE],
        app[keys.BUS],
        is_on=app[keys.SETTINGS].enrich_later,
    ) as opened:
        app[keys.ENRICHER] = opened
        yield


async def chat(app: web.Application) -> AsyncIterator[None]:
    """The answers being made."""
    async with open_chat(
        app[keys.MEMORY],
        app[keys.REGISTRY],
        app[keys.ACTIONS],
        app[keys.SETTINGS],
        app[keys.BUS],
        state=app[keys.STATE],
        later=app[keys.ENRICHER],
    ) as opened:
        app[keys.CHAT] = opened
        yield


async def saves(app: web.Application) -> AsyncIterator[None]:
    """What must be finished; closes first, while all it writes to is still open."""
    async with open_saves() as opened:
        app[keys.SAVES] = opened
        yield


async def end_live_connections(app: web.Application) -> None:
    """End streams and sockets, which would otherwise hold the shutdown."""
    await app[keys.LIVE].end_all()
