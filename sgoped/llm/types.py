"""The values that LLM services and their callers exchange: messages, stream events, facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sgoped.llm.capabilities import UNKNOWN, Capabilities
from sgoped.llm.circuit import CircuitState


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of what a model is sent."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer; never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """The next piece of the model's thinking; never empty, without tags."""

    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What the service counted, as far as it told."""

    prompt_tokens: int | None
    completion_tokens: int | None


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is whole; always the last event of a stream that did not fail.

    Attributes:
        reason: ``stop``, ``length``, or what else the service said.
        skipped_lines: Unreadable lines that were left out.
    """

    reason: str
    skipped_lines: int = 0


StreamEvent = TextDelta | ReasoningDelta | Usage | Finished


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model as it is offered to a person.

    Attributes:
        id: ``<service id>/<name>``: unique over services, and unchanged when others come or go.
        name: What its service calls it.
        service_id: Which service serves it.
        service_name: That service's name for people.
        kind: That service's kind, such as ``ollama``.
        available: Whether asking it now is worth a try.
        is_default: Whether a chat that names no model uses it; true of at most one.
        stale: Whether its service did not confirm it lately; see ``ServiceInfo``.
        checked_at: When its service was last asked, in unix seconds; None when never.
        capabilities: What it can do, as far as its service told.
    """

    id: str
    name: str
    service_id: str
    service_name: str
    kind: str
    available: bool
    is_default: bool
    stale: bool = True
    checked_at: float | None = None
    capabilities: Capabilities = UNKNOWN


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """A configured service as it may be shown: without its key.

    Attributes:
        id: Its id, chosen by who added it.
        kind: Such as ``ollama`` or ``openai``.
        name: Its name for people.
        enabled: Whether its models are offered at all.
        available: Whether asking it now is worth a try.
        models: The chosen ones, or all that were discovered when none was chosen.
        status: ``online``, ``configured`` (not probed yet), ``disabled`` or ``error: ...``.
        config: What it was configured with; a key is shown as ``stored:<id>``.
        stale: Whether ``models`` is from an earlier time than the last probes.
        checked_at: When it was last asked, in unix seconds; None when never.
        circuit: Whether it is asked at all, after failures; see ``circuit``.
        failing_since: When the circuit opened, in unix seconds; None while it is closed.
        retry_at: When a request is let through again, likewise.
    """

    id: str
    kind: str
    name: str
    enabled: bool
    available: bool
    models: tuple[str, ...]
    status: str
    config: dict[str, Any]
    stale: bool = True
    checked_at: float | None = None
    circuit: CircuitState = "closed"
    failing_since: float | None = None
    retry_at: float | None = None


@dataclass(frozen=True, slots=True)
class ServiceTest:
    """What trying a configuration showed; ``error`` is empty when ``ok``."""

    ok: bool
    models: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class ModelHealth:
    """How a model was when its service was last asked.

    Attributes:
        model: The model's id.
        service: Its service's id.
        status: ``online``, ``configured``, ``disabled`` or ``error: ...``.
        available: Whether asking it now is worth a try.
        checked_at: When its service was last asked, in unix seconds; None when never.
    """

    model: str
    service: str
    status: str
    available: bool
    checked_at: float | None
