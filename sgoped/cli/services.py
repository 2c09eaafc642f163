"""``sgoped services``: the LLM services to ask; a key never appears among the arguments."""

from __future__ import annotations

import re
import sys
from typing import Any
from urllib.parse import quote

import click
from click.core import ParameterSource

from sgoped.cli.client import Client
from sgoped.cli.groups import GroupWithDefault
from sgoped.cli.options import Printer, asks_daemon, one_line

_TEST_SECONDS = 60.0
_OLLAMA_ADDRESS = "http://127.0.0.1:11434"
_KEY_VARIABLE = "SGOPED_SERVICE_KEY"


@click.group(cls=GroupWithDefault)
def services() -> None:
    """List, add, test and remove LLM services."""


@services.command("list")
@asks_daemon
def list_services(client: Client, printer: Printer) -> None:
    """List the services, their state and their models."""
    found = client.get("/api/services")
    printer.show(found, lambda: _lines(found))


def _lines(found: dict[str, Any]) -> list[str]:
    if not found:
        return ["no services; add one with: sgoped services add NAME --kind ollama|openai"]
    return [
        f"{one_line(each['id'])}  {each['type']}  {one_line(each['status'])}  "
        f"{one_line(', '.join(each['models']))}"
        for each in found.values()
    ]


@services.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(["ollama", "openai"]), required=True)
@click.option("--address", default="", help="Of the server; the kind's usual one otherwise.")
@click.option("--model", "models", multiple=True, help="Offer this one; all that are found else.")
@click.option("--id", "service_id", help="Made from NAME otherwise; the same one is replaced.")
@click.option("--key-stdin", is_flag=True, help="Read the key from standard input.")
@click.option("--no-key", is_flag=True, help="The service needs none.")
@click.option("--no-test", is_flag=True, help="Add it even though it may not answer.")
@click.option("--key", envvar=_KEY_VARIABLE, hidden=True)
@asks_daemon
def add(
    client: Client,
    printer: Printer,
    *,
    name: str,
    kind: str,
    address: str,
    models: tuple[str, ...],
    service_id: str | None,
    key_stdin: bool,
    no_key: bool,
    no_test: bool,
    key: str | None,
) -> None:
    """Test the service NAME and add it.

    An openai service's key is asked for without showing it; --key-stdin reads it from a pipe,
    and SGOPED_SERVICE_KEY gives it, too.
    """
    config: dict[str, Any] = {"name": name, "models": list(models)}
    if kind == "ollama":
        config["host"] = address or _OLLAMA_ADDRESS
    else:
        config["base_url"] = address
        config["api_key"] = "" if no_key else _key(key, key_stdin)
    if not no_test:
        found = _test(client, kind, config)
        if kind == "openai":
            config["models"] = list(models) or found
    body = {"service_id": service_id or _slug(name), "service_type": kind, "config": config}
    answer = client.post("/api/services/add", body)
    printer.show(answer, lambda: [f"added {body['service_id']}"])


def _key(given: str | None, from_stdin: bool) -> str:
    source = click.get_current_context().get_parameter_source("key")
    if source is ParameterSource.COMMANDLINE:
        raise click.UsageError(
            "a key among the arguments can be read by everybody on this machine and stays in the "
            f"shell's history: leave --key out and type it, or use --key-stdin or {_KEY_VARIABLE}"
        )
    if from_stdin:
        return sys.stdin.readline().strip()
    if given:
        return given
    if not sys.stdin.isatty():
        raise click.UsageError(f"no key: use --key-stdin, {_KEY_VARIABLE} or --no-key")
    return str(click.prompt("API key", hide_input=True, err=True)).strip()


def _test(client: Client, kind: str, config: dict[str, Any]) -> list[str]:
    body = {"service_type": kind, "config": config}
    answer = client.post("/api/services/test", body, timeout=_TEST_SECONDS)
    if not answer["success"]:
        raise click.ClickException(f"{one_line(answer['error'])}; --no-test adds it all the same")
    return [str(model) for model in answer["models"]]


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "service"


@services.command()
@click.argument("service_id", metavar="ID")
@asks_daemon
def test(client: Client, printer: Printer, service_id: str) -> None:
    """Ask the service ID whether it answers; spends no tokens."""
    known = client.get("/api/services").get(service_id)
    if known is None:
        raise click.ClickException(
            f"no service {one_line(service_id)!r}; see: sgoped services list"
        )
    body = {"service_type": known["type"], "config": known["config"]}
    answer = client.post("/api/services/test", body, timeout=_TEST_SECONDS)
    printer.show(answer, lambda: [_outcome(answer)])
    if not answer["success"]:
        raise click.exceptions.Exit(1)


def _outcome(answer: dict[str, Any]) -> str:
    if answer["success"]:
        return f"it answers; models: {one_line(', '.join(answer['models'])) or 'none'}"
    return f"failed: {one_line(answer['error'])}"


@services.command()
@click.argument("service_id", metavar="ID")
@asks_daemon
def remove(client: Client, printer: Printer, service_id: str) -> None:
    """Forget the service ID and its key."""
    answer = client.call("DELETE", f"/api/services/{quote(service_id, safe='')}")
    printer.show(answer, lambda: [f"removed {one_line(service_id)}"])
