"""``sgoped runs``: answers that are being made, or were; shown, followed, stopped, forgotten."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import click

from sgoped.cli.chat import Answer, print_events
from sgoped.cli.client import Client
from sgoped.cli.conversations import ERASE_SECONDS
from sgoped.cli.groups import GroupWithDefault
from sgoped.cli.options import Printer, asks_daemon, for_output, one_line

_STATES = ("live", "completed", "cancelled", "failed", "interrupted")
_SHOWN = 20
_MESSAGE_CHARS = 60


@click.group(cls=GroupWithDefault)
def runs() -> None:
    """List answers, or show, follow, stop or forget one."""


@runs.command("list")
@click.option("--state", type=click.Choice(_STATES), help="Only those in this state.")
@click.option("--limit", type=click.IntRange(1, 1000), default=_SHOWN, help="Show so many.")
@asks_daemon
def list_runs(client: Client, printer: Printer, *, state: str | None, limit: int) -> None:
    """List answers, the newest first."""
    answer = client.get("/api/runs", {"state": state, "limit": limit})
    printer.show(answer, lambda: [_line(run) for run in answer["runs"]] or ["no answers are kept"])


@runs.command()
@click.argument("run_id", metavar="ID")
@asks_daemon
def show(client: Client, printer: Printer, run_id: str) -> None:
    """Show what was asked, and what is answered up to now."""
    run = client.get(_address(run_id))
    printer.show(run, lambda: _lines(run))


@runs.command()
@click.argument("run_id", metavar="ID")
@click.option("--thinking", is_flag=True, help="Print the model's reasoning, too.")
@asks_daemon
def follow(client: Client, printer: Printer, run_id: str, *, thinking: bool) -> None:
    """Print an answer from its beginning, and follow it while it is made.

    Ctrl-C leaves; one that nobody follows ends soon, unless it is durable.
    """
    events = client.stream(_address(run_id, "/events?events=typed"))
    if printer.as_json:
        print_events(events)
    else:
        Answer(thinking=thinking).show(events)


@runs.command()
@click.argument("run_id", metavar="ID")
@asks_daemon
def stop(client: Client, printer: Printer, run_id: str) -> None:
    """End an answer; what was said up to now stays."""
    answer = client.post(_address(run_id, "/stop"), {})
    printer.show(answer, lambda: [one_line(answer["message"])])


@runs.command()
@click.argument("run_id", metavar="ID")
@asks_daemon
def forget(client: Client, printer: Printer, run_id: str) -> None:
    """Forget an ended answer for good."""
    answer = client.call("DELETE", _address(run_id), timeout=ERASE_SECONDS)
    printer.show(answer, lambda: [one_line(answer["message"])])


def _address(run_id: str, rest: str = "") -> str:
    return f"/api/runs/{quote(run_id, safe='')}{rest}"


def _line(run: dict[str, Any]) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run["started_at"]))
    message = one_line(run["message"])
    shown = message if len(message) <= _MESSAGE_CHARS else f"{message[: _MESSAGE_CHARS - 3]}..."
    return f"{one_line(run['id'])}  {when}  {run['state']:11}  {shown}"


def _lines(run: dict[str, Any]) -> list[str]:
    end = f": {one_line(run['end_message'])}" if run["end_message"] else ""
    return [
        f"asked     {one_line(run['message'])}",
        f"model     {one_line(run['model'] or 'none')}",
        f"state     {run['state']}{end}",
        "",
        for_output(run["text"]),
    ]
