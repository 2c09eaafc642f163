"""Names for files before they are saved."""

from __future__ import annotations

from typing import Any

import pytest

from sgoped.chat import name_file
from tests.chat.world import World
from tests.fakes.scripts import Script


async def test_the_model_names_it_and_its_babble_is_dropped(served: World) -> None:
    served.upstream.behave(Script(chunks=("<think>x</think>Sure: `", "Walrus Facts.md", "`")))
    assert await name_file("The walrus sleeps", served.registry) == "walrus_facts"
    assert "The walrus sleeps" in served.sent()


@pytest.mark.parametrize(
    ("previews", "expected"),
    [
        ("# Trip to Oslo\n", "trip_to_oslo"),
        (["first words here", "second"], "first_words_here_second"),
        ({"files": [{"name": "a.txt", "preview": "# Deep Sea"}]}, "deep_sea"),
        ([], "note"),
        ({"n": 5, "x": None, "y": True}, "note"),
        (None, "note"),
    ],
)
async def test_without_a_model_the_previews_name_it(
    world: World, previews: Any, expected: str
) -> None:
    assert await name_file(previews, world.registry) == expected


@pytest.mark.parametrize("fault", ["500", "reset", "html"])
async def test_a_model_that_fails_is_no_error(served: World, fault: str) -> None:
    served.upstream.behave(Script(fault=fault))
    assert await name_file("# Trip to Oslo", served.registry) == "trip_to_oslo"


async def test_a_model_that_hangs_is_not_waited_for(served: World) -> None:
    served.upstream.behave(Script(gate_at=-1))
    name = await name_file("# Trip to Oslo", served.registry, seconds=0.1)
    assert name == "trip_to_oslo"
    await served.upstream.client_closed()


async def test_when_the_default_fails_another_usable_model_is_asked(world: World) -> None:
    await world.serve("openai", "down", base_url="http://127.0.0.1:9/v1", models=["gone"])
    await world.serve("openai", "up")
    await world.registry.set_default("down/gone")
    await world.registry.refresh()
    world.upstream.behave(Script(chunks=("walrus_facts",)))
    assert await name_file("text", world.registry) == "walrus_facts"


async def test_a_bottomless_preview_is_bounded(world: World) -> None:
    previews: Any = "x"
    for _ in range(5000):
        previews = [previews, previews]
    assert await name_file(previews, world.registry)
