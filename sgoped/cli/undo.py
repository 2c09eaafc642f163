"""``sgoped undo``: takes back what was overwritten, deleted or renamed over the API."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from sgoped.cli.client import Client
from sgoped.cli.options import Printer, asks_daemon, one_line

_SHOWN = 10


@click.command()
@click.argument("path", required=False)
@click.option("--list", "only_list", is_flag=True, help="Show the latest changes; undo nothing.")
@click.option("--limit", type=click.IntRange(1, 1000), default=_SHOWN, help="Show so many.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@asks_daemon
def undo(
    client: Client,
    printer: Printer,
    *,
    path: str | None,
    only_list: bool,
    limit: int,
    yes: bool,
) -> None:
    """Undo the latest change of PATH, or of any file.

    Changes are what was overwritten, deleted or renamed over the API; of PATH, the content it had
    last comes back. What is replaced by that is kept in turn, so that undoing again undoes it.
    """
    changes = _changes(client, path, limit if path is None or only_list else 1)
    if only_list:
        printer.show(changes[:limit], lambda: [_line(change) for change in changes[:limit]])
        return
    if not changes:
        where = "" if path is None else f" of {one_line(path)}"
        raise click.ClickException(f"nothing is kept{where} that could be undone")
    if path is None and not yes:
        _confirm(changes)
    change = changes[0]
    body = {"path": change.get("id", change["path"]), "version": change["version"]}
    answer = client.post("/api/files/restore", body)
    printer.show(answer, lambda: [_outcome(change, answer)])


def _changes(client: Client, path: str | None, limit: int) -> list[dict[str, Any]]:
    asked = {"limit": limit} if path is None else {"path": path}
    found: list[dict[str, Any]] = client.get("/api/files/versions", asked)
    return found


def _confirm(changes: list[dict[str, Any]]) -> None:
    for change in changes:
        click.echo(_line(change), err=True)
    if not sys.stdin.isatty():
        raise click.UsageError("say which file, or --yes for the first of these")
    click.confirm("Undo the first of these?", abort=True, err=True)


def _line(change: dict[str, Any]) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(change["saved_at"]))
    former = change.get("former_path")
    what = f"from {one_line(former)}" if former else f"{change['size']:,} bytes"
    return f"{when}  {change['reason']:11}  {one_line(change['path'])}  ({what})"


def _outcome(change: dict[str, Any], answer: dict[str, Any]) -> str:
    path = one_line(answer["path"])
    if change["reason"] == "renamed":
        return f"{one_line(change['path'])} is called {path} again"
    return f"{path} is as it was before it was {change['reason']}, {answer['size']:,} bytes"
