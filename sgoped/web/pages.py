"""The pages for people: what runs and where, and the documentation; nothing from elsewhere."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Iterable, Mapping
from importlib.resources import files
from string import Template

from aiohttp import web

import sgoped
from sgoped.web.endpoint import HTML, endpoint
from sgoped.web.headers import PAGE_POLICY, POLICY_HEADER
from sgoped.web.keys import ACTIONS, BOUND, MEMORY, REGISTRY
from sgoped.web.render import counts_json, index_json, watcher_json
from sgoped.web.status import uptime_seconds

CSS = "text/css"
JAVASCRIPT = "text/javascript"


@endpoint("pages", media_type=HTML)
async def home(request: web.Request) -> web.StreamResponse:
    """A short page: what runs, where, and what to try next."""
    template = Template(await _static_text("home.html"))
    page = template.substitute(_facts(request.app))
    return _page(page, HTML)


@endpoint("pages", media_type=HTML)
async def docs(request: web.Request) -> web.StreamResponse:
    """The documentation of this surface, with a form to try each operation."""
    return _page(await _static_text("docs.html"), HTML)


@endpoint("pages", media_type=JAVASCRIPT)
async def docs_script(request: web.Request) -> web.StreamResponse:
    """The script of the documentation page."""
    return _page(await _static_text("docs.js"), JAVASCRIPT)


@endpoint("pages", media_type=CSS)
async def style(request: web.Request) -> web.StreamResponse:
    """The style of both pages."""
    return _page(await _static_text("style.css"), CSS)


async def _static_text(name: str) -> str:
    return await asyncio.to_thread((files("sgoped.web") / "static" / name).read_text, "utf-8")


def _page(text: str, media_type: str) -> web.Response:
    return web.Response(
        text=text,
        content_type=media_type,
        charset="utf-8",
        headers={POLICY_HEADER: PAGE_POLICY},
    )


def _facts(app: web.Application) -> Mapping[str, str]:
    """What the page says, already escaped."""
    memory, registry = app[MEMORY], app[REGISTRY]
    counts, index, watcher = counts_json(memory), index_json(memory), watcher_json(memory)
    facts = {
        "version": sgoped.__version__,
        "url": app[BOUND].url,
        "uptime": _duration(uptime_seconds(app[BOUND].started_at)),
        "folder": str(memory.root),
        "files": str(counts["files"]),
        "folders": str(counts["folders"]),
        "images": str(counts["images"]),
        "documents": str(index["documents"]),
        "progress": f"{index['progress']:.0%}",
        "watcher": watcher["state"] + (f" ({watcher['reason']})" if watcher["reason"] else ""),
        "default_model": registry.default_model() or "none chosen",
        "actions": ", ".join(f"/{action.name}" for action in app[ACTIONS].all()) or "none",
    }
    escaped = {name: html.escape(_printable(value)) for name, value in facts.items()}
    escaped["services"] = _service_rows((s.name, s.kind, s.status) for s in registry.services())
    return escaped


def _printable(text: str) -> str:
    return text.encode("utf-8", errors="replace").decode()


def _service_rows(services: Iterable[tuple[str, str, str]]) -> str:
    rows = [
        f"<li>{html.escape(name)} ({html.escape(kind)}): {html.escape(status)}</li>"
        for name, kind, status in services
    ]
    return "".join(rows) or "<li>none yet; everything that needs no model works</li>"


def _duration(seconds: float) -> str:
    minutes, _ = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
