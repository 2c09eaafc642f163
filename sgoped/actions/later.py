"""What a model is to add later to a file that was saved without it: the recipe, and doing it.

A recipe holds places in the saved file, not its text; it is valid for exactly that content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sgoped.actions.action import ActionRequest, Asks
from sgoped.actions.knowledge_file import Summary, render_head, summary_block, summary_heading
from sgoped.actions.summarise import Summariser


@dataclass(frozen=True, slots=True)
class Part:
    """A text within the file that wants a summary.

    Attributes:
        heading: What the summary stands under.
        name: What the model is told that the text is called.
        start: Where it begins, in characters.
        chars: How long it is.
    """

    heading: str
    name: str
    start: int
    chars: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """Which summaries to make, and where to put them.

    Attributes:
        insert_at: Where they are inserted, in characters.
        parts: What they are made of, in order.
    """

    insert_at: int
    parts: tuple[Part, ...]


def make_recipe(
    request: ActionRequest,
    wanted: Mapping[int, tuple[str, str]],
    summaries: Mapping[int, Summary],
    text: str,
) -> Recipe | None:
    """What is missing in ``text``, the file that was saved; None when nothing is.

    Args:
        request: What the person gave.
        wanted: Names and texts that want a summary, by position of the source, or ``TYPED``.
        summaries: Those that are there.
        text: The whole file.
    """
    insert_at = len(render_head(request, summaries))
    parts = [
        Part(summary_heading(request, key), name, text.index(content, insert_at), len(content))
        for key, (name, content) in wanted.items()
        if key not in summaries
    ]
    return Recipe(insert_at, tuple(parts)) if parts else None


def recipe_json(recipe: Recipe) -> dict[str, Any]:
    """A recipe as stored."""
    return asdict(recipe)


def recipe_from(stored: Mapping[str, Any]) -> Recipe:
    """What ``recipe_json`` made."""
    parts: Sequence[Mapping[str, Any]] = stored["parts"]
    return Recipe(stored["insert_at"], tuple(Part(**part) for part in parts))


def is_enriched(text: str, recipe: Recipe) -> bool:
    """Whether the summaries are there already, such as after a kill right behind the save."""
    return text.startswith(f"\n\n## {recipe.parts[0].heading}\n\n> ", recipe.insert_at)


async def enriched(text: str, recipe: Recipe, tools: Asks) -> str | None:
    """The file with its summaries; None when the model failed, whose words are then dropped."""
    model = Summariser(tools)
    blocks: list[str] = []
    for part in recipe.parts:
        summary = await model.summarise(part.name, text[part.start : part.start + part.chars])
        if summary is None or not model.alive:
            return None
        blocks.append(summary_block(part.heading, summary))
    added = "".join(f"\n\n{block}" for block in blocks)
    return text[: recipe.insert_at] + added + text[recipe.insert_at :]
