"""Hooks for the schemathesis command: no generated endpoint may lead off this machine."""

from __future__ import annotations

from typing import Any

import schemathesis

NOBODY_LISTENS = "http://127.0.0.1:9"


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Point every service that is tried or saved at a closed loopback port."""
    config = case.body.get("config") if isinstance(case.body, dict) else None
    if isinstance(config, dict):
        config.update(host=NOBODY_LISTENS, base_url=NOBODY_LISTENS)
