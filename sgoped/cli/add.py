"""``sgoped add``: keeps files or typed text as knowledge."""

from __future__ import annotations

from typing import Any

import click

from sgoped.cli import local_files
from sgoped.cli.client import Client
from sgoped.cli.options import Printer, asks_daemon, one_line


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option("--name", help="What the stored file is called; else it is named by its content.")
@asks_daemon
def add(client: Client, printer: Printer, files: tuple[str, ...], name: str | None) -> None:
    """Keep FILES (- is standard input) in the memory folder, with a summary where a model works."""
    typed = [local_files.read_text(path) for path in files if path == "-"]
    body = {
        "action_id": "add_knowledge",
        "user_input": "\n".join(typed),
        "attachments": [local_files.attachment(path) for path in files if path != "-"],
        "knowledge_filename": name,
    }
    answer = client.post("/api/actions/execute", body, timeout=None)
    printer.show(answer, lambda: [f"kept as {one_line(_stored(answer))}"])


def _stored(answer: dict[str, Any]) -> str:
    return str(answer.get("path") or answer.get("filename") or "a file of the memory folder")
