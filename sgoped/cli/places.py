"""``sgoped paths`` and ``sgoped config``: what is decided where, without asking a daemon."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from pydantic import SecretStr

from sgoped.cli.options import plain
from sgoped.config import Loaded, Settings, read_settings, variable_name
from sgoped.errors import StartupError
from sgoped.paths import Paths, check_memory_dir, resolve_paths

_MASK = "********"


class _Wrong(click.ClickException):
    """A setting is wrong; the message says which, where, and what is allowed."""

    exit_code = 78


def _read(home: Path | None, memory_dir: Path | None = None) -> tuple[Loaded, Paths]:
    try:
        loaded = read_settings({"home": home, "memory_dir": memory_dir})
        return loaded, resolve_paths(loaded.settings.home, loaded.settings.memory_dir)
    except StartupError as error:
        raise _Wrong(error.message) from error


def read_places(home: Path | None, memory_dir: Path | None) -> tuple[Loaded, Paths]:
    """Settings, and every place they lead to, after judging both.

    Raises:
        click.ClickException: With exit code 78; the message says what is wrong.
    """
    loaded, paths = _read(home, memory_dir)
    try:
        check_memory_dir(paths)
    except StartupError as error:
        raise _Wrong(error.message) from error
    return loaded, paths


_home = click.option(
    "--home", type=click.Path(path_type=Path), help="One root for everything sgoped keeps."
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@_home
@_json
def paths(home: Path | None, as_json: bool) -> None:
    """Print every place sgoped uses; creates none of them."""
    _, found = _read(home)
    places = {field.name: str(getattr(found, field.name)) for field in dataclasses.fields(found)}
    places["config_file"] = str(found.config_file)
    places["env_file"] = str(found.env_file)
    places["state_db"] = str(found.state_db)
    places["server_file"] = str(found.server_file)
    places["socket_file"] = str(found.socket_file)
    _print(places, as_json)


@click.group()
def config() -> None:
    """Check or show the settings, from all their sources."""


@config.command()
@_home
@_json
def check(home: Path | None, as_json: bool) -> None:
    """Say whether the settings can be used, and what is found and not used."""
    loaded, _ = read_places(home, None)
    if as_json:
        click.echo(json.dumps({"ok": True, "warnings": list(loaded.warnings)}, indent=2))
        return
    for warning in loaded.warnings:
        click.echo(f"warning: {plain(warning)}")
    click.echo("the settings are good")


@config.command()
@_home
@_json
def show(home: Path | None, as_json: bool) -> None:
    """Print every setting, with where it comes from; keys are masked."""
    loaded, _ = _read(home)
    values = {key: _shown(getattr(loaded.settings, key)) for key in Settings.model_fields}
    if as_json:
        click.echo(json.dumps(values, indent=2, ensure_ascii=False))
        return
    for key, value in values.items():
        origin = loaded.origins.get(key, "default")
        click.echo(plain(f"{key} = {json.dumps(value, ensure_ascii=False)}  # {origin}"))
    click.echo(f"# variables: {variable_name('port')} for port, and so on; see the README")


def _shown(value: Any) -> Any:
    match value:
        case SecretStr():
            return _MASK
        case Path():
            return str(value)
        case tuple():
            return list(value)
        case _:
            return value


def _print(values: Mapping[str, str], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(values, indent=2, ensure_ascii=False))
        return
    width = max(map(len, values))
    for name, value in values.items():
        click.echo(f"{name:<{width}}  {plain(value)}")
