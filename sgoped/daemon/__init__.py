"""One process: lock, sockets, signals, readiness, serve."""

from __future__ import annotations

from sgoped.daemon.process import serve
from sgoped.daemon.terminal import say_error

__all__ = ["say_error", "serve"]
