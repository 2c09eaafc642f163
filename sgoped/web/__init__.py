"""The HTTP, SSE and WebSocket faces of the use cases; the only place that knows status codes."""

from __future__ import annotations

from sgoped.web.headers import security_headers
from sgoped.web.keys import BOUND, Bound
from sgoped.web.serving import HttpConnection, Runner, protocol_options, runner_options
from sgoped.web.wire import BodyTimedOut

__all__ = [
    "BOUND",
    "BodyTimedOut",
    "Bound",
    "HttpConnection",
    "Runner",
    "protocol_options",
    "runner_options",
    "security_headers",
]
