"""What the person at the terminal sees: a greeting, a progress bar, the reason for an end."""

from __future__ import annotations

import asyncio
import contextlib
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


def greet(url: str, paths: Paths, files: int, services: Sequence[str]) -> None:
    """Says in a few lines what runs, what it watches, and what to try next."""
    known = f", {files:,} files known" if files else ""
    models = ", ".join(services) or "no service yet; everything but models' answers works"
    lines = [
        f"sgoped {__version__} answers on {url}",
        f"  watching  {_short(paths.memory_dir)}{known}",
        f"  keeping   data in {_short(paths.data_dir)}, caches in {_short(paths.cache_dir)}",
        f"  settings  {_short(paths.config_file)} (sgoped config show)",
        f"  models    {models}",
        f"  try       {url}, or in another terminal: sgoped status; sgoped files NAME;",
        "            sgoped search WORDS; sgoped services add; sgoped chat 'hello'",
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


def _short(path: Path) -> str:
    with contextlib.suppress(ValueError, RuntimeError):
        return f"~/{path.relative_to(Path.home())}"
    return str(path)
