"""What the menus show."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sgoped.actions import open_actions
from sgoped.suggestions import Suggestions
from tests.memory.opening import opened

FILES = {"notes.md": "x" * 1234, "src/foo.py": "", "src/pic.png": "p", "a/x.md": "1", "b/x.md": "2"}


@pytest.fixture
async def suggestions(home: Path) -> AsyncIterator[Suggestions]:
    root = home / "world" / "data" / "memory" / "short_term"
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
        os.utime(root / name, ns=(0, 1_700_000_000_000_000_000))
    (root / os.fsdecode(b"\xff.txt")).write_text("odd")
    async with opened(home / "world") as memory:
        yield Suggestions(memory, open_actions())


async def test_an_empty_query_lists_everything_with_the_total(suggestions: Suggestions) -> None:
    listed, total = await suggestions.all_files()
    assert total == len(listed) == 9
    assert await suggestions.files("  ", 100) == listed
    assert len((await suggestions.all_files(3))[0]) == 3
    assert (await suggestions.all_files(3))[1] == 9


async def test_a_file_is_shown_with_all_that_is_known(suggestions: Suggestions) -> None:
    best = (await suggestions.files("notes"))[0]
    assert (best.id, best.label, best.kind) == (".f:notes.md", "notes.md", "file")
    assert best.description == "1.2 kB"
    metadata = dict(best.metadata)
    assert metadata.pop("why")
    assert metadata == {
        "type": "file",
        "path": "notes.md",
        "size": 1234,
        "modified": "2023-11-14T22:13:20Z",
        "matches": [[0, 5]],
        "target": "label",
    }


async def test_kinds_are_told_apart(suggestions: Suggestions) -> None:
    kinds = {found.metadata["path"]: found.kind for found in (await suggestions.all_files())[0]}
    assert kinds["src"] == "folder"
    assert kinds["src/pic.png"] == "image"
    assert kinds["src/foo.py"] == "file"


async def test_labels_and_ids_identify(suggestions: Suggestions) -> None:
    listed = (await suggestions.all_files())[0]
    labels = [found.label for found in listed]
    assert len(set(labels)) == len(labels)
    assert {"a/x.md", "b/x.md", "foo.py"} <= set(labels)
    assert len({found.id for found in listed}) == len(listed)


async def test_every_description_is_text_and_every_path_can_be_shown(
    suggestions: Suggestions,
) -> None:
    for found in (await suggestions.all_files())[0]:
        assert found.description
        found.metadata["path"].encode()


async def test_a_query_without_slash_finds_a_path(suggestions: Suggestions) -> None:
    assert (await suggestions.files("srcfoo"))[0].metadata["path"] == "src/foo.py"


async def test_actions_are_shown_with_their_command(suggestions: Suggestions) -> None:
    (found,) = await suggestions.actions("add")
    assert (found.id, found.label, found.kind) == ("add_knowledge", "add_knowledge", "action")
    assert found.metadata["command"] == "/add_knowledge"
    assert found.metadata["category"] == "memory"
    assert found.metadata["tags"]
    assert await suggestions.actions("or") == []


async def test_files_that_mention_it_come_below_the_few_that_are_called_so(
    home: Path, suggestions: Suggestions
) -> None:
    root = home / "world" / "data" / "memory" / "short_term"
    (root / "tulip.md").write_text("# Spring\n")
    (root / "garden.txt").write_text("Roses.\nWater the tulips, every tulip.\n")
    for n in range(5):
        (root / f"moon{n}.txt").write_text("tides")
    (root / "sea.txt").write_text("The moon makes the tides.")
    memory = suggestions._memory
    await memory.refresh()
    found = await suggestions.files("tulip")
    assert [item.label for item in found[:2]] == ["tulip.md", "garden.txt"]
    assert "section" not in found[0].metadata
    assert found[1].metadata["section"] == "contents"
    assert found[1].metadata["line"] == 2
    assert found[1].description == "line 2: Water the tulips, every tulip."
    assert found[1].metadata["why"] == "in the text"
    assert "sea.txt" not in [item.label for item in await suggestions.files("moon")]
    assert [item.label for item in await suggestions.files("tulip", 1)] == ["tulip.md"]
    assert (await suggestions.menu("tulip")) is (await suggestions.menu("tulip"))
    (root / "tulip2.md").write_text("")
    await memory.refresh()
    assert "tulip2.md" in [item.label for item in await suggestions.files("tulip")]
