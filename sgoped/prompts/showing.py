"""Showing: one source within its share of a window: whole, or its outline and some lines; pure.

What is sent is told line by line in the ``ContextItem``; what is not, in words, to the model too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from sgoped.prompts.fences import estimate_tokens, fenced, one_line
from sgoped.prompts.numbering import block_tokens, numbered_block
from sgoped.prompts.passages import (
    PIECE_CHARS,
    Piece,
    line_pieces,
    outline,
    rank_pieces,
)
from sgoped.prompts.sources import (
    ContextItem,
    ContextSource,
    CutLine,
    Lines,
    count_lines,
    range_words,
)

MIN_SHARE_TOKENS = 200

_HEADING_TOKENS = 60
_PASSAGE_TOKENS = 16
_MIN_PIECE_CHARS = 120
_OUTLINE_ENTRY_TOKENS = 18
_MAX_OUTLINE_ENTRIES = 60
_MAX_RANGES = 12
_MAX_MISSES = 20

WHOLE = "whole: it fits"
BEST = "the passages that fit the message best"
BEGINNING = "its beginning: no passage fits"
FOUND = "lines found in memory by the words of the message"
NO_ROOM = "no room in the model's window"


@dataclass(frozen=True, slots=True)
class Shown:
    """A source as it is sent; ``text`` is empty when nothing of it is."""

    item: ContextItem
    text: str


def needed_tokens(source: ContextSource) -> int:
    """About how many tokens all that is wanted of a source takes."""
    if source.only:
        pieces = line_pieces(source.content, source.only)
        blocks = sum(_cost(source.content, piece) for piece in pieces)
        return max(MIN_SHARE_TOKENS, blocks + estimate_tokens(_title(source)) + 2 * _HEADING_TOKENS)
    heading = estimate_tokens(_title(source)) + _PASSAGE_TOKENS
    return block_tokens(source.content, 1, count_lines(source.content)) + heading


def show_source(
    source: ContextSource, share: int, terms: Sequence[str], should_stop: Callable[[], bool]
) -> Shown:
    """Make what a model is sent of a source within ``share`` tokens.

    Args:
        source: The source.
        share: What its whole section may take.
        terms: The question's, see ``question_terms``.
        should_stop: Once true, what is returned is of no use to anybody.
    """
    total = count_lines(source.content)
    item = ContextItem(
        source.name, source.path, source.origin, (), total, 0, source.why, "", NO_ROOM
    )
    if share >= needed_tokens(source) and not source.only:
        heading = f"## {_title(source)}, whole, {total} line{'' if total == 1 else 's'}"
        text = f"{heading}\n\n{numbered_block(source.content, 1)}"
        lines = ((1, total),) if total else ()
        whole = replace(item, lines=lines, tokens=estimate_tokens(text), chosen=WHOLE)
        return Shown(whole, text)
    if share < MIN_SHARE_TOKENS or should_stop():
        return _left_out(source, item)
    return _show_parts(source, item, share, terms, should_stop)


def _left_out(source: ContextSource, item: ContextItem) -> Shown:
    omitted = f"all {item.total_lines} lines (about {estimate_tokens(source.content)} tokens)"
    return Shown(replace(item, omitted=omitted), "")


def _show_parts(
    source: ContextSource,
    item: ContextItem,
    share: int,
    terms: Sequence[str],
    should_stop: Callable[[], bool],
) -> Shown:
    heading = f"## {_title(source)}, parts of its {item.total_lines} lines"
    entries = [] if source.only else outline(source.content, _outline_entries(share), should_stop)
    fixed = _parts_text(source.content, heading, entries, [], "")
    room = share - estimate_tokens(fixed) - _HEADING_TOKENS
    if source.only:
        best, chosen = _fitting(source, line_pieces(source.content, source.only), room), FOUND
    else:
        best, chosen = _choose(source, terms, room, should_stop)
    if not best:
        return _left_out(source, item)
    while True:
        pieces = _joined(sorted(best, key=lambda piece: piece.start))
        told = _told(source.content, item, pieces, entries)
        text = _parts_text(source.content, heading, entries, pieces, told.omitted)
        tokens = estimate_tokens(text)
        if tokens <= share:
            return Shown(replace(told, tokens=tokens, chosen=chosen), text)
        best.pop()
        if not best:
            return _left_out(source, item)


def _parts_text(
    text: str, heading: str, entries: Sequence[str], pieces: Sequence[Piece], omitted: str
) -> str:
    blocks = [heading]
    if entries:
        blocks.append("Outline, with line numbers:\n" + fenced("\n".join(entries)))
    for piece in pieces:
        passage = text[piece.start : piece.end]
        label = _label(text, piece)
        blocks.append(f"{label}:\n{numbered_block(passage, piece.line_start)}")
    if omitted:
        blocks.append(f"Not shown of this source: {omitted}.")
    return "\n\n".join(blocks)


def _label(text: str, piece: Piece) -> str:
    """Which lines a passage is, and which characters of a line that is not whole."""
    words = range_words((piece.line_start, piece.line_end))
    cut = cut_lines(text, piece)
    if not cut:
        return f"{words[0].upper()}{words[1:]}"
    parts = [f"characters {first}-{last} of line {line}" for line, first, last in cut]
    return f"{words[0].upper()}{words[1:]}, only {' and '.join(parts)}"


def _told(
    text: str, item: ContextItem, pieces: Sequence[Piece], entries: Sequence[str]
) -> ContextItem:
    """The account of the chosen pieces; ``omitted`` says which lines are in none of them."""
    lines = tuple(merged(found for piece in pieces if (found := _whole_lines(text, piece))))
    cut = tuple(line for piece in pieces for line in cut_lines(text, piece))
    shown = sum(piece.end - piece.start for piece in pieces)
    total = item.total_lines
    if shown < len(text):
        tokens = estimate_tokens(text) * (len(text) - shown) // max(1, len(text))
        omitted = f"{_gaps(lines, cut, total)} of {total} (about {tokens} tokens)"
    else:
        omitted = ""
    numbers = tuple(int(entry.partition(":")[0]) for entry in entries)
    return replace(item, lines=lines, cut_lines=cut, outline_lines=numbers, omitted=omitted)


def cut_lines(text: str, piece: Piece) -> list[CutLine]:
    """The lines of a piece that are not whole in it, with the characters that are."""
    starts_inside = piece.start > 0 and text[piece.start - 1] != "\n"
    ends_inside = piece.end < len(text) and text[piece.end - 1] != "\n"
    cut: list[CutLine] = []
    if starts_inside:
        line_end = text.find("\n", piece.start, piece.end)
        end = piece.end if line_end < 0 else line_end
        begin = text.rfind("\n", 0, piece.start) + 1
        cut.append((piece.line_start, piece.start - begin + 1, max(end, piece.start + 1) - begin))
    if ends_inside and (not starts_inside or piece.line_end > piece.line_start):
        begin = text.rfind("\n", 0, piece.end) + 1
        cut.append((piece.line_end, 1, piece.end - begin))
    return cut


def _whole_lines(text: str, piece: Piece) -> Lines | None:
    cut = {line for line, _, _ in cut_lines(text, piece)}
    first = piece.line_start + (piece.line_start in cut)
    last = piece.line_end - (piece.line_end in cut)
    return (first, last) if first <= last else None


def merged(ranges: Iterable[Lines]) -> list[Lines]:
    """Ascending ranges with those joined that touch or overlap."""
    joined: list[Lines] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined


def _gaps(lines: Sequence[Lines], cut: Sequence[CutLine], total: int) -> str:
    seen = merged([*lines, *((line, line) for line, _, _ in cut)])
    edges = [(0, 0), *seen, (total + 1, total + 1)]
    gaps = [
        (before[1] + 1, after[0] - 1)
        for before, after in pairwise(edges)
        if after[0] - before[1] > 1
    ]
    words = [range_words(gap) for gap in gaps[:_MAX_RANGES]]
    if len(gaps) > _MAX_RANGES:
        words.append(f"{len(gaps) - _MAX_RANGES} more ranges")
    if cut:
        words.append("parts of long lines")
    return ", ".join(words)


def _fitting(source: ContextSource, pieces: Sequence[Piece], room: int) -> list[Piece]:
    fitting: list[Piece] = []
    for piece in pieces:
        cost = _cost(source.content, piece)
        if cost <= room:
            room -= cost
            fitting.append(piece)
    return fitting


def _choose(
    source: ContextSource, terms: Sequence[str], room: int, should_stop: Callable[[], bool]
) -> tuple[list[Piece], str]:
    """The pieces that fit into ``room``, best first, and how they were chosen."""
    text = source.content
    max_chars = min(PIECE_CHARS, max(_MIN_PIECE_CHARS, room))
    limit = max(0, room) // _PASSAGE_TOKENS + _MAX_MISSES
    ranked = rank_pieces(text, terms, max_chars, limit, should_stop)
    matched = bool(ranked) and ranked[0][0] > 0
    chosen: list[Piece] = []
    misses = 0
    for _, piece in ranked:
        cost = _cost(text, piece)
        if cost > room:
            misses += 1
        else:
            room -= cost
            chosen.append(piece)
        if misses > _MAX_MISSES or should_stop():
            break
    return chosen, BEST if matched else BEGINNING


def _cost(text: str, piece: Piece) -> int:
    passage = text[piece.start : piece.end]
    return block_tokens(passage, piece.line_start, piece.line_end) + _PASSAGE_TOKENS


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    joined: list[Piece] = []
    for piece in pieces:
        if joined and joined[-1].end == piece.start:
            last = joined.pop()
            joined.append(Piece(last.start, piece.end, last.line_start, piece.line_end))
        else:
            joined.append(piece)
    return joined


def _outline_entries(share: int) -> int:
    return min(_MAX_OUTLINE_ENTRIES, share // 5 // _OUTLINE_ENTRY_TOKENS)


def _title(source: ContextSource) -> str:
    name = one_line(source.path or source.name)
    return f"{name} ({'memory file' if source.origin == 'memory' else 'upload'})"
