"""``sgoped completion``: what a shell needs to complete verbs and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    bash: eval "$(sgoped completion bash)" in ~/.bashrc; zsh likewise in ~/.zshrc;
    fish: sgoped completion fish > ~/.config/fish/completions/sgoped.fish
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    root = ctx.find_root().command
    click.echo(found(root, {}, "sgoped", "_SGOPED_COMPLETE").source())
