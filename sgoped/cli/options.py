"""What all client verbs have in common: which daemon is meant, and how to print."""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from sgoped.cli.client import connect

# A file's name or a model's text must not steer the terminal.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Printer:
    """Prints for people, or the JSON that the daemon answered with.

    Attributes:
        as_json: Whether ``--json`` was given.
    """

    as_json: bool

    def show(self, content: Any, lines: Callable[[], list[str]]) -> None:
        """Prints ``content`` for programs, or ``lines`` for people."""
        if self.as_json:
            click.echo(json.dumps(content, indent=2, ensure_ascii=False))
        else:
            for line in lines():
                click.echo(line)


def plain(text: object) -> str:
    """The text without what would move the cursor, recolour or reorder the line."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", str(text))


def one_line(text: object) -> str:
    """Like ``plain``, on one line."""
    return " ".join(plain(text).split())


def for_output(text: str) -> str:
    """Text as it is for a pipe or a file, made plain for a terminal."""
    return plain(text) if sys.stdout.isatty() else text


def asks_daemon(verb: Callable[..., None]) -> Callable[..., None]:
    """Gives a verb ``--home``, ``--url`` and ``--json``; it is passed a client and a printer."""

    @click.option(
        "--home",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="SGOPED_HOME",
        help="The home the daemon was started with.",
    )
    @click.option("--url", envvar="SGOPED_URL", help="The daemon's address, instead of its home.")
    @click.option("--json", "as_json", is_flag=True, help="Print what the daemon answers as JSON.")
    @functools.wraps(verb)
    def wrapper(*, home: Path | None, url: str | None, as_json: bool, **own: Any) -> None:
        verb(connect(home, url), Printer(as_json), **own)

    return wrapper
