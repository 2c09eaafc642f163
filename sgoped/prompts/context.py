"""Context: files and uploads into the messages a model is sent, within its window; pure.

Small sources go in whole, the rest share what is left evenly: an outline and the passages that
fit the question best, with line numbers. What did not fit is said twice, to the model in the
prompt and to the caller as ``ContextItem``: nothing is cut in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from sgoped.llm import Message
from sgoped.prompts.fences import MATERIAL_RULE, estimate_tokens, fence_for, fenced, one_line
from sgoped.prompts.passages import (
    PIECE_CHARS,
    Piece,
    never,
    outline,
    question_terms,
    rank_pieces,
)

SYSTEM_RULE = (
    "You answer a person's question about files on their own computer. Base the answer on the "
    "files and uploads below where they bear on it, name the file and the line you rely on, and "
    "say so when they do not hold the answer. " + MATERIAL_RULE
)

_MAX_ANSWER_TOKENS = 4096
_HEADING_TOKENS = 60
_PASSAGE_TOKENS = 16
_MIN_SHARE_TOKENS = 160
_MIN_PIECE_CHARS = 120
_OUTLINE_ENTRY_TOKENS = 16
_MAX_OUTLINE_ENTRIES = 60
_MAX_NAMED = 20
_MAX_RANGES = 12
_MAX_MISSES = 20

Origin = Literal["memory", "upload"]
Lines = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ContextSource:
    """A text that a message brings along.

    Attributes:
        name: What a person calls it: a label or the upload's name.
        content: All of its text.
        origin: A memory file or an upload.
        path: Relative to the memory folder; empty for an upload.
    """

    name: str
    content: str
    origin: Origin
    path: str = ""


@dataclass(frozen=True, slots=True)
class ContextItem:
    """What became of one source.

    Attributes:
        name: As in ``ContextSource``.
        path: As in ``ContextSource``.
        origin: As in ``ContextSource``.
        lines: The ranges of lines that the model sees, first and last included, from 1.
        total_lines: How many lines the source has.
        tokens: About how many tokens of the window it takes.
        why: How the lines were chosen.
        omitted: What the model does not see, in words; empty when it sees everything.
    """

    name: str
    path: str
    origin: Origin
    lines: tuple[Lines, ...]
    total_lines: int
    tokens: int
    why: str
    omitted: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is sent, and the account of it.

    Attributes:
        messages: For ``Service.stream``.
        items: One per source, in the order given.
        notes: Things a person should know that belong to no single source.
        tokens: About how many tokens the messages are.
    """

    messages: tuple[Message, ...]
    items: tuple[ContextItem, ...]
    notes: tuple[str, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class _Part:
    item: ContextItem
    text: str


def assemble(
    question: str,
    sources: Sequence[ContextSource],
    *,
    window_tokens: int,
    missing: Sequence[str] = (),
    should_stop: Callable[[], bool] = never,
) -> Prompt:
    """Make the messages for one question.

    A message without sources is sent as it is. The question itself is never cut.

    Args:
        question: What the person typed.
        sources: What goes along; the earlier ones win when not even an outline of all fits.
        window_tokens: The model's window; up to a quarter of it is left for the answer.
        missing: What was referred to and could not be had, one line each.
        should_stop: Asked now and then; once true, the result is of no use to anybody and is
            returned as soon as possible.
    """
    if not sources and not missing:
        return _plain(question, window_tokens)
    gaps = _missing_text(missing)
    fixed = estimate_tokens(SYSTEM_RULE) + estimate_tokens(question) + estimate_tokens(gaps)
    room = window_tokens - min(window_tokens // 4, _MAX_ANSWER_TOKENS) - fixed - _HEADING_TOKENS
    terms = question_terms(question)
    parts = [
        _render(source, share, terms, should_stop)
        for source, share in zip(sources, _shares(sources, room), strict=True)
    ]
    left_out = _left_out_text([part for part in parts if not part.text])
    body = [part.text for part in parts if part.text] + [
        left_out,
        gaps,
        f"## Message\n\n{question}",
    ]
    user = "\n\n".join(text for text in body if text)
    tokens = fixed + sum(part.item.tokens for part in parts) + estimate_tokens(left_out)
    return Prompt(
        messages=(Message("system", SYSTEM_RULE), Message("user", user)),
        items=tuple(part.item for part in parts),
        notes=_size_notes(question, window_tokens),
        tokens=tokens,
    )


def best_passages(
    question: str, source: ContextSource, max_passages: int, max_chars: int
) -> list[tuple[Lines, str]]:
    """The passages of a source that fit a question best, best first, with their lines.

    Without a word in common it is the beginning of the source.
    """
    terms = question_terms(question)
    ranked = rank_pieces(source.content, terms, max_chars, max_passages)
    fitting = [piece for score, piece in ranked if score > 0]
    fitting = fitting or [piece for _, piece in ranked[:1]]
    return [
        ((piece.line_start, piece.line_end), source.content[piece.start : piece.end])
        for piece in fitting
    ]


def _plain(question: str, window_tokens: int) -> Prompt:
    notes = _size_notes(question, window_tokens)
    return Prompt((Message("user", question),), (), notes, estimate_tokens(question))


def _size_notes(question: str, window_tokens: int) -> tuple[str, ...]:
    tokens = estimate_tokens(question)
    if tokens < window_tokens:
        return ()
    note = (
        f"The message alone is about {tokens} tokens, more than the {window_tokens} the model "
        "can hold: the service may cut it or refuse it."
    )
    return (note,)


def _missing_text(missing: Sequence[str]) -> str:
    if not missing:
        return ""
    lines = [f"- {one_line(text)}" for text in missing[:_MAX_NAMED]]
    if len(missing) > _MAX_NAMED:
        lines.append(f"- and {len(missing) - _MAX_NAMED} more")
    return "Referred to, but not available:\n" + "\n".join(lines)


def _left_out_text(parts: Sequence[_Part]) -> str:
    if not parts:
        return ""
    names = [one_line(part.item.name) for part in parts[:_MAX_NAMED]]
    more = f" and {len(parts) - _MAX_NAMED} more" if len(parts) > _MAX_NAMED else ""
    return f"Left out entirely, for want of room: {', '.join(names)}{more}."


def _shares(sources: Sequence[ContextSource], room: int) -> list[int]:
    """Tokens for each source: small ones get all they need, the others divide the rest evenly."""
    needs = [_need(source) for source in sources]
    shares = [0] * len(sources)
    waiting = sorted(range(len(sources)), key=lambda at: needs[at])
    while waiting and needs[waiting[0]] * len(waiting) <= room:
        at = waiting.pop(0)
        shares[at] = needs[at]
        room -= needs[at]
    served = sorted(waiting)[: max(0, room) // _MIN_SHARE_TOKENS]
    for at in served:
        shares[at] = min(needs[at], room // len(served))
    return shares


def _need(source: ContextSource) -> int:
    heading = estimate_tokens(_title(source)) + 2 * len(fence_for(source.content))
    return estimate_tokens(source.content) + heading + _PASSAGE_TOKENS


def _render(
    source: ContextSource, share: int, terms: Sequence[str], should_stop: Callable[[], bool]
) -> _Part:
    total = _count_lines(source.content)
    tokens = estimate_tokens(source.content)
    item = ContextItem(source.name, source.path, source.origin, (), total, 0, "", "")
    if share >= _need(source):
        whole = replace(
            item, lines=((1, total),) if total else (), tokens=share, why="whole: it fits"
        )
        heading = f"## {_title(source)}, whole, {total} line{'' if total == 1 else 's'}"
        return _Part(whole, f"{heading}\n\n{fenced(source.content)}")
    if share < _MIN_SHARE_TOKENS or should_stop():
        left_out = f"all {total} lines (about {tokens} tokens)"
        return _Part(replace(item, why="no room in the model's window", omitted=left_out), "")
    return _render_parts(source, item, share, terms, should_stop)


def _render_parts(
    source: ContextSource,
    item: ContextItem,
    share: int,
    terms: Sequence[str],
    should_stop: Callable[[], bool],
) -> _Part:
    blocks = [f"## {_title(source)}, parts of its {item.total_lines} lines"]
    entries = outline(source.content, _outline_entries(share), should_stop)
    if entries:
        blocks.append("Outline, with line numbers:\n" + fenced("\n".join(entries)))
    room = share - sum(estimate_tokens(block) for block in blocks) - _HEADING_TOKENS
    chosen, why = _choose(source.content, terms, room, should_stop)
    for piece in chosen:
        passage = source.content[piece.start : piece.end]
        blocks.append(f"{_range_words((piece.line_start, piece.line_end))}:\n{fenced(passage)}")
    omitted = _omitted(source.content, chosen, item.total_lines)
    blocks.append(f"Not shown of this source: {omitted}.")
    text = "\n\n".join(blocks)
    lines = tuple((piece.line_start, piece.line_end) for piece in chosen)
    told = replace(item, lines=lines, tokens=estimate_tokens(text), why=why, omitted=omitted)
    return _Part(told, text)


def _choose(
    text: str, terms: Sequence[str], room: int, should_stop: Callable[[], bool]
) -> tuple[list[Piece], str]:
    max_chars = min(PIECE_CHARS, max(_MIN_PIECE_CHARS, room))
    limit = max(0, room) // _PASSAGE_TOKENS + _MAX_MISSES
    ranked = rank_pieces(text, terms, max_chars, limit, should_stop)
    matched = bool(ranked) and ranked[0][0] > 0
    chosen: list[Piece] = []
    misses = 0
    for _, piece in ranked:
        cost = estimate_tokens(fenced(text[piece.start : piece.end])) + _PASSAGE_TOKENS
        if cost > room:
            misses += 1
        else:
            room -= cost
            chosen.append(piece)
        if misses > _MAX_MISSES or should_stop():
            break
    why = "the passages that fit the message best" if matched else "its beginning: no passage fits"
    return _joined(sorted(chosen, key=lambda piece: piece.start)), why


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    joined: list[Piece] = []
    for piece in pieces:
        if joined and joined[-1].end == piece.start:
            last = joined.pop()
            joined.append(Piece(last.start, piece.end, last.line_start, piece.line_end))
        else:
            joined.append(piece)
    return joined


def _omitted(text: str, chosen: Sequence[Piece], total_lines: int) -> str:
    """Say which lines of ``text`` are in none of the chosen pieces."""
    shown = sum(piece.end - piece.start for piece in chosen)
    tokens = estimate_tokens(text) * (len(text) - shown) // max(1, len(text))
    edges = [
        (0, 0),
        *((p.line_start, p.line_end) for p in chosen),
        (total_lines + 1, total_lines + 1),
    ]
    gaps = [
        (before[1] + 1, after[0] - 1)
        for before, after in pairwise(edges)
        if after[0] - before[1] > 1
    ]
    words = [_range_words(gap) for gap in gaps[:_MAX_RANGES]] or ["parts of long lines"]
    if len(gaps) > _MAX_RANGES:
        words.append(f"{len(gaps) - _MAX_RANGES} more ranges")
    return f"{', '.join(words)} of {total_lines} (about {tokens} tokens)"


def _outline_entries(share: int) -> int:
    return min(_MAX_OUTLINE_ENTRIES, share // 5 // _OUTLINE_ENTRY_TOKENS)


def _title(source: ContextSource) -> str:
    name = one_line(source.path or source.name)
    return f"{name} ({'memory file' if source.origin == 'memory' else 'upload'})"


def _range_words(lines: Lines) -> str:
    first, last = lines
    return f"line {first}" if first == last else f"lines {first}-{last}"


def _count_lines(text: str) -> int:
    return text.count("\n") + (bool(text) and not text.endswith("\n"))
