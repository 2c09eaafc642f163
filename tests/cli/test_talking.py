"""``add``, ``chat``, ``models`` and ``services``, with a model and without."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import processes
from tests.cli.conftest import Sgoped
from tests.fakes.scripts import Script
from tests.fakes.upstream import FakeUpstream
from tests.processes import DaemonProcess

KEY = "sk-typed-by-hand"


@pytest.fixture
async def upstream(served: DaemonProcess) -> AsyncIterator[FakeUpstream]:
    """A service that the daemon does not know yet; forgotten afterwards."""
    async with FakeUpstream() as upstream:
        yield upstream
        _, known = await asyncio.to_thread(served.request, "GET", "/api/services")
        for service_id in known:
            await asyncio.to_thread(served.request, "DELETE", f"/api/services/{service_id}")


async def run(
    sgoped: Sgoped, *arguments: str, **options: object
) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(sgoped, *arguments, **options)


async def with_ollama(sgoped: Sgoped, upstream: FakeUpstream) -> None:
    told = await run(
        sgoped, "services", "add", "At home", "--kind", "ollama", "--address", upstream.url
    )
    assert told.returncode == 0, told.stderr


async def test_a_service_is_added_tested_listed_and_removed(
    sgoped: Sgoped, upstream: FakeUpstream
) -> None:
    await with_ollama(sgoped, upstream)
    told = await run(sgoped, "services")
    assert told.stdout.startswith("at-home  ollama  online")
    assert "beta" in told.stdout
    told = await run(sgoped, "services", "test", "at-home")
    assert (told.returncode, told.stdout[:10]) == (0, "it answers")
    assert upstream.chats == []
    assert (await run(sgoped, "services", "remove", "at-home")).returncode == 0
    assert "no services" in (await run(sgoped, "services", "list")).stdout


async def test_a_service_that_does_not_answer_is_added_only_on_request(
    sgoped: Sgoped, upstream: FakeUpstream
) -> None:
    dead = ("services", "add", "Dead", "--kind", "ollama", "--address", "http://127.0.0.1:1")
    told = await run(sgoped, *dead)
    assert told.returncode == 1
    assert "Connection" in told.stderr
    assert (await run(sgoped, *dead, "--no-test")).returncode == 0
    assert (await run(sgoped, "services", "test", "dead")).returncode == 1


async def test_a_key_is_read_from_a_pipe_or_the_environment(
    sgoped: Sgoped, upstream: FakeUpstream
) -> None:
    upstream.key = KEY
    add = ("services", "add", "Cloud", "--kind", "openai", "--address", f"{upstream.url}/v1")
    for options in (
        {"given": f"{KEY}\n"},
        {"environment": {"SGOPED_SERVICE_KEY": KEY}},
    ):
        flags = ["--key-stdin"] if "given" in options else []
        told = await run(sgoped, *add, *flags, **options)
        assert told.returncode == 0, told.stderr
        listed = await run(sgoped, "services", "--json")
        assert KEY not in listed.stdout
        assert json.loads(listed.stdout)["cloud"]["models"] == upstream.models


async def test_a_wrong_key_is_told(sgoped: Sgoped, upstream: FakeUpstream) -> None:
    upstream.key = KEY
    add = ("services", "add", "Cloud", "--kind", "openai", "--address", f"{upstream.url}/v1")
    told = await run(sgoped, *add, "--key-stdin", given="sk-wrong\n")
    assert told.returncode == 1
    assert "401" in told.stderr


def test_a_key_among_the_arguments_is_refused(sgoped: Sgoped) -> None:
    told = sgoped("services", "add", "Cloud", "--kind", "openai", "--key", KEY)
    assert told.returncode == 2
    assert "shell's history" in told.stderr
    assert KEY not in told.stderr


def test_a_key_is_not_waited_for_without_a_terminal(sgoped: Sgoped) -> None:
    told = sgoped("services", "add", "Cloud", "--kind", "openai")
    assert told.returncode == 2
    assert "--key-stdin" in told.stderr


def test_an_unknown_service_is_told(sgoped: Sgoped) -> None:
    assert sgoped("services", "test", "nobody").returncode == 1
    assert sgoped("services", "remove", "nobody/../x").returncode == 1


async def test_a_model_is_chosen_by_its_id(sgoped: Sgoped, upstream: FakeUpstream) -> None:
    assert "no models" in (await run(sgoped, "models")).stdout
    await with_ollama(sgoped, upstream)
    models = json.loads((await run(sgoped, "models", "--json")).stdout)["all_models"]
    chosen = next(model["id"] for model in models if model["name"] == "beta")
    assert (await run(sgoped, "models", "default", chosen)).returncode == 0
    assert f"* {chosen}" in (await run(sgoped, "models", "list", "--refresh")).stdout


async def test_what_is_known_of_a_model_stands_behind_it(
    sgoped: Sgoped, upstream: FakeUpstream
) -> None:
    upstream.shown = {name: {"capabilities": ["completion", "vision"]} for name in upstream.models}
    await with_ollama(sgoped, upstream)
    await upstream.until(
        lambda: len([each for each in upstream.requests if each.path == "/api/show"]) >= 2
    )
    await run(sgoped, "chat", "--model", "at-home/alpha:latest", "how are you?")
    told = (await run(sgoped, "models")).stdout
    (line,) = [each for each in told.splitlines() if "alpha:latest" in each]
    assert "(32,768 tokens, vision, " in line
    assert line.endswith(" tokens/s)")


async def test_an_answer_is_printed_as_it_comes(sgoped: Sgoped, upstream: FakeUpstream) -> None:
    await with_ollama(sgoped, upstream)
    told = await run(sgoped, "chat", "how", "are", "you?")
    assert (told.returncode, told.stdout) == (0, "Hello, world\n")
    assert "how are you?" in json.dumps(upstream.chats[-1].body)
    told = await run(sgoped, "chat", "-", given="from a pipe")
    assert "from a pipe" in json.dumps(upstream.chats[-1].body)


async def test_files_go_along(sgoped: Sgoped, upstream: FakeUpstream, tmp_path: Path) -> None:
    await with_ollama(sgoped, upstream)
    (tmp_path / "café.txt").write_bytes("crème brûlée".encode("latin-1"))
    (tmp_path / "wide.txt").write_bytes("wide words".encode("utf-16"))
    told = await run(
        sgoped,
        "chat",
        "what?",
        "--file",
        "café.txt",
        "--file",
        "wide.txt",
        "--file",
        "-",
        given="piped words",
    )
    assert told.returncode == 0, told.stderr
    sent = json.dumps(upstream.chats[-1].body, ensure_ascii=False)
    for words in ("crème brûlée", "wide words", "piped words"):
        assert words in sent


async def test_reasoning_is_printed_on_request(sgoped: Sgoped, upstream: FakeUpstream) -> None:
    await with_ollama(sgoped, upstream)
    upstream.behave(Script(reasoning=("hmm, ",)))
    assert (await run(sgoped, "chat", "hello")).stdout == "Hello, world\n"
    assert "hmm, " in (await run(sgoped, "chat", "hello", "--thinking")).stdout


async def test_a_broken_answer_ends_with_an_error(sgoped: Sgoped, upstream: FakeUpstream) -> None:
    await with_ollama(sgoped, upstream)
    upstream.behave(Script(fault="reset", fault_at=2))
    told = await run(sgoped, "chat", "hello")
    assert told.returncode == 1
    assert told.stdout.startswith("Hello")
    assert told.stderr.startswith("Error: ")


async def test_events_are_printed_as_json(sgoped: Sgoped, upstream: FakeUpstream) -> None:
    await with_ollama(sgoped, upstream)
    told = await run(sgoped, "chat", "hello", "--json")
    kinds = [json.loads(line)["type"] for line in told.stdout.splitlines()]
    assert (kinds[0], kinds[-1]) == ("start", "complete")


async def test_json_is_the_typed_events_as_they_are(sgoped: Sgoped, upstream: FakeUpstream) -> None:
    await with_ollama(sgoped, upstream)
    upstream.behave(Script(reasoning=("hmm",)))
    told = await run(sgoped, "chat", "hello", "--json")
    kinds = [json.loads(line)["type"] for line in told.stdout.splitlines()]
    assert list(dict.fromkeys(kinds)) == [
        "start",
        "context",
        "thinking",
        "content",
        "usage",
        "complete",
    ]


async def test_places_that_do_not_hold_are_told_behind_the_answer(
    sgoped: Sgoped, upstream: FakeUpstream, tmp_path: Path
) -> None:
    await with_ollama(sgoped, upstream)
    (tmp_path / "up.txt").write_text("one\ntwo\n")
    upstream.behave(Script(chunks=("Two [up.txt:2], ", "or [up.txt:7] or [gone.md:1].")))
    told = await run(sgoped, "chat", "what?", "--file", "up.txt")
    assert told.stdout == "Two [up.txt:2], or [up.txt:7] or [gone.md:1].\n"
    assert told.stderr.splitlines() == [
        "(does not hold: [up.txt:7]: the file has only 2 lines)",
        "(does not hold: [gone.md:1]: no such file was sent)",
    ]


async def test_what_is_sent_is_told_on_request_and_what_is_not_always(
    sgoped: Sgoped, upstream: FakeUpstream, tmp_path: Path
) -> None:
    await with_ollama(sgoped, upstream)
    (tmp_path / "big.txt").write_text("filler line\n" * 9000)
    asked = ("chat", "what says @nobody.md?", "--file", "big.txt")
    told = await run(sgoped, *asked)
    assert told.stdout == "Hello, world\n"
    assert told.stderr == (
        "(sent in part or not at all: big.txt; not available: nobody.md; --context tells more)\n"
    )
    told = await run(sgoped, *asked, "--context")
    assert told.stdout == "Hello, world\n"
    assert "of 8,192 tokens" in told.stderr
    assert "big.txt: 1-" in told.stderr
    assert "of 9000 lines" in told.stderr
    assert "left out: lines" in told.stderr
    assert "not available: nobody.md" in told.stderr


async def test_ctrl_c_stops_the_upstream(
    served: DaemonProcess, sgoped: Sgoped, upstream: FakeUpstream, tmp_path: Path
) -> None:
    await with_ollama(sgoped, upstream)
    upstream.behave(Script(gate_at=1))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sgoped",
        "chat",
        "hello",
        "--home",
        str(served.home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=processes.clean_environment(tmp_path) | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    assert await process.stdout.readexactly(5) == b"Hello"
    process.send_signal(signal.SIGINT)
    await upstream.client_closed()
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"Traceback" not in errors


def test_without_a_model_memory_answers(sgoped: Sgoped) -> None:
    told = sgoped("chat", "what about tulips?")
    assert told.returncode == 0, told.stderr
    assert "garden.md" in told.stdout


def test_a_named_model_that_is_not_there_is_an_error(sgoped: Sgoped) -> None:
    told = sgoped("chat", "hello", "--model", "gone")
    assert told.returncode == 1
    assert "gone" in told.stderr


def test_nothing_to_say_is_a_usage_error(sgoped: Sgoped) -> None:
    assert sgoped("chat").returncode == 2
    assert sgoped("chat", "-", given="  \n").returncode == 2


def test_knowledge_is_kept_from_files_and_from_a_pipe(
    sgoped: Sgoped, served: DaemonProcess, tmp_path: Path
) -> None:
    (tmp_path / "recipe.txt").write_text("Bread: flour, water, salt, time.")
    told = sgoped("add", "recipe.txt", "-", given="Bake it hot.", environment={})
    assert told.returncode == 0, told.stderr
    path = told.stdout.removeprefix("kept as ").strip()
    kept = (served.memory_dir / path).read_text()
    assert "flour, water, salt" in kept
    assert "Bake it hot." in kept
    assert sgoped("files", Path(path).stem).stdout.startswith(path)


def test_knowledge_gets_the_name_it_is_given(sgoped: Sgoped, served: DaemonProcess) -> None:
    told = sgoped("add", "-", "--name", "my_bread", given="Bake it hot.")
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("kept as my_bread")


@pytest.mark.parametrize("name", ["missing.txt", "folder", "binary.bin"])
def test_what_cannot_be_read_is_told_before_anything_is_sent(
    sgoped: Sgoped, served: DaemonProcess, tmp_path: Path, name: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary.bin").write_bytes(b"\x7fELF\0\0\0")
    before = sorted(served.memory_dir.iterdir())
    told = sgoped("add", name)
    assert told.returncode == 1
    assert name in told.stderr
    assert sorted(served.memory_dir.iterdir()) == before
