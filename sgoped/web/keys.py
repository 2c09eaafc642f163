"""The typed keys under which handlers find what they need in the application."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from sgoped.actions import ActionRegistry
from sgoped.chat import Chat, Enricher
from sgoped.config import Settings
from sgoped.events import Bus
from sgoped.llm import Registry
from sgoped.memory import Memory
from sgoped.paths import Paths
from sgoped.redaction import Redactor
from sgoped.state import State
from sgoped.suggestions import Suggestions
from sgoped.web.live import LiveConnections
from sgoped.web.menus import MenuEncoder
from sgoped.web.saves import Saves


@dataclass(slots=True)
class Bound:
    """Where the daemon listens; filled in once its sockets are bound, before any request.

    Attributes:
        port: The TCP port; the Host gate lets nothing else pass. 0: not bound yet.
        url: What a person types, such as ``http://localhost:8000``.
        started_at: Seconds since 1970.
    """

    port: int = 0
    url: str = ""
    started_at: float = 0.0


BOUND = web.AppKey("bound", Bound)
SETTINGS = web.AppKey("settings", Settings)
PATHS = web.AppKey("paths", Paths)
BUS = web.AppKey("bus", Bus)
REDACTOR = web.AppKey("redactor", Redactor)
STATE = web.AppKey("state", State)
MEMORY = web.AppKey("memory", Memory)
REGISTRY = web.AppKey("registry", Registry)
ACTIONS = web.AppKey("actions", ActionRegistry)
SUGGESTIONS = web.AppKey("suggestions", Suggestions)
CHAT = web.AppKey("chat", Chat)
ENRICHER = web.AppKey("enricher", Enricher)
SAVES = web.AppKey("saves", Saves)
MENUS = web.AppKey("menus", MenuEncoder)
LIVE = web.AppKey("live", LiveConnections)
TANTIVY_VERSION = web.AppKey("tantivy_version", str)
