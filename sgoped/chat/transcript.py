"""A conversation as a person reads it: its title, and all of it as Markdown; pure.

::

    # Title

    ## You, 2026-03-01 10:00 UTC

    (with plan.md; upload notes.txt)

    ...

    ## local/llama3.2, 2026-03-01 10:00 UTC, stopped

    ...
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from sgoped.actions.knowledge_file import leaves_block_open
from sgoped.prompts import fenced, one_line, snake_name
from sgoped.state import ConversationRow, MessageRow

MAX_AUTOMATIC_TITLE_CHARS = 72

_SCAN_CHARS = 2000
_UNTITLED = "Conversation"
_TOLD = {
    "complete": "",
    "live": ", still being written",
    "cancelled": ", stopped",
    "failed": ", broken off by an error",
    "interrupted": ", interrupted by the end of sgoped",
}


def title_of(message: str, uploads: Sequence[str] = ()) -> str:
    """A title for the conversation that a message begins: its first words, on one line."""
    words = one_line(message[:_SCAN_CHARS]).split() or one_line(", ".join(uploads)).split()
    title = " ".join(words)
    if len(title) <= MAX_AUTOMATIC_TITLE_CHARS:
        return title or _UNTITLED
    cut = title[:MAX_AUTOMATIC_TITLE_CHARS]
    return f"{cut.rpartition(' ')[0] or cut}…"


def export_name(title: str) -> str:
    """A safe file name made from a title."""
    return f"{snake_name(f'{title} ') or 'conversation'}.md"


def render_transcript(conversation: ConversationRow, messages: Sequence[MessageRow]) -> str:
    """The whole conversation as Markdown; no message's open code block swallows the next one."""
    blocks = [f"# {one_line(conversation.title)}"]
    for message in messages:
        blocks.append("\n".join(_heading(message)))
        if message.text.strip():
            blocks.append(_body(message.text))
    return "\n\n".join(blocks) + "\n"


def _heading(message: MessageRow) -> list[str]:
    who = "You" if message.role == "user" else one_line(message.model) or "sgoped"
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(message.at))
    lines = [f"## {who}, {when}{_TOLD[message.state]}"]
    along = [one_line(path) for path in message.paths]
    along += [f"upload {one_line(name)}" for name in message.uploads]
    if along:
        lines += ["", f"(with {'; '.join(along)})"]
    return lines


def _body(text: str) -> str:
    return fenced(text, "markdown") if leaves_block_open(text) else text.rstrip("\n")
