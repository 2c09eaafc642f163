"""``status``, ``files``, ``search`` and ``refresh``: what the daemon knows of the folder."""

from __future__ import annotations

from typing import Any

import click

from sgoped.cli.client import Client
from sgoped.cli.options import Printer, asks_daemon, one_line

_PERCENT = 100


@click.command()
@asks_daemon
def status(client: Client, printer: Printer) -> None:
    """Say whether the daemon runs, and how it is."""
    health = client.get("/health")
    printer.show(health, lambda: _status_lines(client.url, health))


def _status_lines(url: str, health: dict[str, Any]) -> list[str]:
    watcher, index = health["watcher"], health["index"]
    progress = "" if index["progress"] >= 1 else f", {index['progress'] * _PERCENT:.0f}% indexed"
    reason = f" ({one_line(watcher['reason'])})" if watcher["reason"] else ""
    services = [
        f"  {one_line(name)}: {one_line(state)}" for name, state in health["services"].items()
    ]
    kept = [f"state: {one_line(told)}" for told in health["state"].values() if told]
    running = f"sgoped {health['version']} at {url}, pid {health['pid']}"
    return [
        f"{health['status']}: {running}, up {_duration(health['uptime_seconds'])}",
        f"watcher: {watcher['state']}{reason}",
        f"index: {index['documents']:,} documents, {index['pending']:,} waiting{progress}",
        f"services: {'none' if not services else ''}".rstrip(),
        *services,
        *kept,
    ]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    return " ".join(f"{value} {unit}" for value, unit in parts if value) or "0 s"


@click.command()
@click.argument("query", default="")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many; 10 for a query.")
@asks_daemon
def files(client: Client, printer: Printer, query: str, limit: int | None) -> None:
    """List the files that QUERY suggests, best first; all without one."""
    found = client.get("/api/files", {"q": query or None, "limit": limit})
    printer.show(found, lambda: [one_line(item["metadata"]["path"]) for item in found])


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("query", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
@click.option("--path", "part", help="Only files whose path contains this.")
@click.option("--ext", help="Only files with this suffix, or one of several: py,md.")
@asks_daemon
def search(
    client: Client,
    printer: Printer,
    *,
    query: tuple[str, ...],
    limit: int | None,
    part: str | None,
    ext: str | None,
) -> None:
    """Find passages in the contents of the files, as PATH:LINE: TEXT.

    Any of the words will do, more are better; '"some words"' must stand in this order. -word may
    stand nowhere in the file. path:part, ext:py,md, -path:part and -ext:md select files.
    """
    unknown = [argument for argument in query if argument.startswith("--")]
    if unknown:
        raise click.NoSuchOption(unknown[0])
    words = " ".join(query).strip()
    if not words:
        raise click.UsageError("give some words to search for")
    asked = {"q": words, "limit": limit, "path": part, "ext": ext}
    found = client.get("/api/search", asked)
    printer.show(found, lambda: [_hit(hit) for hit in found["hits"]])


def _hit(hit: dict[str, Any]) -> str:
    return f"{one_line(hit['path'])}:{hit['line_start']}: {one_line(hit['snippet'])}"


@click.command()
@asks_daemon
def refresh(client: Client, printer: Printer) -> None:
    """Compare the whole folder with the index; return when they agree."""
    answer = client.post("/api/refresh", {}, timeout=None)
    printer.show(answer, lambda: ["the index equals the folder"])
