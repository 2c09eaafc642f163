"""Logs failures that nobody expected: where they came from, never what they say."""

from __future__ import annotations

import logging
import traceback

log = logging.getLogger(__name__)


def log_unexpected(doing: str, error: BaseException) -> None:
    """Log where ``error`` came from, but not its message, which may quote a person's text."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    log.error("unexpected %s in %s\n%s", type(error).__name__, doing, frames)
