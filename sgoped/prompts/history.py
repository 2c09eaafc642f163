"""Turns: what was said before in a conversation, as a model is sent it again; pure.

The newest turns are sent whole, as messages. What is older and does not fit is compacted: into a
summary that a model made, or into the first sentences of each turn.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sgoped.llm import Message
from sgoped.prompts.fences import MATERIAL_RULE, estimate_tokens, fenced
from sgoped.prompts.summary import summary_messages

MESSAGE_TOKENS = 8

_EXTRACT_CHARS = 240
_LOOKED_AT_CHARS = 2000
_PROMPT_TOKENS = 400
_MIN_TRANSCRIPT_TOKENS = 24
_SENTENCE_END = re.compile("[.!?\u2026](?=\\s)|[\u3002\uff01\uff1f]")
_MORE = " […]"
_RULE = "What was said earlier in this conversation is shortened below. "

How = Literal["", "model", "sentences"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation.

    Attributes:
        role: Who said it.
        text: What was said, without any thinking.
        paths: The memory files that it referred to, relative to the memory folder.
    """

    role: Literal["user", "assistant"]
    text: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class History:
    """A conversation as a model is sent it.

    Attributes:
        turns: The newest turns, which are sent whole, oldest first.
        summary: What the compacted ones before them became; empty when there are none.
        compacted: How many turns the summary stands for.
        left_out: How many turns before those are not sent in any form.
        how: Whether a ``model`` made the summary or it is the turns' first ``sentences``.
    """

    turns: tuple[Turn, ...] = ()
    summary: str = ""
    compacted: int = 0
    left_out: int = 0
    how: How = ""

    @property
    def tokens(self) -> int:
        """About how many tokens it takes."""
        system = self.system_text()
        return turns_tokens(self.turns) + (
            estimate_tokens(system) + MESSAGE_TOKENS if system else 0
        )

    def system_text(self) -> str:
        """What the system message says of the turns that are not sent whole."""
        gone = f"{self.left_out} messages before that are left out.\n\n" if self.left_out else ""
        if not self.summary:
            return gone
        return f"{_RULE}{MATERIAL_RULE}\n\n{gone}## Earlier\n\n{fenced(self.summary)}"

    def messages(self) -> list[Message]:
        """The whole turns; neighbours of one role become one, as many models demand."""
        messages: list[Message] = []
        for turn in self.turns:
            if messages and messages[-1].role == turn.role:
                joined = f"{messages.pop().content}\n\n{turn.text}"
                messages.append(Message(turn.role, joined))
            else:
                messages.append(Message(turn.role, turn.text))
        return messages


def turns_tokens(turns: Sequence[Turn]) -> int:
    """About how many tokens these turns take as messages."""
    return sum(estimate_tokens(turn.text) + MESSAGE_TOKENS for turn in turns)


def split_history(turns: Sequence[Turn], room_tokens: int) -> int:
    """The index from which on turns fit whole into ``room_tokens``, at a person's message."""
    start = len(turns)
    while start > 0:
        room_tokens -= turns_tokens(turns[start - 1 : start])
        if room_tokens < 0:
            break
        start -= 1
    while start < len(turns) and turns[start].role != "user":
        start += 1
    return start


def summary_room(room_tokens: int) -> int:
    """How much of the room for history a summary may take."""
    return min(1024, room_tokens // 3)


def extract_history(turns: Sequence[Turn], room_tokens: int) -> History:
    """The first sentences of each turn, of the newest ones where not all fit."""
    room = room_tokens - estimate_tokens(_RULE + MATERIAL_RULE) - 4 * MESSAGE_TOKENS
    lines: list[str] = []
    for turn in reversed(turns):
        line = f"{_speaker(turn)}: {first_sentences(turn.text)}"
        room -= estimate_tokens(line) + 1
        if room < 0:
            break
        lines.append(line)
    summary = "\n".join(reversed(lines))
    how: How = "sentences" if lines else ""
    return History((), summary, len(lines), len(turns) - len(lines), how)


def first_sentences(text: str, max_chars: int = _EXTRACT_CHARS) -> str:
    """The beginning of a text, on one line, up to the end of a sentence where there is one."""
    line = " ".join(text[:_LOOKED_AT_CHARS].split())
    if len(line) <= max_chars and len(text) <= _LOOKED_AT_CHARS:
        return line
    head = line[:max_chars]
    ends = [match.end() for match in _SENTENCE_END.finditer(head)]
    return head[: ends[-1] if ends else len(head)] + _MORE


def summarise_history(
    turns: Sequence[Turn], before: str, window_tokens: int, max_tokens: int
) -> tuple[tuple[Message, ...], int]:
    """Ask a model for a summary of turns, and of the summary of what came before them.

    Long turns are shortened where the whole does not fit the window that the summary is made in;
    where even that is not enough, the oldest are left out.

    Args:
        turns: In order.
        before: The summary of the turns before those; empty for none.
        window_tokens: What prompt and summary may take together.
        max_tokens: How long the summary may be.

    Returns:
        The request, and of how many turns, the newest ones, it tells.
    """
    room = max(0, window_tokens - max_tokens - _PROMPT_TOKENS - estimate_tokens(before))
    most = room // (_MIN_TRANSCRIPT_TOKENS + MESSAGE_TOKENS)
    turns = turns[max(0, len(turns) - most) :]
    share = room // max(1, len(turns)) - MESSAGE_TOKENS
    lines = [f"(What came before, in short) {before}"] if before else []
    lines += [f"{_speaker(turn)}: {_shortened(turn.text, share)}" for turn in turns]
    words = max(40, max_tokens // 2)
    name = f"our conversation so far, in at most {words} words"
    return summary_messages(name, "\n\n".join(lines)), len(turns)


def _shortened(text: str, max_tokens: int) -> str:
    if estimate_tokens(text) <= max_tokens:
        return text
    head = text[: 3 * max_tokens]
    fitting = len(head) * max_tokens // max(1, estimate_tokens(head))
    return head[: max(0, fitting * 3 // 4)] + _MORE


def _speaker(turn: Turn) -> str:
    return "Person" if turn.role == "user" else "Model"
