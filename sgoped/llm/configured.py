"""One configured service as the daemon knows it at this moment: what it offers, how it is."""

from __future__ import annotations

from dataclasses import dataclass

from sgoped.llm.keys import placeholder
from sgoped.llm.kinds import as_shown
from sgoped.llm.service import AskableService, ServiceConfig
from sgoped.llm.types import ServiceInfo

ONLINE = "online"
CONFIGURED = "configured"
DISABLED = "disabled"


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

    @property
    def available(self) -> bool:
        """Whether asking it now is worth a try: it is online, or nobody knows yet."""
        return self.enabled and self.service is not None and self.status in (ONLINE, CONFIGURED)

    @property
    def models(self) -> tuple[str, ...]:
        """The chosen models, or all discovered ones when none was chosen."""
        return (self.config.models if self.config is not None else ()) or self.discovered

    @property
    def is_local(self) -> bool:
        """Whether what it is sent stays on this machine or network."""
        return self.config is not None and self.config.address.is_local

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
            status=self.status,
            config={**shown, "name": self.name},
        )
