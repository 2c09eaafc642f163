"""What a person typed behind ``@``, taken apart once for all stages of the search; pure."""

from __future__ import annotations

from typing import NamedTuple

from sgoped.memory.words import fold, joined, query_tokens

MAX_CHARS = 512


class PathQuery(NamedTuple):
    """A query for paths.

    Attributes:
        text: All of it, folded.
        tight: Its letters and digits alone: ``foo.test`` is ``footest``.
        tokens: Its words, as ``words.query_tokens`` gives them; empty when there is none.
    """

    text: str
    tight: str
    tokens: tuple[str, ...]

    @property
    def letters(self) -> int:
        """How many characters count."""
        return sum(map(len, self.tokens))


def parse_path_query(typed: str) -> PathQuery:
    """Take ``typed`` apart; what is longer than ``MAX_CHARS`` is cut."""
    text = fold(typed[:MAX_CHARS]).strip()
    return PathQuery(text, joined(text), tuple(query_tokens(text, MAX_CHARS)))
