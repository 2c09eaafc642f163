"""What a person typed behind ``@``, taken apart once for all stages of the search; pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from sgoped.memory.document import shown
from sgoped.memory.words import fold, joined, query_tokens

MAX_CHARS = 512

_WORD = re.compile(r"[^\s/]+")
_DOT = re.compile(r"(?:^|[\s/])\.")


class PathQuery(NamedTuple):
    """A query for paths.

    Attributes:
        text: All of it, folded.
        tight: Its letters and digits alone: ``foo.test`` is ``footest``.
        tokens: Its words, as ``words.query_tokens`` gives them; the dot alone where only that was
            typed; empty when there is none.
        dotted: Where a word begins with a dot, so that hidden files may be meant: such words whole,
            and the tokens of the others; else empty.
    """

    text: str
    tight: str
    tokens: tuple[str, ...]
    dotted: tuple[str, ...] = ()

    @property
    def letters(self) -> int:
        """How many characters count."""
        return sum(map(len, self.tokens))


def parse_path_query(typed: str) -> PathQuery:
    """Take ``typed`` apart; what is longer than ``MAX_CHARS`` is cut."""
    text = fold(shown(typed[:MAX_CHARS])).strip()
    tokens = tuple(query_tokens(text, MAX_CHARS))
    if "." not in text or not _DOT.search(text):
        return PathQuery(text, joined(text), tokens)
    dotted = _dotted(text)
    return PathQuery(text, joined(text), tokens or dotted, dotted)


def _dotted(text: str) -> tuple[str, ...]:
    """``./`` and ``../`` name folders; a dot that comes last may be a name's first character."""
    whole, others = [], []
    for match in _WORD.finditer(text):
        word = match[0]
        if not word.startswith("."):
            others += query_tokens(word)
        elif word != ".." and (word != "." or match.end() == len(text)):
            whole.append(word)
    return (*whole, *others) if whole else ()
