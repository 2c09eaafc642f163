"""What the README says is so: settings, commands, routes and files."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from pydantic import ByteSize

from sgoped.cli import main
from sgoped.config import Settings, variable_name

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def shown_default(value: object) -> str:
    match value:
        case None | () | "":
            return ""
        case bool():
            return f"`{str(value).lower()}`"
        case ByteSize():
            human = value.human_readable()
            exact = human.replace(".0", " ") if ".0" in human else str(int(value))
            return f"`{exact}`"
        case _:
            return f"`{value}`"


def settings_table() -> list[str]:
    rows = [
        f"| `{key}` | `{variable_name(key)}` | {shown_default(field.default)} | {field.description} |"
        for key, field in Settings.model_fields.items()
    ]
    return ["| setting | variable | default | what it is |", "|---|---|---|---|", *rows]


def test_the_settings_table_is_that_of_the_settings() -> None:
    found = README[README.index("| setting | variable") :].partition("\n\n")[0].splitlines()
    assert found == settings_table()


def code_lines() -> list[str]:
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


def inline_commands() -> list[str]:
    return re.findall(r"`((?:sgoped|\./scripts/)[^`]*)`", README)


def verbs() -> list[list[str]]:
    lines = [*code_lines(), *inline_commands()]
    found = [re.search(r"(?:^|[|;(] ?)sgoped ((?:[a-z]+ ?){1,2})", line) for line in lines]
    return [match.group(1).split() for match in found if match]


def test_there_are_commands_to_check() -> None:
    assert len(verbs()) > 10


@pytest.mark.parametrize("words", verbs(), ids=" ".join)
def test_every_verb_exists(words: list[str]) -> None:
    context = click.Context(main)
    command = main.get_command(context, words[0])
    assert command is not None, words
    if isinstance(command, click.Group) and len(words) > 1:
        assert command.get_command(context, words[1]) is not None, words


def test_every_verb_is_told() -> None:
    told = {words[0] for words in verbs()}
    assert set(main.list_commands(click.Context(main))) <= told


@pytest.mark.parametrize(
    "path",
    sorted(
        set(re.findall(r"(?<![\w/~.])(?:\./)?((?:scripts|\.ci|sgoped|tests)/[\w./-]+)", README))
    ),
)
def test_every_file_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_unit_and_the_readme_agree_on_the_checkout() -> None:
    unit = (ROOT / "sgoped.service").read_text()
    assert "ExecStart=%h/sgoped/.venv/bin/sgoped serve" in unit
    assert "~/sgoped" in README
