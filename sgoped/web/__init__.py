"""The HTTP, SSE and WebSocket faces of the use cases; the only place that knows status codes."""

from __future__ import annotations

from sgoped.web.keys import BOUND, Bound
from sgoped.web.serving import protocol_options, runner_options
from sgoped.web.wire import BodyTimedOut, error_reply

__all__ = [
    "BOUND",
    "BodyTimedOut",
    "Bound",
    "error_reply",
    "protocol_options",
    "runner_options",
]
