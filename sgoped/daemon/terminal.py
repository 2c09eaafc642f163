"""What the person at the terminal sees: a greeting, a progress bar, the reason for an end."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import click

from sgoped import __version__
from sgoped.paths import Paths

_STEPS = 1000
_REFRESH_SECONDS = 0.1


class _HasProgress(Protocol):
    @property
    def progress(self) -> float: ...


def greet(url: str, paths: Paths, files: int, services: Sequence[str], home: Path | None) -> None:
    """Says in a few lines what runs, what it watches, and what to try next."""
    known = f", {files:,} files known" if files else ""
    models = ", ".join(services) or "no service yet; all that needs no model works"
    command, where = _own_command(), f" --home {shlex.quote(str(home))}" if home else ""
    lines = [
        f"sgoped {__version__} answers on {url}",
        f"  watches   {_short(paths.memory_dir)}{known}",
        f"  keeps     data in {_short(paths.data_dir)}, caches in {_short(paths.cache_dir)}",
        f"  settings  {_short(paths.config_file)}, if you write one",
        f"  models    {models}",
        f"Try {url}, or in another terminal:",
        f"  {command} status{where}",
        f"  {command} chat{where} 'what is in my notes?'",
        "Ctrl-C ends it.",
    ]
    # A closed terminal is no reason to end.
    with contextlib.suppress(OSError):
        click.echo("\n".join(lines))


async def show_progress(status: Callable[[], _HasProgress]) -> None:
    """Draws a bar until everything is indexed; nothing when it already is."""
    if status().progress >= 1:
        return
    with (
        contextlib.suppress(OSError),
        click.progressbar(length=_STEPS, label="indexing", file=sys.stderr) as bar,
    ):
        while bar.pos < _STEPS:
            bar.update(max(0, int(status().progress * _STEPS) - bar.pos))
            await asyncio.sleep(_REFRESH_SECONDS)


def say_error(message: str) -> None:
    """Why it ends, on standard error."""
    with contextlib.suppress(OSError):
        click.echo(f"sgoped: {message}", err=True)


def _own_command() -> str:
    """What to type to get this very program."""
    found = shutil.which("sgoped")
    own = Path(sys.argv[0])
    if found is not None and own.exists() and Path(found).samefile(own):
        return "sgoped"
    if own.name != "sgoped":
        return f"{sys.executable} -m sgoped"
    short = _short(own)
    return short if shlex.quote(short[1:]) == short[1:] else shlex.quote(str(own))


def _short(path: Path) -> str:
    with contextlib.suppress(ValueError, RuntimeError):
        return str("~" / path.relative_to(Path.home()))
    return str(path)
