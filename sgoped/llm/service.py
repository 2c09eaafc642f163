"""What an LLM service is: the Protocol that each kind fulfils, its configuration, its time limits.

A kind comes with the entry-point group ``sgoped.services``: the name is the kind, the value a
class that fulfils ``Service``. The built-in kinds come through the same door.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Protocol, runtime_checkable

import aiohttp
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from sgoped.config import Settings
from sgoped.llm.address import Address
from sgoped.llm.types import Message, StreamEvent

MAX_MODELS = 1000
MAX_NAME_CHARS = 200
REQUEST_SECONDS = 15.0
STORED_KEY_PREFIX = "stored:"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait for a service, in seconds.

    Attributes:
        connect_seconds: For name, connection and TLS together.
        first_token_seconds: From asking until the first token; a cold model loads meanwhile.
        idle_seconds: For each read after that.
        request_seconds: For a whole question that spends no tokens, such as which models there are.
        retry_seconds: For all the waiting between tries of one request together.
        retry_pause_seconds: Before the second try, when the service does not say; then doubled.
        final_seconds: After a model said why it stopped, for the count of tokens and the end mark.
    """

    connect_seconds: float = 5.0
    first_token_seconds: float = 120.0
    idle_seconds: float = 60.0
    request_seconds: float = REQUEST_SECONDS
    retry_seconds: float = 20.0
    retry_pause_seconds: float = 0.5
    final_seconds: float = 2.0

    @classmethod
    def from_settings(cls, settings: Settings) -> Timeouts:
        """The limits that a person set."""
        return cls(
            connect_seconds=settings.connect_timeout_seconds,
            first_token_seconds=settings.first_token_timeout_seconds,
            idle_seconds=settings.idle_timeout_seconds,
            request_seconds=min(REQUEST_SECONDS, settings.idle_timeout_seconds),
        )


def _listed(value: Any) -> Any:
    """``a, b`` as a person types it, or the list that a program sends; None is no choice."""
    if value is None:
        return ()
    return value.split(",") if isinstance(value, str) else value


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("contains control characters")
    return text


def _blank(value: Any) -> Any:
    return "" if value is None else value


def _sendable(key: SecretStr) -> SecretStr:
    text = key.get_secret_value().strip()
    if text.startswith(STORED_KEY_PREFIX):
        return SecretStr(text)
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("contains characters that no key has: copy it again")
    return SecretStr(text)


Name = Annotated[str, Field(max_length=MAX_NAME_CHARS), AfterValidator(_printable)]
ModelNames = Annotated[
    tuple[Name, ...],
    Field(max_length=MAX_MODELS),
    BeforeValidator(_listed),
    AfterValidator(_distinct),
]
Key = Annotated[
    SecretStr, Field(max_length=4096), BeforeValidator(_blank), AfterValidator(_sendable)
]


class ServiceConfig(BaseModel, ABC):
    """What every kind can be configured with; a kind adds where it is.

    Unknown keys are left out: a form sends the fields of all kinds.

    Attributes:
        name: For people; empty means the kind's own.
        enabled: Whether its models are offered.
        models: The chosen ones; none means all that it tells of.
        api_key: Sent to ``address`` only, never shown.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True, str_strip_whitespace=True
    )

    name: Annotated[Name, BeforeValidator(_blank)] = ""
    enabled: bool = True
    models: ModelNames = ()
    api_key: Key = SecretStr("")

    @property
    @abstractmethod
    def address(self) -> Address:
        """Where the service is."""


class AskableService(Protocol):
    """What can be asked of a configured endpoint."""

    async def models(self) -> list[str]:
        """The names of its models, found without spending tokens.

        Raises:
            ServiceError: It did not tell.
        """

    def stream(
        self, model: str, messages: Sequence[Message], *, context_tokens: int | None = None
    ) -> AsyncGenerator[Sequence[StreamEvent], None]:
        """Ask ``model`` for the next turn.

        Yields batches: the events that one read from the service brought, or a part of them where
        these are many. The last event of a whole answer is ``Finished``. Closing or cancelling the
        generator closes the connection at once.

        Args:
            model: One of ``models()``.
            messages: The conversation so far.
            context_tokens: The window to reserve, for services where that is the client's choice.

        Raises:
            ServiceError: After everything that had arrived was yielded.
        """

    async def context_tokens(self, model: str) -> int | None:
        """The model's window, when it can be known.

        Raises:
            ServiceError: It did not tell.
        """


@runtime_checkable
class EmbeddingService(Protocol):
    """What a service may do besides, where its kind can: turn texts into vectors.

    It may also have ``embedding_models``: the names of those that only embed, which ``models``
    leaves out, as far as it was told them.
    """

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text, in order: of one length, finite, none of it all zero.

        Args:
            model: Any that the endpoint knows.
            texts: At least one, none empty.

        Raises:
            ServiceError: It did not tell.
        """


class Service(AskableService, Protocol):
    """A configured endpoint that speaks one wire protocol.

    Attributes:
        title: The name for people of a service without one.
        config_type: What ``config`` is validated with.
    """

    title: ClassVar[str]
    config_type: ClassVar[type[ServiceConfig]]

    def __init__(self, config: Any, session: aiohttp.ClientSession, timeouts: Timeouts) -> None: ...
