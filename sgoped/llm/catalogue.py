"""Which model a name means: ids, bare names, the default, and what takes its place.

Pure functions over the configured services, in the order in which they were added.

A model's id is ``<service id>/<name>``; service ids contain no slash, so ids never meet. A bare
name means a model where exactly one service has it, and ``name`` means ``name:latest`` as Ollama
has it. An id always wins over an equal bare name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from sgoped.errors import NotFound
from sgoped.llm.capabilities import UNKNOWN
from sgoped.llm.configured import ConfiguredService
from sgoped.llm.types import ModelInfo

_MAX_SHOWN_CHARS = 200


@dataclass(frozen=True, slots=True)
class Offer:
    """A model and the service it is asked from."""

    service: ConfiguredService
    name: str

    @property
    def id(self) -> str:
        """Unique over services."""
        return f"{self.service.id}/{self.name}"


def offers(services: Sequence[ConfiguredService]) -> list[Offer]:
    """Every model of every enabled service."""
    return [
        Offer(service, name) for service in services if service.enabled for name in service.models
    ]


def resolve(services: Sequence[ConfiguredService], name: str) -> Offer:
    """The model that ``name``, an id or a bare name, means.

    An id of a service that has not told its models yet is taken at its word: chat must not wait
    for a probe, and the service will say so if there is no such model.

    Raises:
        NotFound: There is none (``model_not_found``), or several (``model_ambiguous``).
    """
    known = offers(services)
    for wanted in (name, f"{name}:latest"):
        by_id = next((offer for offer in known if offer.id == wanted), None)
        if by_id is not None:
            return by_id
        by_name = [offer for offer in known if offer.name == wanted]
        if len(by_name) > 1:
            ids = ", ".join(offer.id for offer in by_name)
            raise NotFound(
                f"Model '{_shown(name)}' is offered by several services: name one of {ids}",
                code="model_ambiguous",
            )
        if by_name:
            return by_name[0]
    unheard = next(_unheard(services, name), None)
    if unheard is None:
        raise NotFound(f"Model '{_shown(name)}' not available", code="model_not_found")
    return unheard


def default_offer(services: Sequence[ConfiguredService], stored: str | None) -> Offer | None:
    """The default model.

    The stored choice if it is known, up or down; else another model of the same service; else,
    and when nothing was chosen, the first usable model that may stand in for it.
    """
    try:
        return resolve(services, stored or "")
    except NotFound:
        owner_id = (stored or "").partition("/")[0]
    owner = next((service for service in services if service.id == owner_id), None)
    siblings = (offer for offer in offers(services) if offer.service is owner)
    return next(chain(siblings, _stand_ins(services, owner)), None)


def usable_offer(services: Sequence[ConfiguredService], stored: str | None) -> Offer | None:
    """What a chat that names no model uses: the default, or a usable one that may stand in."""
    default = default_offer(services, stored)
    if default is None or default.service.available:
        return default
    return next(_stand_ins(services, default.service), None)


def model_infos(services: Sequence[ConfiguredService], stored: str | None) -> list[ModelInfo]:
    """All models as they are offered to a person."""
    default = default_offer(services, stored)
    stale = {service.id: service.is_stale for service in services}
    return [
        ModelInfo(
            id=offer.id,
            name=offer.name,
            service_id=offer.service.id,
            service_name=offer.service.name,
            kind=offer.service.kind,
            available=offer.service.available,
            is_default=default is not None and offer.id == default.id,
            stale=stale[offer.service.id],
            checked_at=offer.service.checked_at,
            capabilities=offer.service.capabilities.get(offer.name, UNKNOWN),
        )
        for offer in offers(services)
    ]


def _stand_ins(
    services: Sequence[ConfiguredService], owner: ConfiguredService | None
) -> Iterator[Offer]:
    """The usable models that may stand in for one of ``owner``.

    For a local one only local ones: what a person meant to keep on their machine is not sent
    elsewhere because a service is down.
    """
    for offer in offers(services):
        may_leave = owner is None or not owner.is_local
        if offer.service.available and (may_leave or offer.service.is_local):
            yield offer


def _unheard(services: Sequence[ConfiguredService], name: str) -> Iterator[Offer]:
    service_id, _, model = name.partition("/")
    for service in services:
        if service.id == service_id and model and service.enabled:
            is_known = service.probed or service.models
            if not is_known and service.service is not None:
                yield Offer(service, model)


def _shown(name: str) -> str:
    printable = "".join(character if character.isprintable() else "\ufffd" for character in name)
    return printable[:_MAX_SHOWN_CHARS]
