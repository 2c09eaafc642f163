"""The action ``/add_knowledge``: keeps typed text, uploads and memory files as one new file.

The text is saved before any model is asked. A model may take minutes, and a run can be stopped
and a daemon killed at any moment of them; so the file is written whole and synced first, under
the given name or one made from the content. What the model then adds, summaries and perhaps a
better name, replaces that file atomically, and only while nobody else has touched it. Whatever
ends the run in between leaves a whole file without (or with part of) what the model would have
added, and never half a file. The price is a version or two of the same text; the alternative,
saving on cancellation, would lose everything to a kill or a power cut.

Where no model answers, or one dies on the way, what it was to add is left for later (``later``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sgoped.actions.action import ActionRequest, ActionResult, Saved, Tools
from sgoped.actions.knowledge_file import (
    TYPED,
    Summary,
    fallback_name,
    knowledge_title,
    render_knowledge,
)
from sgoped.actions.later import make_recipe, recipe_json
from sgoped.actions.summarise import Summariser
from sgoped.errors import InvalidInput, SgopedError
from sgoped.prompts import MATERIAL_RULE, fenced, safe_file_name

_PREVIEW_CHARS = 1500
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Work:
    """What was reached so far."""

    saved: Saved
    named_by: str
    summaries: dict[int, Summary] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    waiting: str = ""


class AddKnowledge:
    """Stores knowledge in the memory folder, with a model's summaries where one can be had."""

    name = "add_knowledge"
    description = "Save text, uploads or files as new knowledge, with a summary"
    category = "memory"
    tags: tuple[str, ...] = ("knowledge", "remember", "save")

    async def run(self, request: ActionRequest, tools: Tools) -> ActionResult:
        """Save what was given, then let a model summarise and name it.

        ``data`` is ``{filename, path, sources: [{name, origin, summary?}], named_by, summary?,
        problems?, missing?, enrichment?}``; the last is the id under which its summary waits.

        Raises:
            InvalidInput: There is nothing to save.
            TooLarge: It is more than one file may hold.
            StorageError: The disk refused; nothing was saved.
        """
        _refuse_empty(request)
        given = safe_file_name(request.filename or "")
        text = await asyncio.to_thread(render_knowledge, request, {})
        saved = await tools.add_text(given or f"{fallback_name(request)}.md", text)
        work = _Work(saved, "person" if given else "content")
        model = Summariser(tools)
        try:
            await _summarise(request, tools, model, work.summaries)
        finally:
            # Also when stopped: a summary that was paid for is worth one more write.
            await _finish(request, tools, work)
        if not given:
            await _rename(request, tools, model, work)
        if not model.alive:
            await _leave_for_later(request, tools, work)
        return _result(request, work, model)


def _refuse_empty(request: ActionRequest) -> None:
    if request.text.strip() or any(source.content.strip() for source in request.sources):
        return
    missing = f" Not available: {'; '.join(request.missing)}." if request.missing else ""
    raise InvalidInput(
        "There is nothing to save: type some text behind /add_knowledge, attach a file, or name "
        f"one with @.{missing}",
        code="nothing_to_save",
    )


async def _summarise(
    request: ActionRequest, tools: Tools, model: Summariser, summaries: dict[int, Summary]
) -> None:
    """Fill ``summaries`` one by one, so that what was reached survives an interruption."""
    for key, (name, text) in _wanted(request, tools).items():
        summary = await model.summarise(name, text)
        if summary is not None:
            summaries[key] = summary
        if not model.alive:
            return


def _wanted(request: ActionRequest, tools: Tools) -> dict[int, tuple[str, str]]:
    """Names and texts that are to be summarised, by position of the source, or ``TYPED``."""
    texts = {
        position: (source.name, source.content)
        for position, source in enumerate(request.sources)
        if source.origin == "upload" and source.content.strip()
    }
    if len(request.text.strip()) > tools.settings.summary_min_chars:
        texts = {TYPED: (knowledge_title(request), request.text), **texts}
    return texts


async def _leave_for_later(request: ActionRequest, tools: Tools, work: _Work) -> None:
    """Only the summaries: the name stays, since the person may refer to it by now."""
    wanted = _wanted(request, tools)
    if work.problems or wanted.keys() <= work.summaries.keys():
        return
    text = await asyncio.to_thread(render_knowledge, request, work.summaries)
    recipe = await asyncio.to_thread(make_recipe, request, wanted, work.summaries, text)
    if recipe is not None:
        work.waiting = await tools.enrich_later(work.saved, recipe_json(recipe))


async def _finish(request: ActionRequest, tools: Tools, work: _Work) -> None:
    if not work.summaries:
        return
    text = await asyncio.to_thread(render_knowledge, request, work.summaries)
    try:
        work.saved = await tools.replace_text(work.saved, text)
    except SgopedError as error:
        _log.warning("the summary of a saved text could not be written: %s", error.code)
        work.problems.append(f"the summary could not be added: {error.message}")


async def _rename(request: ActionRequest, tools: Tools, model: Summariser, work: _Work) -> None:
    name = await model.name(_preview(request, work.summaries))
    if not name or f"{name}.md" == work.saved.path:
        return
    try:
        work.saved = await tools.rename(work.saved, f"{name}.md")
        work.named_by = "model"
    except SgopedError as error:
        _log.warning("a saved text could not be renamed: %s", error.code)


def _preview(request: ActionRequest, summaries: Mapping[int, Summary]) -> str:
    parts = [summary.text for summary in summaries.values()]
    parts += [request.text] if request.text.strip() else []
    parts += [f"{source.name}: {source.content[:_PREVIEW_CHARS]}" for source in request.sources]
    return "\n\n".join(part[:_PREVIEW_CHARS] for part in parts[:8])


def _result(request: ActionRequest, work: _Work, model: Summariser) -> ActionResult:
    sources: list[dict[str, Any]] = []
    for position, source in enumerate(request.sources):
        item = {"name": source.name, "origin": source.origin}
        if position in work.summaries:
            item["summary"] = work.summaries[position].text
        sources.append(item)
    data: dict[str, Any] = {
        "filename": work.saved.path.rpartition("/")[2],
        "path": work.saved.path,
        "sources": sources,
        "named_by": work.named_by,
    }
    if work.summaries:
        data["summary"] = "\n\n".join(summary.text for summary in work.summaries.values())
    if work.problems:
        data["problems"] = work.problems
    if work.waiting:
        data["enrichment"] = work.waiting
    if request.missing:
        data["missing"] = list(request.missing)
    text = _confirmation(request, work)
    return ActionResult(data, text, _prompt(text) if model.alive else None)


def _confirmation(request: ActionRequest, work: _Work) -> str:
    count = len(request.sources)
    held = f" with {count} source{'s' if count != 1 else ''}" if count else ""
    told = " and a summary" if held and work.summaries else ""
    told = told or (" with a summary" if work.summaries else "")
    lines = [f"Saved as {work.saved.path}{held}{told}."]
    lines += ["Its summary follows when a model answers."] if work.waiting else []
    lines += [f"Note: {problem}." for problem in work.problems]
    lines += [f"Not available: {name}." for name in request.missing]
    return "\n".join(lines)


def _prompt(text: str) -> str:
    return (
        f"{MATERIAL_RULE}\n\nThis has just been done for the person you talk to:\n\n{fenced(text)}"
        "\n\nTell them so in one or two short sentences, with the exact name of the file and "
        "every note."
    )
