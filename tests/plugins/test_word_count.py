"""A package that is not ours adds an action by being installed, and by nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sgoped.actions import open_actions
from sgoped.chat import ActionCompleted, Attachment, ChatRequest, open_chat
from tests.chat.world import events_of, open_world, said_in

PACKAGE = Path(__file__).parent / "word_count"
LIST_ACTIONS = """
import json
from sgoped.actions import open_actions
registry = open_actions()
print(json.dumps([[a.name for a in registry.all()], [f.name for f in registry.failures]]))
"""


def run(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the package is installed into, as a user would, without any network."""
    target = tmp_path_factory.mktemp("site")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--no-input"]
    home = str(tmp_path_factory.mktemp("pip"))
    run("-m", "pip", "install", *options, "--target", str(target), str(PACKAGE), HOME=home)
    return target


def test_a_new_process_finds_it(installed: Path) -> None:
    names, failures = json.loads(run("-c", LIST_ACTIONS, PYTHONPATH=str(installed)))
    assert names == ["add_knowledge", "word_count"]
    assert failures == []


def test_without_it_there_is_none() -> None:
    assert [action.name for action in open_actions().all()] == ["add_knowledge"]


async def test_it_works_in_a_chat(
    installed: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(installed))
    actions = open_actions()
    assert [action.name for action in actions.search("count", 10)] == ["word_count"]
    async with (
        open_world(home) as world,
        open_chat(
            world.memory, world.registry, actions, world.settings, world.bus, state=world.state
        ) as chat,
    ):
        await world.write({"a.md": "three words here\n"})
        request = ChatRequest("/word_count one two", (Attachment("a.md"),))
        events = await events_of(chat.start(request))
    (completed,) = [event for event in events if isinstance(event, ActionCompleted)]
    assert completed.result["counts"] == [
        {"name": "text", "words": 2, "lines": 1},
        {"name": "a.md", "words": 3, "lines": 1},
    ]
    assert said_in(events) == "text: 2 words in 1 lines\na.md: 3 words in 1 lines"
