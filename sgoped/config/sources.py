"""Where settings come from: reads each source, tells the nearest right name, merges.

Flags come before the environment, that before ``.env`` (the one in the config directory before
the one in the working directory), that before ``config.toml``, and that before the defaults.

Two rules keep a key from travelling. An endpoint and its key are one thing: the first source that
names ``openai_api_key`` or ``openai_base_url`` gives both, and the others give neither. And a
``.env`` in the working directory, which may have come with somebody's repository, cannot say
which files are shown, or to whom, or what is kept of them; nor, where files go to a model unasked,
where that model is; nor is anything in a ``.env`` interpolated.
"""

from __future__ import annotations

import difflib
import logging
import os
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dotenv
from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource, SecretsSettingsSource

from sgoped.config.settings import Settings, variable_name
from sgoped.errors import StartupError
from sgoped.paths import Paths, resolve_paths

_log = logging.getLogger(__name__)
_CONFIGURATION = 78
_ENDPOINT = ("openai_api_key", "openai_base_url")
_SECRETS = frozenset({"openai_api_key", "token"})
# `home` decides where the files below lie, so it cannot be in one of them.
_NOT_FROM_FILES = frozenset({"home"})
_NOT_FROM_WORKING_DIRECTORY = frozenset(
    {
        *("home", "memory_dir", "host", "token", "check_peer_uid"),
        *("allowed_hosts", "allowed_origins", "max_versions_bytes", "max_kept_runs", "context"),
        *("fallback_models", "embedding_model", "enrich_later"),
    }
)
_SERVICES = frozenset(
    {"ollama_host", "openai_api_key", "openai_base_url", "openai_models", "default_model"}
)
_CLIENT_VARIABLES = frozenset({"SGOPED_URL", "SGOPED_SERVICE_KEY"})


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source says.

    Attributes:
        origin: Fit to show: "a flag", "the environment", or the path of a file.
        values: By setting, as found, not validated.
        by_variable: Whether the source names settings by their variables.
    """

    origin: str
    values: Mapping[str, Any]
    by_variable: bool = True

    def name(self, key: str) -> str:
        """What this source calls a setting."""
        return variable_name(key) if self.by_variable else key


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings with their story.

    Attributes:
        settings: The outcome.
        origins: By setting that is not at its default: where it came from.
        warnings: What was found and not used, and why.
    """

    settings: Settings
    origins: Mapping[str, str]
    warnings: Sequence[str]


def load_settings(
    overrides: Mapping[str, object] | None = None, *, working_dir: Path | None = None
) -> Settings:
    """Reads every source and logs what was found and not used.

    Args:
        overrides: What flags say, by setting; None means not given.
        working_dir: Where to look for a ``.env``; the process's own by default.

    Raises:
        StartupError: With exit code 78: unknown name, wrong value, unreadable file.
    """
    loaded = read_settings(overrides, working_dir=working_dir)
    for warning in loaded.warnings:
        _log.warning("%s", warning)
    return loaded.settings


def read_settings(
    overrides: Mapping[str, object] | None = None, *, working_dir: Path | None = None
) -> Loaded:
    """Like ``load_settings``, and tells where each value came from instead of logging.

    Raises:
        StartupError: With exit code 78.
    """
    warnings: list[str] = []
    flags = {key: value for key, value in (overrides or {}).items() if value is not None}
    environment = _environment(warnings)
    paths = resolve_paths(_home(flags, environment))
    layers = [
        Layer("a flag", flags, by_variable=False),
        environment,
        _config_env_file(paths, warnings),
        _config_file(paths, warnings),
    ]
    embeds = any(layer.values.get("embedding_model") for layer in layers)
    layers.insert(3, _working_env_file(paths, working_dir, warnings, embeds=embeds))
    values, origins = _merge(layers, warnings)
    return Loaded(_validate(values, origins), _told(origins), tuple(warnings))


class _EnvFile(EnvSettingsSource):
    """Reads a ``.env`` as the environment is read, without interpolating other secrets into it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        found = dotenv.dotenv_values(self._path, interpolate=False, encoding="utf-8-sig")
        return {name.lower(): value for name, value in found.items() if value}


def _by_key(values: Mapping[str, Any]) -> dict[str, Any]:
    """Pydantic-settings answers with aliases where a field has one."""
    keys = {variable_name(key): key for key in Settings.model_fields}
    return {keys.get(name, name): value for name, value in values.items() if value is not None}


def _environment(warnings: list[str]) -> Layer:
    """The environment, and what systemd passes as credentials, which belongs to it."""
    environ = os.environ  # noqa: TID251 - the one place for it
    values: dict[str, Any] = {}
    credentials = environ.get("CREDENTIALS_DIRECTORY", "")
    if credentials and Path(credentials).is_dir():
        values |= _by_key(SecretsSettingsSource(Settings, secrets_dir=credentials)())
    values |= _by_key(EnvSettingsSource(Settings)())
    warnings.extend(_unknown_variables(environ, "the environment"))
    return Layer("the environment", values)


def _home(flags: Mapping[str, object], environment: Layer) -> Path | None:
    found = flags.get("home") or environment.values.get("home")
    return Path(str(found)) if found else None


def _config_env_file(paths: Paths, warnings: list[str]) -> Layer:
    layer = _read_env_file(paths.env_file, warnings)
    _refuse_relative(layer)
    return _without(layer, _NOT_FROM_FILES, warnings, "it decides where that file lies")


def _working_env_file(
    paths: Paths, working_dir: Path | None, warnings: list[str], *, embeds: bool
) -> Layer:
    try:
        path = (working_dir or Path.cwd()) / ".env"
        same = path.exists() and paths.env_file.exists() and path.samefile(paths.env_file)
    except OSError:  # a working directory that is gone
        return Layer("", {})
    if same or not path.is_file():
        return Layer(str(path), {})
    found = path.stat()
    if found.st_uid not in (0, os.getuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        warnings.append(f"{path} is not used: somebody else can write it")
        return Layer(str(path), {})
    layer = _read_env_file(path, warnings)
    reason = "a working directory's .env cannot say what is shown, to whom, or what is kept"
    layer = _without(layer, _NOT_FROM_WORKING_DIRECTORY, warnings, reason)
    reason = "where embedding_model is set, a working directory's .env names no service"
    return _without(layer, _SERVICES, warnings, reason) if embeds else layer


def _read_env_file(path: Path, warnings: list[str]) -> Layer:
    if not path.is_file():
        return Layer(str(path), {})
    try:
        values = _by_key(_EnvFile(path)())
        names = dotenv.dotenv_values(path, interpolate=False, encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise StartupError(f"cannot read {path}: {error}", exit_code=_CONFIGURATION) from error
    warnings.extend(_unknown_variables(names, str(path)))
    warnings.extend(_readable_secrets(path, values))
    return Layer(str(path), values)


def _config_file(paths: Paths, warnings: list[str]) -> Layer:
    path = paths.config_file
    try:
        values = tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        return Layer(str(path), {}, by_variable=False)
    except (OSError, ValueError) as error:  # ValueError: no TOML, or no UTF-8
        raise StartupError(f"cannot read {path}: {error}", exit_code=_CONFIGURATION) from error
    unknown = [key for key in values if key not in Settings.model_fields]
    if unknown:
        told = "; ".join(f"unknown setting {key!r}{_nearest(key)}" for key in unknown)
        raise StartupError(f"{path}: {told}", code="unknown_setting", exit_code=_CONFIGURATION)
    if "home" in values:
        raise StartupError(
            f"{path}: home decides where this file lies; give it as --home or SGOPED_HOME",
            exit_code=_CONFIGURATION,
        )
    warnings.extend(_readable_secrets(path, values))
    layer = Layer(str(path), values, by_variable=False)
    _refuse_relative(layer)
    return layer


def _refuse_relative(layer: Layer) -> None:
    folder = layer.values.get("memory_dir")
    if isinstance(folder, str) and folder and not folder.startswith(("/", "~")):
        raise StartupError(
            f"{layer.origin}: {layer.name('memory_dir')} = {folder!r}: must start with / or ~, "
            "because this file does not know where sgoped is started",
            exit_code=_CONFIGURATION,
        )


def _nearest(key: str) -> str:
    near = difflib.get_close_matches(key.lower(), Settings.model_fields, n=1, cutoff=0.5)
    return f", did you mean {near[0]!r}?" if near else "; `sgoped config show` lists all"


def _unknown_variables(names: Iterable[str], origin: str) -> Iterator[str]:
    """Misspelt variables do nothing, so they are told; they may also be another program's."""
    known = {variable_name(key) for key in Settings.model_fields} | _CLIENT_VARIABLES
    for name in names:
        if name.upper().startswith("SGOPED_") and name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, n=1)
            hint = f", did you mean {near[0]}?" if near else ""
            yield f"{name} in {origin} is no setting{hint}"


def _readable_secrets(path: Path, values: Mapping[str, Any]) -> Iterator[str]:
    if _SECRETS & values.keys() and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        yield f"{path} holds a key and others can read it: chmod 600 it"


def _without(layer: Layer, refused: Iterable[str], warnings: list[str], reason: str) -> Layer:
    dropped = sorted(layer.values.keys() & set(refused))
    warnings.extend(f"{layer.name(key)} in {layer.origin} is not used: {reason}" for key in dropped)
    return Layer(
        layer.origin,
        {key: value for key, value in layer.values.items() if key not in dropped},
        layer.by_variable,
    )


def _merge(layers: Sequence[Layer], warnings: list[str]) -> tuple[dict[str, Any], dict[str, Layer]]:
    """The first layer that knows a setting gives it; an endpoint and its key come from one."""
    values: dict[str, Any] = {}
    origins: dict[str, Layer] = {}
    endpoint = next(
        (layer for layer in layers if not layer.values.keys().isdisjoint(_ENDPOINT)), None
    )
    for layer in layers:
        for key, value in layer.values.items():
            if key in _ENDPOINT and layer is not endpoint:
                if endpoint is not None and key not in endpoint.values:
                    warnings.append(
                        f"{layer.name(key)} in {layer.origin} is not used: a key goes only where "
                        f"it was given for, and {endpoint.origin} already names an endpoint or a "
                        "key; put both into one place"
                    )
            elif key not in values:
                values[key] = value
                origins[key] = layer
    return values, origins


def _validate(values: Mapping[str, Any], origins: Mapping[str, Layer]) -> Settings:
    try:
        return Settings(**values)
    except ValidationError as error:
        keys = {variable_name(key): key for key in Settings.model_fields}
        told = []
        for detail in error.errors(include_input=False, include_url=False):
            name = str(detail["loc"][0])
            key = keys.get(name, name)
            if key not in origins:  # only a flag that is no setting: our own mistake
                raise
            reason = detail["msg"].removeprefix("Value error, ")
            layer = origins[key]
            told.append(f"{layer.origin}: {layer.name(key)} = {_shown(key, values)}: {reason}")
        raise StartupError(
            "; ".join(dict.fromkeys(told)), code="wrong_setting", exit_code=_CONFIGURATION
        ) from None


def _shown(key: str, values: Mapping[str, Any]) -> str:
    """A wrong value, unless it is a secret or an address with a password in it."""
    value = values[key]
    shown = repr(str(value) if isinstance(value, Path) else value)
    return "(hidden)" if key in _SECRETS or "@" in shown else shown


def _told(origins: Mapping[str, Layer]) -> dict[str, str]:
    return {key: layer.origin for key, layer in origins.items()}
