"""The README's question with citations: what is printed, and that each place is the right one."""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cli.conftest import Sgoped
from tests.fakes.scripts import Script
from tests.fakes.upstream import FakeUpstream
from tests.processes import DaemonProcess

README = Path(__file__).parents[2] / "README.md"
CITATION = re.compile(r"\[([^\]\s:]+):(\d+)(?:-(\d+))?\]")


def transcript() -> dict[str, str]:
    """By command, what it prints, of the block that asks about real files."""
    blocks = re.findall(
        r"^```console\n(.*?)^```", README.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    (block,) = (block for block in blocks if "sgoped chat --context" in block)
    commands = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return dict(command.split("\n", 1) for command in commands)


def files() -> dict[str, str]:
    """The files that the README has its reader make, by path."""
    made = re.findall(r"^printf '(.*)' > (\S+)$", README.read_text("utf-8"), re.MULTILINE)
    return {path: text.replace("\\n", "\n") for text, path in made}


@pytest.fixture
async def upstream(served: DaemonProcess) -> AsyncIterator[FakeUpstream]:
    for path, text in files().items():
        file = served.memory_dir / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    await asyncio.to_thread(served.request, "POST", "/api/refresh", {})
    async with FakeUpstream() as upstream:
        config = {"name": "My Ollama", "host": upstream.url}
        body = {"service_id": "my-ollama", "service_type": "ollama", "config": config}
        await asyncio.to_thread(served.request, "POST", "/api/services/add", body)
        yield upstream
        await asyncio.to_thread(served.request, "DELETE", "/api/services/my-ollama")


async def test_a_question_about_real_files_is_answered_with_places_that_open_at_the_right_line(
    sgoped: Sgoped, served: DaemonProcess, upstream: FakeUpstream
) -> None:
    told = transcript()
    question = next(command for command in told if command.startswith("sgoped chat --context"))
    answer = told[question].splitlines()[-1]
    upstream.behave(Script(chunks=tuple(re.findall(r"\S+\s*", answer))))
    printed = await asyncio.to_thread(sgoped, *shlex.split(question)[1:])
    assert printed.returncode == 0
    assert (printed.stderr + printed.stdout).splitlines() == told[question].splitlines()
    places = CITATION.findall(answer)
    assert len(places) > 1
    shown = next(command for command in told if command.startswith("sed "))
    path, line = places[0][:2]
    assert shlex.split(shown) == ["sed", "-n", f"{line}p", path]
    sed = await asyncio.to_thread(
        subprocess.run,
        shlex.split(shown),
        cwd=served.memory_dir,
        capture_output=True,
        text=True,
        check=True,
    )
    assert sed.stdout == told[shown]
