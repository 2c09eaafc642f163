"""Compaction: a conversation made to fit, with a summary of what is older, kept for the next turn."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from sgoped.errors import ServiceError
from sgoped.llm import ModelChoice
from sgoped.prompts import (
    History,
    Turn,
    estimate_tokens,
    extract_history,
    split_history,
    summarise_history,
    summary_room,
    without_thoughts,
)

COMPACTION_SECONDS = 20.0
MAX_KEPT = 64
MAX_SUMMARY_WINDOW_TOKENS = 32_768

_log = logging.getLogger(__name__)


class Summaries:
    """The summaries of the beginnings of conversations, so that none is made again each turn."""

    def __init__(self, max_kept: int = MAX_KEPT) -> None:
        self._max_kept = max_kept
        self._kept: OrderedDict[bytes, tuple[History, str]] = OrderedDict()

    def longest(self, turns: Sequence[Turn]) -> tuple[int, History] | None:
        """The kept summary of the longest beginning of ``turns``, and how many turns that is."""
        best: tuple[int, bytes] | None = None
        for count, key in enumerate(_keys(turns), start=1):
            if key in self._kept:
                best = (count, key)
        if best is None:
            return None
        self._kept.move_to_end(best[1])
        return best[0], self._kept[best[1]][0]

    def keep(self, turns: Sequence[Turn], summary: History, conversation_id: str = "") -> None:
        """Keep the summary of exactly these turns, until its conversation is forgotten."""
        self._kept[_keys(turns)[-1]] = (summary, conversation_id)
        while len(self._kept) > self._max_kept:
            self._kept.popitem(last=False)

    def forget(self, conversation_id: str) -> None:
        """Keep none of a conversation any more."""
        for key, (_, owner) in list(self._kept.items()):
            if owner == conversation_id:
                del self._kept[key]


async def fit_history(
    turns: Sequence[Turn],
    room_tokens: int,
    choice: ModelChoice,
    summaries: Summaries,
    *,
    conversation_id: str = "",
    seconds: float = COMPACTION_SECONDS,
) -> History:
    """A conversation within ``room_tokens`` estimated tokens.

    The newest turns stay whole. The older ones become a summary, made by ``choice`` and no other
    model, or their first sentences where it fails or takes longer than ``seconds``. To not ask
    for a summary at every turn, what is compacted leaves some room to grow.
    """
    turns = [turn for turn in turns if turn.text.strip()]
    start = split_history(turns, room_tokens)
    if start == 0:
        return History(tuple(turns))
    known = summaries.longest(turns)
    if known is not None:
        fitted = _with_summary(turns, *known)
        if fitted is not None and fitted.tokens <= room_tokens:
            return fitted
    short = summary_room(room_tokens)
    start = split_history(turns, (room_tokens - short) * 2 // 3)
    summary = await _summary(turns[:start], short, choice, known, seconds)
    if summary is not None:
        summaries.keep(turns[:start], summary, conversation_id)
        fitted = _with_summary(turns, start, summary)
        if fitted is not None and fitted.tokens <= room_tokens:
            return fitted
    start = split_history(turns, room_tokens - short)
    summary = extract_history(turns[:start], short)
    summaries.keep(turns[:start], summary, conversation_id)
    return replace(summary, turns=tuple(turns[start:]))


def _with_summary(turns: Sequence[Turn], count: int, summary: History) -> History | None:
    """A summary of the first ``count`` turns with the others whole."""
    rest = turns[count:]
    if rest and rest[0].role != "user":
        return None
    return replace(summary, turns=tuple(rest))


async def _summary(
    turns: Sequence[Turn],
    max_tokens: int,
    choice: ModelChoice,
    known: tuple[int, History] | None,
    seconds: float,
) -> History | None:
    """What the model makes of turns; None where it fails, or writes more than was asked for."""
    count, before = 0, History()
    if known is not None and known[0] <= len(turns) and known[1].how == "model":
        count, before = known
    rest = turns[count:]
    try:
        async with asyncio.timeout(seconds):
            window = min(await choice.context_tokens(), MAX_SUMMARY_WINDOW_TOKENS)
            room = int(window / choice.correction)
            request, told = summarise_history(rest, before.summary, room, max_tokens)
            if not told:
                return None
            text = without_thoughts(await choice.complete(request)).strip()
    except (ServiceError, TimeoutError) as failure:
        _log.info("a conversation is compacted without the model: %s", type(failure).__name__)
        return None
    if not text or estimate_tokens(text) > max_tokens:
        return None
    left_out = before.left_out + len(rest) - told
    return History((), text, len(turns) - left_out, left_out, "model")


def _keys(turns: Sequence[Turn]) -> list[bytes]:
    """A digest for each beginning of ``turns``."""
    digest = hashlib.sha256()
    keys: list[bytes] = []
    for turn in turns:
        text = turn.text.encode("utf-8", "surrogatepass")
        digest.update(f"{turn.role} {len(text)}\n".encode())
        digest.update(text)
        keys.append(digest.digest())
    return keys
