"""Retrieving: passages of memory that bear on a message which does not refer to them.

Only what is in the index of contents is found, so nothing hidden or ignored ever is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sgoped.errors import SgopedError
from sgoped.memory import Memory, Passage
from sgoped.prompts import ContextSource, Lines, question_terms

MAX_FILES = 6
MAX_PASSAGES = 12
MAX_PASSAGES_PER_FILE = 3

_PASSAGE_LINES = 12
_LINES_AROUND = 4
_QUERY_CHARS = 500
_CONVINCING_SHARE = 0.5
_STEM_CHARS = 4
_MIN_WORDS = 2
_MIN_LONG_QUESTION = 3


async def retrieve(memory: Memory, message: str, known: Collection[str]) -> Sequence[ContextSource]:
    """The files whose passages answer ``message``, best first, each with the lines that do.

    Args:
        memory: What is searched.
        message: What the person typed.
        known: Paths of files that go along anyway.
    """
    by_path: dict[str, list[Passage]] = {}
    for passage in await _convincing(memory, message):
        if passage.document.shown_path not in known:
            by_path.setdefault(passage.document.id, []).append(passage)
    sources = []
    for document_id, passages in list(by_path.items())[:MAX_FILES]:
        source = await _source(memory, document_id, passages)
        if source is not None:
            sources.append(source)
    return sources


async def _convincing(memory: Memory, message: str) -> Sequence[Passage]:
    """Passages near to the best one, of which each has several of the words if there are many."""
    try:
        passages = await memory.search(
            message[:_QUERY_CHARS],
            MAX_PASSAGES,
            per_file=MAX_PASSAGES_PER_FILE,
            max_lines=_PASSAGE_LINES,
        )
    except SgopedError:
        return ()
    wanted = _MIN_WORDS if len(question_terms(message)) >= _MIN_LONG_QUESTION else 1
    best = max((passage.score for passage in passages), default=0.0)
    return [
        passage
        for passage in passages
        if passage.score >= _CONVINCING_SHARE * best and _words(passage) >= wanted
    ]


def _words(passage: Passage) -> int:
    """How many different words of the message a passage has."""
    words = (passage.snippet[start:end].casefold() for start, end in passage.matches)
    return len({word[:_STEM_CHARS] for word in words})


async def _source(
    memory: Memory, document_id: str, passages: Sequence[Passage]
) -> ContextSource | None:
    try:
        file = await memory.read_text(document_id)
    except SgopedError:  # gone or changed since it was found
        return None
    document = passages[0].document
    ranges = sorted(
        (max(1, passage.line_start - _LINES_AROUND), passage.line_end + _LINES_AROUND)
        for passage in passages
    )
    only: list[Lines] = []
    for first, last in ranges:
        if only and first <= only[-1][1] + 1:
            only[-1] = (only[-1][0], max(only[-1][1], last))
        else:
            only.append((first, last))
    return ContextSource(
        memory.label(document),
        file.content,
        "memory",
        document.shown_path,
        "retrieved",
        tuple(only),
    )
