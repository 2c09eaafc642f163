"""``sgoped chat -c`` and ``sgoped conversations``."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.cli.conftest import Sgoped
from tests.fakes.scripts import Script
from tests.fakes.upstream import FakeUpstream
from tests.processes import DaemonProcess


@pytest.fixture
async def upstream(served: DaemonProcess) -> AsyncIterator[FakeUpstream]:
    """The daemon's only service; it forgets it and all conversations afterwards."""
    async with FakeUpstream() as upstream:
        config = {"name": "Fake", "host": upstream.url, "models": ["beta"]}
        body = {"service_id": "s", "service_type": "ollama", "config": config}
        await ask(served, "POST", "/api/services/add", body)
        yield upstream
        await ask(served, "DELETE", "/api/services/s")
        for each in (await ask(served, "GET", "/api/conversations"))["conversations"]:
            await ask(served, "DELETE", f"/api/conversations/{each['id']}")


async def ask(served: DaemonProcess, method: str, path: str, body: object = None) -> Any:
    status, answer = await asyncio.to_thread(served.request, method, path, body)
    assert status == 200, answer
    return answer


async def run(sgoped: Sgoped, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(sgoped, *arguments)


async def say(sgoped: Sgoped, *arguments: str) -> str:
    told = await run(sgoped, *arguments)
    assert told.returncode == 0, told.stderr
    assert told.stderr == ""
    return told.stdout


async def listed(sgoped: Sgoped, *arguments: str) -> list[tuple[str, str]]:
    """Id and title of each, as a person sees them."""
    lines = (await say(sgoped, "conversations", *arguments)).splitlines()
    return [(line.split("  ")[0], line.split("  ")[2]) for line in lines]


def sent(upstream: FakeUpstream) -> list[str]:
    return [message["content"] for message in upstream.chats[-1].body["messages"]]


async def test_c_goes_on_with_the_last_conversation_and_nothing_begins_another(
    sgoped: Sgoped, upstream: FakeUpstream
) -> None:
    assert await say(sgoped, "chat", "-c", "one") == "Hello, world\n"
    await say(sgoped, "chat", "-c", "two")
    assert sent(upstream) == ["one", "Hello, world", "two"]
    assert await say(sgoped, "chat", "three") == "Hello, world\n"
    assert sent(upstream) == ["three"]
    await say(sgoped, "chat", "--continue", "four")
    assert sent(upstream) == ["three", "Hello, world", "four"]
    assert [title for _, title in await listed(sgoped)] == ["three", "one"]


async def test_a_conversation_can_be_named_and_nothing_be_kept(
    sgoped: Sgoped, upstream: FakeUpstream
) -> None:
    await say(sgoped, "chat", "one")
    ((conversation, _),) = await listed(sgoped)
    await say(sgoped, "chat", "--unkept", "two")
    assert sent(upstream) == ["two"]
    assert await listed(sgoped) == [(conversation, "one")]
    assert "two" not in await say(sgoped, "runs", "list")
    await say(sgoped, "chat", "three")
    await say(sgoped, "chat", "--in", conversation, "four")
    assert sent(upstream) == ["one", "Hello, world", "four"]
    assert (await run(sgoped, "chat", "-c", "--unkept", "x")).returncode == 2
    refused = await run(sgoped, "chat", "--in", "../x", "five")
    assert (refused.returncode, "conversation_id" in refused.stderr) == (1, True)


async def test_conversations_are_listed_searched_shown_and_renamed(
    sgoped: Sgoped, upstream: FakeUpstream
) -> None:
    upstream.behave(Script(chunks=("They \x1b[31mneed water\n",)))
    await say(sgoped, "chat", "what of @garden.md?")
    await say(sgoped, "chat", "parsnips")
    (_, (conversation, title)) = await listed(sgoped, "list")
    assert title == "what of @garden.md?"
    assert await listed(sgoped, "--query", "GARDEN water") == [(conversation, title)]
    assert "and 1 more" in await say(sgoped, "conversations", "--limit", "1")
    shown = await say(sgoped, "conversations", "show", conversation)
    assert shown.splitlines()[0].startswith("#1 you, ")
    assert shown.splitlines()[0].endswith("[garden.md]")
    assert "#2 s/beta, " in shown
    assert "need water" in shown
    found = json.loads(await say(sgoped, "conversations", "show", "--json", conversation))
    assert [each["number"] for each in found["messages"]] == [1, 2]
    await say(sgoped, "conversations", "rename", conversation, "My garden")
    assert ("My garden" in (await listed(sgoped))[1]) is True


async def test_a_fork_is_gone_on_with_by_c(sgoped: Sgoped, upstream: FakeUpstream) -> None:
    await say(sgoped, "chat", "one")
    await say(sgoped, "chat", "-c", "two")
    ((conversation, _),) = await listed(sgoped)
    fork = (await say(sgoped, "conversations", "fork", conversation, "--at", "2")).strip()
    await say(sgoped, "chat", "-c", "other")
    assert sent(upstream) == ["one", "Hello, world", "other"]
    assert [each for each, _ in await listed(sgoped)] == [fork, conversation]


async def test_an_export_is_a_file_of_the_folder(
    sgoped: Sgoped, upstream: FakeUpstream, served: DaemonProcess
) -> None:
    await say(sgoped, "chat", "Why do tulips droop?")
    ((conversation, _),) = await listed(sgoped)
    told = await say(sgoped, "conversations", "export", conversation)
    assert told == "written to why_do_tulips_droop.md\n"
    text = (served.memory_dir / "why_do_tulips_droop.md").read_text()
    assert "Hello, world" in text
    told = await say(sgoped, "conversations", "export", conversation, "--to", "talks/a.md")
    assert told == "written to talks/a.md\n"


async def test_deleting_asks_first_and_is_for_good(sgoped: Sgoped, upstream: FakeUpstream) -> None:
    await say(sgoped, "chat", "one")
    await say(sgoped, "chat", "two")
    both = [each for each, _ in await listed(sgoped)]
    refused = await run(sgoped, "conversations", "delete", *both)
    assert (refused.returncode, "--yes" in refused.stderr) == (2, True)
    await say(sgoped, "conversations", "delete", "--yes", *both)
    assert await listed(sgoped) == []
    for verb in (["show"], ["export"], ["delete", "-y"], ["rename"], ["fork", "--at", "1"]):
        more = ["title"] if verb == ["rename"] else []
        told = await run(sgoped, "conversations", *verb, both[0], *more)
        assert (told.returncode, "no such conversation" in told.stderr) == (1, True), verb
