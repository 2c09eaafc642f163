"""What is left for later when no model answers, and what becomes of it when one does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgoped.actions import ActionRequest, Source, enriched, is_enriched, recipe_from
from sgoped.actions.add_knowledge import AddKnowledge
from tests.actions.toolbox import Toolbox

TEXT = "The walrus sleeps at noon. " * 8


async def add(tools: Toolbox, text: str, *sources: Source) -> tuple[str, dict[str, Any]]:
    result = await AddKnowledge().run(ActionRequest(text, sources, "n"), tools)
    return str(result.data["path"]), result.data


async def test_without_a_model_the_summary_is_left_for_later_and_said_to_be() -> None:
    tools = Toolbox()
    result = await AddKnowledge().run(ActionRequest(TEXT, (), "n"), tools)
    assert result.data["enrichment"] == "later"
    assert "Its summary follows when a model answers." in result.text
    assert list(tools.later) == ["n.md"]


async def test_nothing_is_left_where_nothing_is_missing() -> None:
    for tools, text in ((Toolbox(lambda _: "In short."), TEXT), (Toolbox(), "short")):
        path, data = await add(tools, text, Source("old.md", "old", "memory"))
        assert "enrichment" not in data
        assert tools.later == {}
        assert path == "n.md"


async def test_a_model_that_dies_on_the_way_leaves_the_rest() -> None:
    answers = iter(["Of walruses.", None])
    tools = Toolbox(lambda _: next(answers, None))
    path, _ = await add(tools, TEXT, Source("a.txt", "one", "upload"))
    recipe = recipe_from(tools.later[path])
    assert [part.heading for part in recipe.parts] == ["Summary of a.txt"]
    saved = tools.files[path]
    later = await enriched(saved, recipe, Toolbox(lambda _: "Of one."))
    assert later is not None
    assert later.index("> Of walruses.") < later.index("> Of one.") < later.index("## Text")


async def test_the_file_is_then_as_if_the_model_had_been_there() -> None:
    sources = (Source("a.md", "``` one", "upload"), Source("b.py", "two", "memory"))
    without, there = Toolbox(), Toolbox(lambda _: "In short.")
    path, _ = await add(without, TEXT, *sources)
    await add(there, TEXT, *sources)
    recipe = recipe_from(without.later[path])
    assert not is_enriched(without.files[path], recipe)
    later = await enriched(without.files[path], recipe, Toolbox(lambda _: "In short."))
    assert later == there.files[path]
    assert is_enriched(later, recipe)


async def test_a_model_that_fails_again_changes_nothing() -> None:
    tools = Toolbox()
    path, _ = await add(tools, TEXT)
    assert await enriched(tools.files[path], recipe_from(tools.later[path]), Toolbox()) is None


TEXTS = st.text(st.characters(codec="utf-8"), min_size=101).filter(
    lambda text: len(text.strip()) > 100
)


@pytest.mark.parametrize("answer", ["In short.", "# Text\n\n## Source: x"])
@given(text=TEXTS, content=TEXTS)
async def test_each_text_is_found_again_in_the_file(answer: str, text: str, content: str) -> None:
    without, there = Toolbox(window=100_000), Toolbox(lambda _: answer, window=100_000)
    upload = Source("up", content, "upload")
    path, _ = await add(without, text, upload)
    await add(there, text, upload)
    saved = without.files[path]
    recipe = recipe_from(without.later[path])
    texts = [saved[part.start : part.start + part.chars] for part in recipe.parts]
    assert texts == [text, content]
    assert await enriched(saved, recipe, there) == there.files[path]
