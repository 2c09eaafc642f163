"""``sgoped models``: which there are, and which one is meant when none is named."""

from __future__ import annotations

from typing import Any

import click

from sgoped.cli.client import Client
from sgoped.cli.groups import GroupWithDefault
from sgoped.cli.options import Printer, asks_daemon, one_line


@click.group(cls=GroupWithDefault)
def models() -> None:
    """List the models, or choose the one to use when none is named."""


@models.command("list")
@click.option("--refresh", is_flag=True, help="Ask the services for their models first.")
@asks_daemon
def list_models(client: Client, printer: Printer, *, refresh: bool) -> None:
    """List the models of all services; the default one is marked with *."""
    if refresh:
        client.post("/api/models/refresh", {}, timeout=None)
    answer = client.get("/api/models")
    printer.show(answer, lambda: _lines(answer["all_models"], client.get("/api/usage")["models"]))


def _lines(models: list[dict[str, Any]], usage: dict[str, Any]) -> list[str]:
    if not models:
        return ["no models; add a service with: sgoped services add"]
    width = max(len(one_line(model["id"])) for model in models)
    return [
        f"{'*' if model['is_default'] else ' '} {one_line(model['id']):<{width}}  "
        f"{one_line(model['provider'])}{_facts(model, usage.get(model['id'], {}))}"
        for model in models
    ]


def _facts(model: dict[str, Any], usage: dict[str, Any]) -> str:
    """What is known of a model, and how fast it was."""
    able = model["capabilities"]
    facts = [f"{able['window']:,} tokens"] if able["window"] else []
    facts += [name for name in ("thinking", "vision", "embeddings") if able[name]]
    pace = usage.get("tokens_per_second")
    facts += [f"{pace:.0f} tokens/s"] if pace else []
    if not model["available"]:
        facts.append("not available")
    elif model["stale"]:
        facts.append("not confirmed yet")
    return f"  ({', '.join(facts)})" if facts else ""


@models.command()
@click.argument("model")
@asks_daemon
def default(client: Client, printer: Printer, model: str) -> None:
    """Use MODEL (an id) when none is named."""
    answer = client.post("/api/models/default", {"model": model})
    printer.show(answer, lambda: [f"default model: {one_line(model)}"])
