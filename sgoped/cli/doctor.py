"""``sgoped doctor``: what is wrong and how to mend it, for a terminal or as JSON."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import shutil
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from sgoped.cli.client import Client, NotReachable, Refused
from sgoped.cli.options import one_line
from sgoped.cli.places import read_places
from sgoped.config import Loaded
from sgoped.doctor import (
    Finding,
    Instance,
    Severity,
    Subject,
    Unanswered,
    examine,
    find_instance,
    mend,
)
from sgoped.doctor.instance import Asked
from sgoped.paths import Paths

_COLOURS = {"ok": "green", "note": "cyan", "warning": "yellow", "problem": "red", "mended": "green"}
_MARK_WIDTH = 8
_INDENT = " " * (2 + _MARK_WIDTH + 1)
_MIN_COLUMNS, _MAX_COLUMNS = 60, 120


@click.command()
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    help="One root for everything sgoped keeps.",
)
@click.option(
    "--memory-dir",
    type=click.Path(path_type=Path),
    help="The folder to compare with; otherwise the daemon's, or that of the settings.",
)
@click.option("--fix", is_flag=True, help="Mend what is safe to mend: sgoped's own files only.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
def doctor(
    ctx: click.Context, *, home: Path | None, memory_dir: Path | None, fix: bool, as_json: bool
) -> None:
    """Compare folder, catalogue and index, look at everything else, and say how to mend it.

    Works with a running daemon and without one. Changes nothing without --fix, and nothing of
    yours with it. Ends with 0 when nothing is wrong, and 1 while something is.
    """
    loaded, paths = read_places(home, memory_dir)
    connect = functools.partial(_connect, home)
    instance = find_instance(paths, connect)
    paths = dataclasses.replace(paths, memory_dir=_folder(memory_dir, loaded, paths, instance))
    subject = Subject(loaded.settings, loaded.warnings, paths, instance, connect)
    findings = examine(subject)
    if fix:
        findings = mend(subject, findings)
    if as_json:
        told = [found.as_json() for found in findings]
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        for line in _lines(findings, fixing=fix):
            click.echo(line)
    ctx.exit(1 if any(found.remains for found in findings) else 0)


def _folder(given: Path | None, loaded: Loaded, paths: Paths, instance: Instance) -> Path:
    """Flags of ``sgoped serve`` are not in the settings, so the daemon's own word counts more."""
    settled = given is not None or (not instance.running and "memory_dir" in loaded.origins)
    return paths.memory_dir if settled else instance.memory_dir or paths.memory_dir


def _connect(
    home: Path | None, url: str, socket_file: Path | None = None, *, trusted: bool = False
) -> Asked:
    client = Client(url, socket_file, home, trusted)

    def ask(
        method: str, path: str, body: Mapping[str, Any] | None = None, *, timeout: float
    ) -> Any:
        try:
            return client.call(method, path, body, timeout=timeout)
        except (NotReachable, Refused) as error:
            raise Unanswered(error.message) from error

    return ask


def _lines(findings: Sequence[Finding], *, fixing: bool) -> Iterator[str]:
    columns = max(_MIN_COLUMNS, min(shutil.get_terminal_size((100, 24)).columns, _MAX_COLUMNS))
    topic = None
    for found in findings:
        if found.topic != topic:
            topic = found.topic
            yield click.style(str(topic), bold=True)
        yield from _finding_lines(found, columns)
    yield _summary(findings, fixing=fixing)


def _finding_lines(found: Finding, columns: int) -> Iterator[str]:
    mark = "mended" if found.mended else str(found.severity)
    styled = click.style(f"{mark:<{_MARK_WIDTH}}", fg=_COLOURS[mark], bold=found.remains)
    width = columns - len(_INDENT)
    what = _short(found.what)
    first, *rest = textwrap.wrap(what, width, break_on_hyphens=False, break_long_words=False) or [
        ""
    ]
    yield f"  {styled} {first}"
    yield from (f"{_INDENT}{line}" for line in rest)
    if found.severity is Severity.OK:
        return
    if found.where:
        yield f"{_INDENT}{click.style(f'at {_short(found.where)}', dim=True)}"
    if found.mend and not found.mended:
        yield f"{_INDENT}mend: {_short(found.mend)}"


def _short(text: str) -> str:
    """On one line, with ``~`` for the home directory, but not where a shell would not take it."""
    home = re.escape(f"{Path.home()}/")
    return re.sub(rf"(?<![^\s(\"]){home}", "~/", one_line(text))


def _summary(findings: Sequence[Finding], *, fixing: bool) -> str:
    counts = Counter(found.severity for found in findings if found.remains)
    mended = sum(found.mended for found in findings)
    done = f"mended {mended}; " if mended else ""
    if not counts:
        return click.style(f"{done}nothing is wrong", fg="green")
    told = ", ".join(
        f"{counts[severity]} {severity}{'s' if counts[severity] > 1 else ''}"
        for severity in (Severity.PROBLEM, Severity.WARNING)
        if counts[severity]
    )
    fixable = sum(found.remains and found.fix is not None for found in findings)
    which = f"{fixable} of them" if fixable < sum(counts.values()) else "all of it"
    hint = f"; sgoped doctor --fix mends {which}" if fixable and not fixing else ""
    return click.style(f"{done}{told}{hint}", bold=True)
