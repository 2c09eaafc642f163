"""``sgoped conversations``: what was said before; list, read, rename, fork, export, delete."""

from __future__ import annotations

import secrets
import sys
import time
from typing import Any
from urllib.parse import quote

import click

from sgoped.cli.client import Client
from sgoped.cli.groups import GroupWithDefault
from sgoped.cli.options import Printer, asks_daemon, for_output, one_line

_ALL = "/api/conversations"
_SHOWN = 20
ERASE_SECONDS = 600.0
_STATES = {
    "live": " (being answered)",
    "cancelled": " (stopped)",
    "failed": " (broken off)",
    "interrupted": " (interrupted)",
}


def new_id() -> str:
    """An id for a conversation that begins now, short enough to be typed."""
    return secrets.token_hex(6)


def last_id(client: Client) -> str:
    """The id of the conversation in which something was said last; empty when there is none."""
    found = client.get(_ALL, {"limit": 1})["conversations"]
    return str(found[0]["id"]) if found else ""


@click.group(cls=GroupWithDefault)
def conversations() -> None:
    """List, read, rename, fork, export and delete what was said in sgoped chat."""


@conversations.command("list")
@click.option("--query", help="Only those that hold all of these words, or parts of words.")
@click.option("--limit", type=click.IntRange(1, 1000), default=_SHOWN, help="At most so many.")
@asks_daemon
def list_conversations(client: Client, printer: Printer, *, query: str | None, limit: int) -> None:
    """List conversations, the latest first."""
    found = client.get(_ALL, {"q": query, "limit": limit})
    printer.show(found, lambda: _lines(found))


def _lines(found: dict[str, Any]) -> list[str]:
    shown = [
        f"{one_line(each['id'])}  {_when(each['updated_at'])}  {one_line(each['title'])}"
        for each in found["conversations"]
    ]
    more = found["total"] - len(shown)
    return [*shown, f"and {more:,} more; see --limit and --query"] if more > 0 else shown


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


@conversations.command()
@click.argument("conversation_id", metavar="ID")
@asks_daemon
def show(client: Client, printer: Printer, conversation_id: str) -> None:
    """Print all that was said in the conversation ID, with the numbers that fork takes."""
    found = client.get(_address(conversation_id))
    while found["next"] is not None:
        page = client.get(_address(conversation_id), {"after": found["next"]})
        found["messages"] += page["messages"]
        found["next"] = page["next"]
    printer.show(found, lambda: [line for each in found["messages"] for line in _message(each)])


def _message(message: dict[str, Any]) -> list[str]:
    who = "you" if message["role"] == "user" else one_line(message["model"]) or "sgoped"
    along = ", ".join(one_line(name) for name in (*message["paths"], *message["uploads"]))
    files = f" [{along}]" if along else ""
    heading = f"#{message['number']} {who}, {_when(message['at'])}{files}"
    return [
        click.style(f"{heading}{_STATES.get(message['state'], '')}", bold=sys.stdout.isatty()),
        for_output(message["text"].rstrip("\n")),
        "",
    ]


@conversations.command()
@click.argument("conversation_id", metavar="ID")
@click.argument("title")
@asks_daemon
def rename(client: Client, printer: Printer, conversation_id: str, title: str) -> None:
    """Call the conversation ID by another TITLE."""
    answer = client.call("PATCH", _address(conversation_id), {"title": title})
    printer.show(answer, lambda: [f"{one_line(answer['id'])}  {one_line(answer['title'])}"])


@conversations.command()
@click.argument("conversation_id", metavar="ID")
@click.option("--at", type=click.IntRange(min=1), required=True, help="The number of a message.")
@asks_daemon
def fork(client: Client, printer: Printer, conversation_id: str, at: int) -> None:
    """Begin another conversation with what was said in ID up to a message; prints its id.

    It is the latest one then, with which sgoped chat -c goes on.
    """
    answer = client.post(f"{_address(conversation_id)}/fork", {"at": at})
    printer.show(answer, lambda: [one_line(answer["id"])])


@conversations.command()
@click.argument("conversation_id", metavar="ID")
@click.option("--to", "path", help="A path in the memory folder; made from the title otherwise.")
@asks_daemon
def export(client: Client, printer: Printer, conversation_id: str, path: str | None) -> None:
    """Write the conversation ID as Markdown into the memory folder; nothing is overwritten."""
    answer = client.post(f"{_address(conversation_id)}/export", {"path": path})
    printer.show(answer, lambda: [f"written to {one_line(answer['path'])}"])


@conversations.command()
@click.argument("conversation_ids", metavar="ID...", nargs=-1, required=True)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@asks_daemon
def delete(
    client: Client, printer: Printer, conversation_ids: tuple[str, ...], *, yes: bool
) -> None:
    """Delete conversations for good, from the backups, too."""
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("this cannot be undone: say --yes")
        click.confirm(f"Delete {len(conversation_ids)} for good?", abort=True, err=True)
    for each in conversation_ids:
        _delete(client, printer, each)


def _delete(client: Client, printer: Printer, conversation_id: str) -> None:
    answer = client.call("DELETE", _address(conversation_id), timeout=ERASE_SECONDS)
    printer.show(answer, lambda: [f"deleted {one_line(conversation_id)}"])


def _address(conversation_id: str) -> str:
    return f"{_ALL}/{quote(conversation_id, safe='')}"
