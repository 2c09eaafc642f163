"""An answer from memory alone, for when no model can be had: the best passages, with their lines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from sgoped.chat.context import Gathered, run_in_thread
from sgoped.errors import SgopedError
from sgoped.memory import Memory, Passage
from sgoped.prompts import ContextSource, best_passages, fenced, one_line

MAX_PASSAGES = 5
MAX_PASSAGES_PER_SOURCE = 2
MAX_SOURCES = 20

_PASSAGE_CHARS = 600
_QUERY_CHARS = 500


async def recall(
    memory: Memory, question: str, gathered: Gathered, reason: str = ""
) -> AsyncIterator[str]:
    """Yield an answer made of passages, piece by piece; opens by saying that no model answers.

    Args:
        memory: What is searched.
        question: What the person typed.
        gathered: What they sent along; its passages come first.
        reason: Why there is no model, when that is known.
    """
    why = f" ({reason})" if reason else ""
    yield f"No model is available{why}. From your files alone:\n"
    found = 0
    for source in gathered.sources[:MAX_SOURCES]:
        for text in await _from_source(question, source):
            found += 1
            yield text
    for line in (*gathered.missing, *gathered.unknown):
        yield f"\nNot available: {line}\n"
    for note in gathered.notes:
        yield f"\nNote: {note}\n"
    known = {source.path for source in gathered.sources}
    for passage in await _search(memory, question):
        if passage.document.shown_path not in known:
            found += 1
            yield _passage(passage)
    if not found:
        yield "\nNothing in memory speaks of this.\n"


async def _from_source(question: str, source: ContextSource) -> Sequence[str]:
    passages = await run_in_thread(
        lambda _: best_passages(question, source, MAX_PASSAGES_PER_SOURCE, _PASSAGE_CHARS)
    )
    name = source.path or source.name
    return [_block(name, first, last, text) for (first, last), text in passages]


async def _search(memory: Memory, question: str) -> Sequence[Passage]:
    try:
        return await memory.search(question[:_QUERY_CHARS], MAX_PASSAGES)
    except SgopedError:
        return ()


def _passage(passage: Passage) -> str:
    path = passage.document.shown_path
    return _block(path, passage.line_start, passage.line_end, passage.snippet)


def _block(name: str, first: int, last: int, text: str) -> str:
    lines = f"{first}" if first == last else f"{first}-{last}"
    return f"\n{one_line(name)}:{lines}\n{fenced(text)}\n"
