"""Summaries: what a model is asked for a text, its parts, and the whole made of the parts; pure.

Long texts are summarised as map and reduce: every part by itself, then the summaries together.
"""

from __future__ import annotations

from collections.abc import Sequence

from sgoped.llm import Message
from sgoped.prompts.fences import MATERIAL_RULE, fenced, one_line
from sgoped.prompts.passages import split_pieces

_MAX_ANSWER_TOKENS = 1024
_PROMPT_TOKENS = 300
_MIN_PART_CHARS = 600
_RULE = (
    "You summarise texts that a person keeps for later. Write a few sentences or a short list, "
    "in the language of the text, with the names, numbers and decisions that matter, without "
    "any preface. " + MATERIAL_RULE
)


def summary_parts(text: str, window_tokens: int) -> list[str]:
    """Cut ``text`` so that each part, with its prompt and an answer, fits a model's window.

    Args:
        text: Any text; joined, the parts are the text.
        window_tokens: The model's window; a token is taken as three bytes, see
            ``estimate_tokens``.
    """
    answer = min(window_tokens // 4, _MAX_ANSWER_TOKENS)
    room_bytes = (window_tokens - answer - _PROMPT_TOKENS) * 3
    if text.isascii():
        max_chars = room_bytes
    else:
        sample = text[: 1 << 16]
        max_chars = (
            room_bytes * len(sample) // len(sample.encode("utf-8", "surrogatepass")) * 3 // 4
        )
    max_chars = max(_MIN_PART_CHARS, max_chars)
    return [text[piece.start : piece.end] for piece in split_pieces(text, max_chars)]


def summary_messages(name: str, text: str, part: int = 1, parts: int = 1) -> tuple[Message, ...]:
    """Ask for the summary of a text, or of one of its parts (counted from 1)."""
    which = f"part {part} of {parts} of " if parts > 1 else ""
    ask = f"Summarise {which}\u201c{one_line(name)}\u201d:\n\n{fenced(text)}"
    return (Message("system", _RULE), Message("user", ask))


def reduce_messages(name: str, summaries: Sequence[str]) -> tuple[Message, ...]:
    """Ask for one summary made of the summaries of a text's consecutive parts."""
    text = "\n\n".join(f"Part {at}: {summary}" for at, summary in enumerate(summaries, start=1))
    ask = (
        f"These are summaries of the consecutive parts of \u201c{one_line(name)}\u201d. "
        f"Make one summary of the whole of them:\n\n{fenced(text)}"
    )
    return (Message("system", _RULE), Message("user", ask))
