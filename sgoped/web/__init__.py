"""The HTTP, SSE and WebSocket faces of the use cases; the only place that knows status codes."""

from __future__ import annotations

from sgoped.web.keys import BOUND, Bound
from sgoped.web.serving import HttpConnection, Runner, runner_options

__all__ = ["BOUND", "Bound", "HttpConnection", "Runner", "runner_options"]
