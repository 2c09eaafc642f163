"""The HTTP face of the daemon as a whole: health, counts, refresh."""

from __future__ import annotations

import os
import sqlite3
import time

from aiohttp import web

import sgoped
from sgoped.web.endpoint import endpoint
from sgoped.web.keys import ACTIONS, BOUND, MEMORY, REGISTRY, SAVES, STATE, TANTIVY_VERSION
from sgoped.web.process import process_json
from sgoped.web.render import counts_json, index_json, model_json, services_json, watcher_json
from sgoped.web.status_replies import HealthReply, RefreshReply, StatsReply
from sgoped.web.wire import reply


@endpoint("status", returns=HealthReply)
async def health(request: web.Request) -> web.StreamResponse:
    """Tell how the daemon and its parts are; 200 for as long as it answers."""
    app = request.app
    watcher, index, state = watcher_json(app[MEMORY]), index_json(app[MEMORY]), app[STATE]
    degraded = watcher["state"] == "degraded" or index["problem"] or state.problem
    answer: HealthReply = {
        "status": "degraded" if degraded else "healthy",
        "version": sgoped.__version__,
        "pid": os.getpid(),
        "uptime_seconds": uptime_seconds(app[BOUND].started_at),
        "watcher": watcher,
        "index": index,
        "services": {service.id: service.status for service in app[REGISTRY].services()},
        "state": {"recovery": state.recovery, "problem": state.problem},
        "process": process_json(),
        "sqlite": sqlite3.sqlite_version,
        "tantivy": app[TANTIVY_VERSION],
    }
    return reply(answer)


def uptime_seconds(started_at: float) -> float:
    """Seconds since the start; 0 where it is not known or the clock went back."""
    return round(max(time.time() - started_at, 0.0), 3) if started_at else 0.0


@endpoint("status", returns=StatsReply)
async def stats(request: web.Request) -> web.StreamResponse:
    """Count what the dashboard shows."""
    registry = request.app[REGISTRY]
    answer: StatsReply = {
        "short_term_memory": counts_json(request.app[MEMORY]),
        "long_term_memory": {"total_actions": len(request.app[ACTIONS].all())},
        "llm_services": {
            "default_model": registry.default_model() or "",
            "all_models": [model_json(model) for model in registry.models()],
            "services": services_json(registry),
        },
    }
    return reply(answer)


@endpoint("status", returns=RefreshReply, fails=(500, 507))
async def refresh(request: web.Request) -> web.StreamResponse:
    """Compare the index with the disk; answered when they are equal."""
    memory = request.app[MEMORY]
    await request.app[SAVES].run(memory.refresh())
    answer: RefreshReply = {
        "success": True,
        "message": "the index equals the disk",
        "index": index_json(memory),
    }
    return reply(answer)
