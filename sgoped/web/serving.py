"""How aiohttp's server is to run the application, in the daemon and in tests alike."""

from __future__ import annotations

import logging
from typing import Any

MAX_LINE_BYTES = 64 * 1024


class WithoutWhatWasSent(logging.Filter):
    """Keeps the kind of a server error, drops its text: it quotes request lines and headers."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, in short."""
        if record.exc_info and record.exc_info[1] is not None:
            record.msg = f"{record.msg}: {type(record.exc_info[1]).__name__}"
            record.exc_info = None
        return True


def runner_options() -> dict[str, Any]:
    """Keyword arguments for ``web.AppRunner``.

    Handlers are cancelled when their client leaves, so that a model that nobody listens to falls
    silent.
    """
    return {"handler_cancellation": True, **protocol_options()}


def protocol_options() -> dict[str, Any]:
    """Keyword arguments for ``web.RequestHandler``, which the runner's server passes on.

    A request line holds a path of 4,000 bytes in percent encoding.
    """
    log = logging.getLogger("sgoped.web.server")
    if not log.filters:
        log.addFilter(WithoutWhatWasSent())
    return {
        "access_log": None,
        "logger": log,
        "max_line_size": MAX_LINE_BYTES,
    }
