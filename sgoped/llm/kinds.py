"""The kinds of service there are, and the binding of a person's configuration to one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from pydantic import SecretStr, ValidationError

from sgoped.errors import InvalidInput
from sgoped.llm.service import Service, ServiceConfig, Timeouts
from sgoped.plugins import Plugin, PluginFailure, load_plugins

GROUP = "sgoped.services"


@dataclass(frozen=True, slots=True)
class Kinds:
    """Service classes by kind.

    Attributes:
        classes: What the entry points offer.
        failures: Those that could not be loaded.
    """

    classes: Mapping[str, type[Service]]
    failures: tuple[PluginFailure, ...] = ()

    def bind(self, kind: str, config: Mapping[str, Any]) -> ServiceConfig:
        """Validate ``config`` as that kind wants it.

        Raises:
            InvalidInput: The kind is unknown, or a field cannot be used; its value is not shown.
        """
        try:
            bound = self._class(kind).config_type.model_validate(dict(config))
        except ValidationError as error:
            raise InvalidInput(_first_error(error)) from None
        _ = bound.address  # raises for an address that is not acceptable
        return bound

    def make(
        self,
        kind: str,
        config: ServiceConfig,
        session: aiohttp.ClientSession,
        timeouts: Timeouts,
    ) -> Service:
        """The service that ``config`` describes."""
        return self._class(kind)(config, session, timeouts)

    def title(self, kind: str) -> str:
        """The kind's name for people."""
        return self.classes[kind].title if kind in self.classes else kind

    def _class(self, kind: str) -> type[Service]:
        if kind not in self.classes:
            known = ", ".join(sorted(self.classes)) or "none is installed"
            raise InvalidInput(f"Unknown service type {kind[:40]!r}: choose from {known}")
        return self.classes[kind]


def load_kinds() -> Kinds:
    """Import what is offered in the entry-point group; blocking."""
    plugins, failures = load_plugins(GROUP)
    classes: dict[str, type[Service]] = {}
    for plugin in plugins:
        flaw = _flaw(plugin)
        if flaw:
            failures.append(PluginFailure(plugin.name, plugin.package, flaw))
        else:
            classes[plugin.name] = plugin.value  # type: ignore[assignment] # checked by _flaw
    return Kinds(classes, tuple(failures))


def as_stored(config: ServiceConfig) -> dict[str, Any]:
    """``config`` with its key in plain text, for state.db only."""
    fields = config.model_dump(mode="json", exclude={"enabled"})
    return fields | _secrets(config)


def as_shown(config: ServiceConfig, placeholder: str) -> dict[str, Any]:
    """``config`` as a person may see it: ``placeholder`` where there is a secret."""
    fields = config.model_dump(mode="json", exclude={"enabled"})
    for name, secret in _secrets(config).items():
        del fields[name]
        if secret:
            fields[name] = placeholder
    return fields


def _secrets(config: ServiceConfig) -> dict[str, str]:
    values = ((name, getattr(config, name)) for name in type(config).model_fields)
    return {
        name: value.get_secret_value() for name, value in values if isinstance(value, SecretStr)
    }


def _first_error(error: ValidationError) -> str:
    """The first thing wrong, by name and without its value."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "config"
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"


def _flaw(plugin: Plugin) -> str:
    value = plugin.value
    if not isinstance(value, type):
        return "not a class"
    config_type = getattr(value, "config_type", None)
    if not (isinstance(config_type, type) and issubclass(config_type, ServiceConfig)):
        return "config_type is not a ServiceConfig"
    missing = [
        name for name in ("title", "models", "stream", "context_tokens") if not hasattr(value, name)
    ]
    return f"lacks {', '.join(missing)}" if missing else ""
