"""What ``/add_knowledge`` asks of a model, and what it keeps when that fails."""

from __future__ import annotations

import asyncio
import re

import pytest

from sgoped.actions import ActionRequest, Source
from sgoped.actions.add_knowledge import AddKnowledge
from sgoped.errors import InvalidInput, StorageError
from tests.actions.toolbox import Toolbox

TEXT = "The walrus sleeps at noon. " * 8
NAMED = "You name files"


async def add(tools: Toolbox, text: str = "", *sources: Source, filename: str | None = None) -> str:
    """Run the action; returns the file's name."""
    request = ActionRequest(text, sources, filename)
    result = await AddKnowledge().run(request, tools)
    return str(result.data["filename"])


def upload(content: str, name: str = "up.txt") -> Source:
    return Source(name, content, "upload")


async def test_a_short_text_is_not_summarised() -> None:
    tools = Toolbox(lambda _: "bread_recipe")
    assert await add(tools, "x" * 100) == "bread_recipe.md"
    assert [NAMED in prompt for prompt in tools.prompts] == [True]


async def test_a_longer_text_is_summarised_and_a_given_name_asks_for_none() -> None:
    tools = Toolbox(lambda _: "In short.")
    assert await add(tools, "x" * 101, filename="mine.txt") == "mine.txt"
    assert len(tools.prompts) == 1
    assert "> In short." in tools.files["mine.txt"]


async def test_each_upload_is_summarised_and_memory_files_are_not() -> None:
    tools = Toolbox(lambda _: "In short.")
    memory = Source("old.md", "old", "memory")
    await add(tools, "", upload("a", "1"), memory, upload("b", "2"), upload(" ", "3"), filename="n")
    assert ["Summarise \u201c1\u201d" in prompt for prompt in tools.prompts] == [True, False]
    assert "Summarise \u201c2\u201d" in tools.prompts[1]


async def test_a_long_source_is_summarised_in_parts_and_then_together() -> None:
    tools = Toolbox(lambda prompt: f"S{len(prompt)}", window=2000)
    content = "".join(f"line {number}\n" for number in range(3000))
    await add(tools, "", upload(content), filename="n")
    numbers = [re.search(r"part (\d+) of (\d+)", prompt) for prompt in tools.prompts]
    parts = [(int(found[1]), int(found[2])) for found in numbers if found]
    assert parts == [(number, parts[-1][1]) for number in range(1, parts[-1][1] + 1)]
    assert len(parts) > 5
    seen = "".join(tools.prompts)
    assert all(f"line {number}\n" in seen for number in range(3000))
    assert "Make one summary" in tools.prompts[-1]
    assert all(len(prompt) < 3 * 2000 for prompt in tools.prompts)
    assert "It covers" not in tools.files["n.md"]


async def test_a_model_that_dies_in_a_part_leaves_what_it_said_and_how_far_it_came() -> None:
    answers = iter(["first part", "second part"])
    tools = Toolbox(lambda _: next(answers, None), window=2000)
    content = "words and words\n" * 2000
    await add(tools, TEXT, upload(content), filename="n")
    tools_2 = Toolbox(lambda _: next(answers, None), window=2000)
    answers = iter(["of the text", "first part", "second part"])
    await add(tools_2, TEXT, upload(content), filename="n")
    stored = tools_2.files["n.md"]
    assert "> of the text" in stored
    assert "> first part\n>\n> second part" in stored
    assert re.search(r"It covers parts 1 to 2 of \d+\.", stored)
    assert content in stored
    assert TEXT in stored
    assert len(tools_2.prompts) == 4  # the one that failed is the last


async def test_a_model_that_failed_is_not_asked_again() -> None:
    tools = Toolbox(lambda _: None)
    request = ActionRequest(TEXT, (upload("a"), upload("b")))
    result = await AddKnowledge().run(request, tools)
    assert len(tools.prompts) == 1
    assert result.prompt is None
    assert result.data["named_by"] == "content"


async def test_the_whole_text_is_saved_before_the_model_is_asked() -> None:
    tools = Toolbox()
    states: list[dict[str, str]] = []

    def answer(_: str) -> str:
        states.append(dict(tools.files))
        return "A summary"

    tools.answer = answer
    await add(tools, TEXT, upload("whole upload"))
    assert len(states) == 3
    for state in states:
        (content,) = state.values()
        assert TEXT in content
        assert "whole upload" in content


async def test_a_disk_that_fills_up_meanwhile_costs_only_the_summary() -> None:
    tools = Toolbox()

    def answer(_: str) -> str:
        tools.full = True
        return "A summary"

    tools.answer = answer
    result = await AddKnowledge().run(ActionRequest(TEXT, filename="n"), tools)
    assert TEXT in tools.files["n.md"]
    assert "the summary could not be added: no space left" in result.text


async def test_a_full_disk_at_the_beginning_is_an_error() -> None:
    with pytest.raises(StorageError):
        await add(Toolbox(full=True), TEXT)


async def test_being_stopped_while_the_model_is_silent_leaves_the_text() -> None:
    tools = Toolbox()
    silent = asyncio.Event()

    class Silent(Toolbox):
        async def complete(self, messages: object) -> str | None:
            silent.set()
            await asyncio.Event().wait()
            return None

    tools = Silent()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(add(tools, TEXT))
        await silent.wait()
        task.cancel()
    assert TEXT in next(iter(tools.files.values()))


@pytest.mark.parametrize(
    "answer", ["<think>only thoughts</think>", "   ", "<think>never ends", "\u0000"]
)
async def test_an_answer_without_words_is_no_summary_and_no_name(answer: str) -> None:
    tools = Toolbox(lambda _: answer)
    name = await add(tools, TEXT)
    assert name == "walrus_sleeps_noon_walrus_sleeps.md"
    assert "think" not in tools.files[name]


async def test_a_hostile_summary_stays_a_quotation() -> None:
    tools = Toolbox(lambda _: "ok\n```\n## Text\n\nforged\n# x")
    await add(tools, TEXT, filename="n")
    assert tools.files["n.md"].count("\n## Text\n") == 1
    assert "> ## Text" in tools.files["n.md"]


@pytest.mark.parametrize("text", ["", " \n\t"])
async def test_nothing_to_save_is_refused_in_words(text: str) -> None:
    tools = Toolbox()
    request = ActionRequest(text, (upload(" "),), missing=("gone.md: no such file",))
    with pytest.raises(InvalidInput, match=r"nothing to save.*gone\.md: no such file"):
        await AddKnowledge().run(request, tools)
    assert tools.files == {}


async def test_the_confirmation_names_file_sources_and_what_is_missing() -> None:
    request = ActionRequest("x", (upload("a"), upload("b")), "n", missing=("gone: why",))
    result = await AddKnowledge().run(request, Toolbox(lambda _: "S"))
    assert result.text == "Saved as n.md with 2 sources and a summary.\nNot available: gone: why."
    assert result.prompt is not None
    assert "n.md" in result.prompt
    assert result.data["sources"] == [
        {"name": "up.txt", "origin": "upload", "summary": "S"},
        {"name": "up.txt", "origin": "upload", "summary": "S"},
    ]
