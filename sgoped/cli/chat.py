"""``sgoped chat``: one question, its answer as it is made."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import uuid
from collections.abc import Iterator
from types import FrameType
from typing import Any

import click

from sgoped.cli import local_files, telling
from sgoped.cli.client import Client, NotReachable, Refused
from sgoped.cli.conversations import last_id, new_id
from sgoped.cli.options import Printer, asks_daemon, for_output, one_line, plain

_STOP_SECONDS = 5.0


@click.command()
@click.argument("message", nargs=-1)
@click.option("--model", default="", help="A model's id or name; the default one otherwise.")
@click.option(
    "--file",
    "files",
    multiple=True,
    type=click.Path(allow_dash=True),
    help="Send this file's text along; may be repeated.",
)
@click.option("--thinking", is_flag=True, help="Print the model's reasoning, too.")
@click.option("--continue", "-c", "goes_on", is_flag=True, help="Go on with the last conversation.")
@click.option("--in", "conversation", default="", help="Go on with the conversation of this id.")
@click.option("--unkept", is_flag=True, help="Keep nothing of what is said.")
@click.option("--context", is_flag=True, help="Print what the model is sent, too.")
@asks_daemon
def chat(
    client: Client,
    printer: Printer,
    *,
    message: tuple[str, ...],
    model: str,
    files: tuple[str, ...],
    thinking: bool,
    goes_on: bool,
    conversation: str,
    unkept: bool,
    context: bool,
) -> None:
    """Ask MESSAGE (- is standard input); @name in it refers to a file of the memory folder.

    Each begins a conversation, with which -c goes on. Places that the answer names and that the
    model was not sent are told behind it.

    Ctrl-C stops the model, and ends with what was answered so far.
    """
    if goes_on + bool(conversation) + unkept > 1:
        raise click.UsageError("--continue, --in and --unkept exclude each other")
    text = local_files.read_text("-") if message == ("-",) else " ".join(message)
    if not text.strip():
        raise click.UsageError("give a message, or - to read it from standard input")
    stream_id = uuid.uuid4().hex
    body: dict[str, Any] = {
        "message": text,
        "attachments": [local_files.attachment(path) for path in files],
        "model": model,
        "stream_id": stream_id,
        "events": "typed",
    }
    if unkept:
        body["keep"] = False
    else:
        last = last_id(client) if goes_on else ""
        body["conversation_id"] = conversation or last or new_id()
    with _stopping(client, stream_id):
        events = client.stream("/api/chat/stream", body)
        if printer.as_json:
            print_events(events)
        else:
            Answer(thinking=thinking, context=context).show(events)


def print_events(events: Iterator[dict[str, Any]]) -> None:
    """Print events for programs, one a line; exits with 1 when the answer is not whole."""
    last = ""
    for event in events:
        click.echo(json.dumps(event, ensure_ascii=False))
        last = str(event.get("type"))
    if last != "complete":
        raise click.exceptions.Exit(1)


class Answer:
    """Prints an answer; reasoning is left out or dim, what is told of it goes to standard error."""

    def __init__(self, *, thinking: bool, context: bool = False) -> None:
        self._show_thinking = thinking
        self._show_context = context
        self._in_thought = False
        self._at_line_start = True
        self._behind: list[str] = []

    def show(self, events: Iterator[dict[str, Any]]) -> None:
        """Print until the end.

        Raises:
            click.ClickException: The answer is not whole.
        """
        for event in events:
            match event.get("type"):
                case "content" | "thinking" as kind:
                    self._content(str(event["content"]), thought=kind == "thinking")
                case "complete":
                    self._end()
                    return
                case "cancelled" | "error" as kind:
                    self._end()
                    told = str(event.get("message") or kind)
                    raise click.ClickException(plain(told))
                case _:
                    self._tell(event)
        self._end()
        raise click.ClickException("the answer broke off: the daemon ended")

    def _tell(self, event: dict[str, Any]) -> None:
        """Tell what is no part of the answer; kinds of a later version are left out."""
        match event.get("type"):
            case "context":
                line = telling.omission_line(event)
                lines = list(telling.context_lines(event)) if self._show_context else [line]
                self._tell_lines(lines)
            case "service":
                self._tell_lines([one_line(event.get("message", ""))])
            case "citations":
                self._behind = list(telling.unresolved_lines(event))
            case "events_dropped":
                self._tell_lines([f"({event.get('count')} events before this are kept no longer)"])
            case _:
                pass

    def _tell_lines(self, lines: list[str]) -> None:
        for line in filter(None, lines):
            self._end_line()
            click.echo(line, err=True)

    def _content(self, text: str, *, thought: bool) -> None:
        if thought and not self._show_thinking:
            return
        if thought is not self._in_thought:
            self._in_thought = thought
            self._end_line()
        shown = for_output(text)
        dim = thought and sys.stdout.isatty()
        click.echo(click.style(shown, dim=True) if dim else shown, nl=False)
        self._at_line_start = text.endswith("\n")

    def _end(self) -> None:
        self._end_line()
        self._tell_lines(self._behind)

    def _end_line(self) -> None:
        if not self._at_line_start:
            click.echo()
            self._at_line_start = True


@contextlib.contextmanager
def _stopping(client: Client, stream_id: str) -> Iterator[None]:
    """The first Ctrl-C asks the daemon to stop and reads on to the end; the second leaves."""

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with contextlib.suppress(NotReachable, Refused):
            client.post("/api/chat/stop", {"stream_id": stream_id}, timeout=_STOP_SECONDS)

    previous = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
