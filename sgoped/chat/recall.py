"""An answer from memory alone, for when no model can be had: the best passages, with their lines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence

from sgoped.chat.context import Gathered, run_in_thread
from sgoped.chat.events import Citation
from sgoped.errors import SgopedError
from sgoped.memory import Memory, Passage
from sgoped.prompts import ContextSource, best_passages, fenced, one_line

MAX_PASSAGES = 5
MAX_PASSAGES_PER_SOURCE = 2
MAX_SOURCES = 20

_PASSAGE_CHARS = 600
_QUERY_CHARS = 500
# A passage that was found shows no more of a line.
_SHOWN_LINE_CHARS = 240


class Recall:
    """Makes one such answer; each passage stands below the place that it cites.

    Attributes:
        citations: The places of the passages up to now.
    """

    def __init__(self, memory: Memory, question: str, gathered: Gathered, reason: str = "") -> None:
        """Prepare an answer.

        Args:
            memory: What is searched.
            question: What the person typed.
            gathered: What they sent along; its passages come first.
            reason: Why there is no model, when that is known.
        """
        self.citations: list[Citation] = []
        self._memory = memory
        self._question = question
        self._gathered = gathered
        self._reason = reason

    async def answer(self) -> AsyncIterator[str]:
        """Yield it piece by piece; it opens by saying that no model answers."""
        why = f" ({self._reason})" if self._reason else ""
        yield f"No model is available{why}. From your files alone:\n"
        sources = [source for source in self._gathered.sources if not source.only]
        for source in sources[:MAX_SOURCES]:
            for text in await self._from_source(source):
                yield text
        for line in self._told(len(sources)):
            yield f"\n{line}\n"
        for passage in await self._search({source.path for source in sources}):
            path = passage.document.shown_path
            lines, text = (passage.line_start, passage.line_end), passage.snippet
            is_cut = any(len(line) >= _SHOWN_LINE_CHARS for line in text.split("\n"))
            yield self._block(path, path, lines, text, is_cut=is_cut)
        if not self.citations:
            yield "\nNothing in memory speaks of this.\n"

    def _told(self, sources: int) -> list[str]:
        gathered = self._gathered
        lines = [f"Not available: {line}" for line in (*gathered.missing, *gathered.unknown)]
        if sources > MAX_SOURCES:
            lines.append(f"Not looked into: {sources - MAX_SOURCES} more files")
        return [*lines, *(f"Note: {note}" for note in gathered.notes)]

    async def _from_source(self, source: ContextSource) -> Sequence[str]:
        def work(_: object) -> list[tuple[tuple[int, int], str, bool]]:
            passages = best_passages(
                self._question, source, MAX_PASSAGES_PER_SOURCE, _PASSAGE_CHARS
            )
            lines = source.content.split("\n")
            return [
                (
                    (first, last),
                    text,
                    lines[first - 1 : last] != text.removesuffix("\n").split("\n"),
                )
                for (first, last), text in passages
            ]

        return [
            self._block(source.path, source.name, lines, text, is_cut=is_cut)
            for lines, text, is_cut in await run_in_thread(work)
        ]

    async def _search(self, known: Collection[str]) -> Sequence[Passage]:
        """The best passages, without those of the files that were looked at already."""
        try:
            passages = await self._memory.search(self._question[:_QUERY_CHARS], MAX_PASSAGES)
        except SgopedError:
            return ()
        return [passage for passage in passages if passage.document.shown_path not in known]

    def _block(
        self, path: str, name: str, lines: tuple[int, int], text: str, *, is_cut: bool
    ) -> str:
        first, last = lines
        words = f"{first}" if first == last else f"{first}-{last}"
        cited = f"[{one_line(path or name)}:{words}]"
        self.citations.append(Citation(cited, path, name, first, last, resolved=True, reason=""))
        note = " (parts of long lines)" if is_cut else ""
        return f"\n{cited}{note}\n{fenced(text)}\n"
