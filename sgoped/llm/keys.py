"""Stored keys and their placeholders: what lets an edit form keep a key it never sees.

``stored:<service id>`` stands for the key of that service. It is understood only for the same
scheme, host and port, or a web page could have the key sent to a place of its choice; and for
some minutes after the service was removed, because an edit is a removal and an addition.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from sgoped.errors import InvalidInput
from sgoped.llm.service import STORED_KEY_PREFIX, ServiceConfig
from sgoped.redaction import Redactor

REMEMBERED_SECONDS = 600.0

_AGAIN = "Enter the key again"


def placeholder(service_id: str) -> str:
    """What is shown instead of the key of that service."""
    return f"{STORED_KEY_PREFIX}{service_id}"


def given_key(config: Mapping[str, Any]) -> str:
    """The key in a configuration as it was sent, before anything is known of it."""
    key = config.get("api_key")
    return key.strip() if isinstance(key, str) else ""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key and where it may be sent.

    Attributes:
        secret: The key.
        endpoint: Scheme, host and port it was given for.
        from_environment: It is the environment's, so it is not written to disk.
    """

    secret: SecretStr
    endpoint: tuple[str, str, int]
    from_environment: bool = False


class KeyRing:
    """The keys of all services, and for ``REMEMBERED_SECONDS`` those of removed ones.

    Args:
        redactor: Told which keys are in use.
        clock: Seconds, monotonic.
    """

    def __init__(
        self, redactor: Redactor | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._redactor = redactor or Redactor()
        self._clock = clock
        self._living: dict[str, StoredKey] = {}
        self._removed: dict[str, tuple[float, StoredKey]] = {}

    def keep(self, service_id: str, config: ServiceConfig, *, from_environment: bool) -> None:
        """The service now has this configuration: its key replaces what was known by its id."""
        self._take(service_id)
        self._removed.pop(service_id, None)
        if config.api_key.get_secret_value():
            key = StoredKey(config.api_key, config.address.endpoint, from_environment)
            self._living[service_id] = key
            self._redactor.hold(key.secret.get_secret_value())

    def forget(self, service_id: str) -> None:
        """The service was removed: its key stays usable for some minutes."""
        self._drop_expired()
        key = self._take(service_id)
        if key is not None:
            self._removed[service_id] = (self._clock() + REMEMBERED_SECONDS, key)

    def fill_in(self, config: ServiceConfig) -> tuple[ServiceConfig, bool]:
        """``config`` with the key its placeholder stands for, and whether the environment's.

        Raises:
            InvalidInput: The placeholder stands for no key that may be sent there.
        """
        text = config.api_key.get_secret_value()
        if not text.startswith(STORED_KEY_PREFIX):
            return config, False
        self._drop_expired()
        service_id = text.removeprefix(STORED_KEY_PREFIX)
        key = self._living.get(service_id) or self._removed.get(service_id, (0.0, None))[1]
        if key is None:
            raise InvalidInput(f"{_AGAIN}: the stored one is not known any more")
        if key.endpoint != config.address.endpoint:
            raise InvalidInput(f"{_AGAIN}: the stored one is for another address")
        return config.model_copy(update={"api_key": key.secret}), key.from_environment

    def _take(self, service_id: str) -> StoredKey | None:
        key = self._living.pop(service_id, None)
        if key is not None:
            self._redactor.release(key.secret.get_secret_value())
        return key

    def _drop_expired(self) -> None:
        now = self._clock()
        self._removed = {
            service_id: (until, key)
            for service_id, (until, key) in self._removed.items()
            if until > now
        }
