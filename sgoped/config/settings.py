"""``Settings``: every knob, its default, and what it may be."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ByteSize,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

_MIB, _GIB = 2**20, 2**30
_OLLAMA_PORT = 11434
_TOKEN = re.compile(r"[A-Za-z0-9._~-]+")
_MIN_TOKEN_CHARS = 32
_MAX_TOKEN_CHARS = 512
_MIN_DISTINCT_CHARS = 8
_MADE_AT_RANDOM = "; let `openssl rand -hex 32` make one"
_HOST_NAME = re.compile(r"(?:[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::\d{1,5})?")


def _split(value: Any) -> Any:
    """``a, b`` as a variable has it, or the list that a TOML file has."""
    return [part.strip() for part in value.split(",") if part.strip()] if _is_text(value) else value


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _windows(value: Any) -> Any:
    """``service/model=8192, service=4096`` as a variable has it, or the table of a TOML file."""
    if isinstance(value, dict):
        return tuple(value.items())
    if not isinstance(value, str):
        return value
    parts = [part.rpartition("=") for part in value.split(",") if part.strip()]
    if not all(name.strip() for name, _, _ in parts):
        raise ValueError("write such as my-ollama/llama3.2=8192, cloud=16000")
    return tuple((name.strip(), tokens.strip()) for name, _, tokens in parts)


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _empty_is_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().resolve()
    except RuntimeError as error:  # ~name of nobody, or links in a circle
        raise ValueError(str(error)) from error


def _listening_host(value: str) -> str:
    """``localhost``, or an address in its usual form; a name could change what it means."""
    bare = value.strip().lower().removeprefix("[").removesuffix("]")
    if bare == "localhost":
        return bare
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        raise ValueError(
            "only localhost or an address: 127.0.0.1 or ::1 for this machine alone, 0.0.0.0 or :: "
            "for every interface (which needs a bearer token), or the address of one"
        ) from None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


def _strong(token: SecretStr | None) -> SecretStr | None:
    """What can be sent in a header and as a subprotocol, and cannot be guessed."""
    if token is None:
        return None
    text = token.get_secret_value()
    if not _TOKEN.fullmatch(text):
        raise ValueError(f"letters, digits and . _ ~ - only{_MADE_AT_RANDOM}")
    if not _MIN_TOKEN_CHARS <= len(text) <= _MAX_TOKEN_CHARS:
        raise ValueError(
            f"must have {_MIN_TOKEN_CHARS} to {_MAX_TOKEN_CHARS} characters{_MADE_AT_RANDOM}"
        )
    if len(set(text)) < _MIN_DISTINCT_CHARS:
        raise ValueError(f"too few different characters{_MADE_AT_RANDOM}")
    return token


def _stripped(value: Any) -> Any:
    return value.strip() or None if isinstance(value, str) else value


def _stripped_text(value: Any) -> Any:
    return "" if value is None else value.strip() if isinstance(value, str) else value


def _http_url(value: str) -> SplitResult:
    url = urlsplit(value)
    _ = url.port  # raises for a port that is none
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("must look like http://host:port or https://host")
    if url.username is not None or url.password is not None:
        raise ValueError("must not contain a name or password; give the key as a key")
    if url.query or url.fragment:
        raise ValueError("must not contain ? or #")
    return url


def _ollama_url(value: str) -> str:
    """As Ollama reads its own variable: the scheme and the port may be left out."""
    text = value.strip()
    bare = "://" not in text
    if bare:
        text = f"http://127.0.0.1{text}" if text.startswith(":") else f"http://{text}"
    url = _http_url(text)
    host = url.hostname or ""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - where a server listens is no place to call
        host = "127.0.0.1"
    port = url.port or (_OLLAMA_PORT if bare else None)
    shown = f"[{host}]" if ":" in host else host
    return f"{url.scheme}://{shown}{f':{port}' if port else ''}{url.path.rstrip('/')}"


def _base_url(value: str) -> str:
    return _http_url(value.strip()).geturl().rstrip("/")


def _host_names(names: tuple[str, ...]) -> tuple[str, ...]:
    lowered = tuple(name.lower() for name in names)
    for name in lowered:
        if not _HOST_NAME.fullmatch(name) or name.startswith("0.0.0.0"):  # noqa: S104
            raise ValueError(f"{name!r} is no host name; write such as desk.local or desk.local:80")
    return lowered


def _origins(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        url = urlsplit(name)
        if not url.scheme or not url.netloc or url.path or url.query or "*" in name:
            raise ValueError(f"{name!r} is no origin; write such as http://localhost:3000")
    return tuple(name.lower() for name in names)


Folder = Annotated[Path, BeforeValidator(_empty_is_none), AfterValidator(_absolute)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
ModelWindows = tuple[
    tuple[Annotated[str, Field(max_length=500)], Annotated[int, Field(ge=256, le=100_000_000)]], ...
]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Size = Annotated[ByteSize, Field(gt=0)]


class Settings(BaseSettings):
    """What a person can decide. Immutable; constructing one reads nothing but its arguments."""

    model_config = SettingsConfigDict(
        env_prefix="SGOPED_",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    home: Folder | None = Field(
        None,
        description="One root for everything sgoped keeps; unset: the usual places of the platform",
    )
    memory_dir: Folder | None = Field(
        None, description="The folder to watch; unset: `memory/short_term` in the data directory"
    )
    token: Annotated[SecretStr | None, BeforeValidator(_stripped), AfterValidator(_strong)] = Field(
        None,
        description="A bearer token to ask for on TCP, of 32 characters or more; unset: none",
    )
    host: Annotated[str, AfterValidator(_listening_host)] = Field(
        "localhost",
        description="Where to listen; `localhost` is 127.0.0.1 and ::1; "
        "beyond this machine `token` is needed",
    )
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        8000, description="The TCP port; 0 picks a free one"
    )
    check_peer_uid: bool = Field(
        True,
        description="Whether programs of other users of this machine are refused (Linux)",
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = (
        Field("info", description="`debug`, `info`, `warning` or `error`")
    )
    connect_timeout_seconds: Seconds = Field(5.0, description="For connecting to an LLM service")
    first_token_timeout_seconds: Seconds = Field(
        120.0, description="For the first token of an answer: a cold model loads"
    )
    idle_timeout_seconds: Seconds = Field(60.0, description="For each further token of an answer")
    write_timeout_seconds: Seconds = Field(
        30.0, description="For a client to take what is sent to it"
    )
    header_timeout_seconds: Seconds = Field(
        10.0, description="For a request's head to come whole, from its first byte"
    )
    body_timeout_seconds: Seconds = Field(
        30.0, description="For each further part of a request's body"
    )
    reconcile_seconds: Seconds = Field(
        300.0, description="How often the whole folder is compared with the index"
    )
    quiet_seconds: Seconds = Field(
        0.075, description="A changed file is read once it was left alone for this long"
    )
    max_delay_seconds: Seconds = Field(
        0.5, description="A file that is never left alone is read after this long"
    )
    poll_seconds: Seconds = Field(
        2.0, description="How often to look where the system cannot tell of changes"
    )
    max_file_bytes: Size = Field(
        ByteSize(32 * _MIB), description="The largest text read or written over the API"
    )
    max_index_bytes: Size = Field(
        ByteSize(1_000_000), description="How much of each file's text is indexed"
    )
    max_versions_bytes: Size = Field(
        ByteSize(_GIB), description="Kept of what the API overwrote or deleted"
    )
    run_grace_seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = Field(
        0.3, description="How long an answer goes on when nobody follows it any more"
    )
    max_kept_runs: Annotated[int, Field(ge=0, le=10_000)] = Field(
        200, description="How many answers are kept on the disk, the newest; 0: none"
    )
    circuit_failures: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        3, description="So many failed requests in a row and a service is left alone; 0: never"
    )
    fallback_models: Names = Field(
        (), description="Models to ask, in this order, when one fails before its first word"
    )
    enrich_later: bool = Field(
        True, description="Whether what is saved while no model answers gets its summary later"
    )
    context_tokens: Annotated[int, Field(ge=256, le=100_000_000)] = Field(
        8192, description="The window of a model that does not tell its own"
    )
    model_windows: Annotated[ModelWindows, NoDecode, BeforeValidator(_windows)] = Field(
        (),
        description="Windows of models in tokens, as `service/model=8192` or `service=8192`, "
        "comma-separated",
    )
    context: Annotated[Literal["given", "auto"], BeforeValidator(_lower)] = Field(
        "given",
        description="`auto`: a question also brings along what memory finds for it, unreferenced",
    )
    upload_limit_bytes: Size = Field(
        ByteSize(64 * _MIB), description="The largest chat request, uploads included"
    )
    summary_min_chars: Annotated[int, Field(ge=0, le=1_000_000_000)] = Field(
        100, description="Typed text longer than this gets a summary in `/add_knowledge`"
    )
    allowed_hosts: Annotated[Names, AfterValidator(_host_names)] = Field(
        (), description="Further `Host` headers to answer to, comma-separated"
    )
    allowed_origins: Annotated[Names, AfterValidator(_origins)] = Field(
        (), description="Further origins of web pages that may call, comma-separated"
    )
    ollama_host: Annotated[
        Annotated[str, AfterValidator(_ollama_url)] | None, BeforeValidator(_empty_is_none)
    ] = Field(None, validation_alias="OLLAMA_HOST", description="An Ollama server to start with")
    openai_api_key: Annotated[SecretStr | None, BeforeValidator(_empty_is_none)] = Field(
        None,
        validation_alias="OPENAI_API_KEY",
        description="The key of an OpenAI-compatible service to start with",
    )
    openai_base_url: Annotated[
        Annotated[str, AfterValidator(_base_url)] | None, BeforeValidator(_empty_is_none)
    ] = Field(
        None,
        validation_alias="OPENAI_BASE_URL",
        description="Where that service is; unset: OpenAI's own",
    )
    openai_models: Names = Field(
        (), validation_alias="OPENAI_MODELS", description="Which of its models to offer"
    )
    default_model: Annotated[str | None, BeforeValidator(_empty_is_none)] = Field(
        None, validation_alias="DEFAULT_MODEL", description="The model to use unless one is named"
    )

    embedding_model: Annotated[str, BeforeValidator(_stripped_text)] = Field(
        "",
        max_length=400,
        description="Find by meaning as well, with this model; the files' text is sent to its "
        "service; empty: off",
    )
    embedding_wait_seconds: Seconds = Field(
        0.4, description="For the meaning of a query; a search does not wait longer for it"
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_booleans(cls, value: Any, info: ValidationInfo) -> Any:
        """Pydantic would take ``true`` for the number 1."""
        is_switch = cls.model_fields[info.field_name or ""].annotation is bool
        if isinstance(value, bool) and not is_switch:
            raise ValueError("true and false mean nothing here")
        return value

    @field_validator("host", mode="after")
    @classmethod
    def _beyond_loopback_only_with_a_token(cls, host: str, info: ValidationInfo) -> str:
        if not is_loopback(host) and info.data.get("token") is None:
            raise ValueError(
                "listening beyond this machine needs a bearer token: set `token` "
                f"(SGOPED_TOKEN) to {_MIN_TOKEN_CHARS} characters or more{_MADE_AT_RANDOM}"
            )
        return host

    def window_of(self, model_id: str, service_id: str) -> int | None:
        """The window that was set for a model, or for all models of its service, in tokens."""
        windows = dict(self.model_windows)
        return windows.get(model_id) or windows.get(service_id)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the arguments; ``load_settings`` reads the sources and says which one was wrong."""
        return (init_settings,)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``, a setting of that name."""
    return host == "localhost" or ipaddress.ip_address(host).is_loopback


def variable_name(key: str) -> str:
    """The environment variable of a setting, such as ``SGOPED_PORT`` of ``port``."""
    alias = Settings.model_fields[key].validation_alias
    return alias if isinstance(alias, str) else f"SGOPED_{key.upper()}"
