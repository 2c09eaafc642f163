"""The services that the environment names, and which of them still apply.

They have the fixed ids ``ollama`` and ``openai`` and are taken from the environment anew at every
start, so a changed variable counts, until a person changes or removes such a service at run time:
from then on theirs is what counts. A variable that is gone leaves its service in place. A key from
the environment is never written to disk.
"""

from __future__ import annotations

import logging
from typing import Any

from sgoped.config import Settings
from sgoped.errors import InvalidInput
from sgoped.llm.kinds import Kinds, as_stored
from sgoped.llm.service import ServiceConfig
from sgoped.state import ServiceRow, State

OLLAMA_ID = "ollama"
OPENAI_ID = "openai"
ENVIRONMENT_IDS = (OLLAMA_ID, OPENAI_ID)
KEY_MARK = "key_from_environment"

_APPLIED, _RELEASED = "applied", "released"

log = logging.getLogger(__name__)


def named_services(settings: Settings, kinds: Kinds) -> dict[str, ServiceConfig]:
    """The services that the environment names, by id; what cannot be used is logged, not raised.

    A variable such as ``OLLAMA_HOST`` belongs to other programs too, so a strange one must not
    keep the daemon from starting.
    """
    wanted: dict[str, dict[str, Any]] = {}
    if settings.ollama_host:
        wanted[OLLAMA_ID] = {"host": settings.ollama_host}
    if settings.openai_api_key is not None or settings.openai_base_url:
        wanted[OPENAI_ID] = {
            "api_key": settings.openai_api_key,
            "base_url": settings.openai_base_url or "",
            "models": settings.openai_models,
        }
    named = {}
    for service_id, fields in wanted.items():
        try:
            named[service_id] = kinds.bind(service_id, fields)
        except InvalidInput as error:
            log.warning("the environment's service %s is left out: %s", service_id, error.message)
    return named


async def apply_environment(state: State, named: dict[str, ServiceConfig], kinds: Kinds) -> None:
    """Store the services that the environment names and no person has taken over, without keys."""
    existing = {row.id for row in await state.load_services()}
    for service_id, config in named.items():
        mark = await state.get_value(_mark(service_id))
        if mark == _RELEASED or (service_id in existing and mark != _APPLIED):
            continue
        await state.set_value(_mark(service_id), _APPLIED)
        await state.save_service(
            ServiceRow(service_id, service_id, kinds.title(service_id), True, keyless(config))
        )


async def release(state: State, service_id: str) -> None:
    """A person changed or removed the service: the environment's does not count any more."""
    if service_id in ENVIRONMENT_IDS:
        await state.set_value(_mark(service_id), _RELEASED)


def keyless(config: ServiceConfig) -> dict[str, Any]:
    """``config`` as stored when its key is the environment's: marked, without the key."""
    fields = as_stored(config)
    if fields.pop("api_key", ""):
        fields[KEY_MARK] = True
    return fields


def with_key(
    fields: dict[str, Any], config: ServiceConfig, named: dict[str, ServiceConfig]
) -> ServiceConfig:
    """``config``, bound from the stored ``fields``, with the environment's key where it applies.

    The key applies to the address that the environment names it for, and to no other.
    """
    given = named.get(OPENAI_ID)
    if not fields.get(KEY_MARK) or given is None:
        return config
    if given.address.endpoint != config.address.endpoint:
        return config
    return config.model_copy(update={"api_key": given.api_key})


def _mark(service_id: str) -> str:
    return f"environment:{service_id}"
