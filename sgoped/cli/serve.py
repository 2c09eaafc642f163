"""``sgoped serve``: the daemon, in the foreground."""

from __future__ import annotations

from pathlib import Path

import click

from sgoped.config import load_settings
from sgoped.errors import StartupError
from sgoped.paths import resolve_paths


@click.command()
@click.option("--host", help="localhost by default, or an address.")
@click.option("--port", type=click.IntRange(0, 65_535), help="8000 by default; 0 picks a free one.")
@click.option(
    "--memory-dir", type=click.Path(path_type=Path), help="The folder to watch: any you have."
)
@click.option(
    "--home", type=click.Path(path_type=Path), help="One root for everything sgoped keeps."
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="info by default."
)
@click.pass_context
def serve(ctx: click.Context, /, **flags: object) -> None:
    """Run the daemon in the foreground (the default verb)."""
    from sgoped import daemon  # noqa: PLC0415 - takes a second, which --help need not wait

    try:
        settings = load_settings(flags)
        places = resolve_paths(settings.home, settings.memory_dir)
    except StartupError as error:
        daemon.say_error(error.message)
        ctx.exit(error.exit_code)
    ctx.exit(daemon.serve(settings, places))
