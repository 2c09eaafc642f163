"""One configured service as the daemon knows it at this moment: what it offers, how it is."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

from sgoped.errors import InvalidInput
from sgoped.llm.capabilities import Capabilities
from sgoped.llm.circuit import Circuit
from sgoped.llm.guard import Guard
from sgoped.llm.keys import placeholder
from sgoped.llm.kinds import as_shown
from sgoped.llm.service import AskableService, ServiceConfig
from sgoped.llm.types import ModelHealth, ServiceInfo

ONLINE = "online"
CONFIGURED = "configured"
DISABLED = "disabled"
LOCAL_PERIOD_SECONDS = 30.0
REMOTE_PERIOD_SECONDS = 300.0
STALE_PERIODS = 2.0

_SERVICE_ID = re.compile(r"(?!\.\.?$)[^\x00-\x1f\x7f/\\\ud800-\udfff]{1,100}")


def refuse_odd_id(service_id: str) -> None:
    """Raise InvalidInput for what cannot be the id of a service."""
    if not _SERVICE_ID.fullmatch(service_id):
        raise InvalidInput("service_id: 1 to 100 characters, no slashes or control characters")


@dataclass(slots=True)
class ConfiguredService:
    """A service, its configuration and what was last heard of it. Loop thread only.

    Attributes:
        id: Chosen by who added it.
        kind: Such as ``ollama``.
        name: For people.
        enabled: Whether its models are offered.
        config: None when the stored configuration cannot be used (any more).
        service: None in the same case.
        status: As in ``ServiceInfo``.
        discovered: The models it told of, now or before the last restart.
        checked_at: When it was last asked, in unix seconds; None when never.
        probed: Whether it told its models since the start.
        told_at: When it last told them, in unix seconds; None when not since the start.
        capabilities: What its models can do, as far as that is known.
        circuit: Whether it is asked at all, judged by how its last requests ended.
        guard: What lets requests through.
    """

    id: str
    kind: str
    name: str
    enabled: bool
    config: ServiceConfig | None
    service: AskableService | None
    status: str = CONFIGURED
    discovered: tuple[str, ...] = ()
    checked_at: float | None = None
    probed: bool = False
    told_at: float | None = None
    capabilities: dict[str, Capabilities] = field(default_factory=dict)
    circuit: Circuit = field(default_factory=lambda: Circuit(time.monotonic))
    guard: Guard = field(default_factory=Guard)

    @property
    def available(self) -> bool:
        """Whether asking it now is worth a try: it is online, or nobody knows yet."""
        is_fit = self.enabled and self.service is not None and self.circuit.would_admit
        return is_fit and self.status in (ONLINE, CONFIGURED)

    @property
    def shown_status(self) -> str:
        """The status for people: what a probe found, or why the service is left alone."""
        if self.status in (ONLINE, CONFIGURED) and self.circuit.state == "open":
            return f"error: {self.guard.last_failure or 'the service fails'}"
        return self.status

    @property
    def period_seconds(self) -> float:
        """How long between two probes that are answered.

        A service elsewhere is asked rarely: a quiet desktop should be quiet on the network.
        """
        return LOCAL_PERIOD_SECONDS if self.is_local else REMOTE_PERIOD_SECONDS

    @property
    def is_stale(self) -> bool:
        """Whether its models may be other ones by now: probes fail, hang, or were never made."""
        if self.told_at is None or self.status != ONLINE:
            return True
        return time.time() - self.told_at > STALE_PERIODS * self.period_seconds

    @property
    def models(self) -> tuple[str, ...]:
        """The chosen models, or all discovered ones when none was chosen."""
        return (self.config.models if self.config is not None else ()) or self.discovered

    @property
    def is_local(self) -> bool:
        """Whether what it is sent stays on this machine or network."""
        return self.config is not None and self.config.address.is_local

    def health(self, model_id: str) -> ModelHealth:
        """How one of its models was when it was last asked."""
        return ModelHealth(model_id, self.id, self.shown_status, self.available, self.checked_at)

    def info(self) -> ServiceInfo:
        """What may be shown of it."""
        shown = {} if self.config is None else as_shown(self.config, placeholder(self.id))
        return ServiceInfo(
            id=self.id,
            kind=self.kind,
            name=self.name,
            enabled=self.enabled,
            available=self.available,
            models=self.models,
            status=self.shown_status,
            config={**shown, "name": self.name},
            stale=self.is_stale,
            checked_at=self.checked_at,
            circuit=self.circuit.state,
            failing_since=_unix(self.circuit.opened_at),
            retry_at=_unix(self.circuit.retry_at),
        )


def _unix(monotonic: float | None) -> float | None:
    """A moment of the monotonic clock in unix seconds."""
    return None if monotonic is None else time.time() + monotonic - time.monotonic()
