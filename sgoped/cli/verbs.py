"""The list of verbs; each one's module is imported only when it is used."""

from __future__ import annotations

import gc
import importlib

import click

from sgoped import __version__
from sgoped.cli.groups import GroupWithDefault

_VERBS = {
    "serve": "sgoped.cli.serve:serve",
    "status": "sgoped.cli.memory:status",
    "files": "sgoped.cli.memory:files",
    "search": "sgoped.cli.memory:search",
    "add": "sgoped.cli.add:add",
    "undo": "sgoped.cli.undo:undo",
    "refresh": "sgoped.cli.memory:refresh",
    "chat": "sgoped.cli.chat:chat",
    "conversations": "sgoped.cli.conversations:conversations",
    "runs": "sgoped.cli.runs:runs",
    "models": "sgoped.cli.models:models",
    "services": "sgoped.cli.services:services",
    "doctor": "sgoped.cli.doctor:doctor",
    "paths": "sgoped.cli.places:paths",
    "config": "sgoped.cli.places:config",
    "completion": "sgoped.cli.completion:completion",
}


class _Verbs(GroupWithDefault):
    """Imports a verb's module when the verb is used."""

    default = "serve"

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        module, _, name = _VERBS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), name)
        if cmd_name != "serve":
            gc.enable()
        return command if isinstance(command, click.Command) else None


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sgoped")
def main() -> None:
    """Suggests your files while you type, and chats about them with the models you choose.

    Without a verb, or with options only, it serves. Every other verb asks a running daemon.

    Exit codes: 0 done, 1 failed, 2 usage, 3 the daemon does not answer, 75 another instance
    runs, 78 a setting is wrong.
    """
