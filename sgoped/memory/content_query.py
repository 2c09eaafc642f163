"""What a person asks of the contents: words, "phrases", -exclusions, path: and ext: filters; pure.

Every text is a query. What is none of the forms below is words, and so is whatever is left open:
an unclosed quote, a minus sign alone, ``path:`` with nothing behind it, ``--long-options``.

=====================  ==============================================================
``word``               speaks of it; more words found is better, none is demanded
``"some words"``       holds them in this order, also across line ends
``-word``, ``-"..."``  the file holds it nowhere
``path:part``          its path contains this, in any case; ``path:"with spaces"``
``ext:py,md``          its name ends with one of these; several such filters add up
``-path:``, ``-ext:``  the opposite
=====================  ==============================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MAX_QUERY_CHARS = 2000
MAX_PARTS = 32

_PIECE = re.compile(
    r'(?P<minus>-(?=[^\s-]))?(?:(?P<filter>path|ext):(?="[^"\s][^"]*"|[^\s",]))?'
    r'(?:"(?P<phrase>[^"]*)"|(?P<word>"?[^\s"]+|"))'
)


@dataclass(frozen=True, slots=True)
class ContentQuery:
    """A query, taken apart; every text as it was typed.

    Attributes:
        words: Free text, to be cut into words by the index.
        phrases: Texts whose words must stand in this order.
        excluded: Words and phrases that the file must not hold.
        paths: Each must be part of the path.
        not_paths: None may be part of the path.
        suffixes: The name must end with one of these, if there are any; without the dot.
        not_suffixes: The name may end with none of these.
    """

    words: str = ""
    phrases: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    not_paths: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    not_suffixes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Parts:
    words: list[str] = field(default_factory=list)
    phrases: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    not_paths: list[str] = field(default_factory=list)
    suffixes: list[str] = field(default_factory=list)
    not_suffixes: list[str] = field(default_factory=list)

    def take(self, piece: re.Match[str]) -> None:
        text = piece["word"] if piece["phrase"] is None else piece["phrase"]
        without = piece["minus"] is not None
        if piece["filter"] == "path":
            (self.not_paths if without else self.paths).append(text)
        elif piece["filter"] == "ext":
            (self.not_suffixes if without else self.suffixes).extend(split_suffixes(text))
        elif without:
            self.excluded.append(text)
        elif piece["phrase"] is not None:
            self.phrases.append(text)
        else:
            self.words.append(text)


def split_suffixes(text: str) -> list[str]:
    """``.py, md`` -> ``["py", "md"]``."""
    suffixes = (part.strip().lower().lstrip(".") for part in text.split(","))
    return [suffix for suffix in suffixes if suffix]


def parse_query(text: str, path: str = "", ext: str = "") -> ContentQuery:
    """Take a query apart; never fails.

    Args:
        text: As typed; what lies beyond ``MAX_QUERY_CHARS`` is not read.
        path: One more ``path:`` filter.
        ext: One more ``ext:`` filter.

    At most ``MAX_PARTS`` of each kind are kept.
    """
    parts = _Parts()
    if path:
        parts.paths.append(path)
    parts.suffixes += split_suffixes(ext)
    for piece in _PIECE.finditer(text[:MAX_QUERY_CHARS]):
        parts.take(piece)
    return ContentQuery(
        " ".join(parts.words),
        tuple(parts.phrases[:MAX_PARTS]),
        tuple(parts.excluded[:MAX_PARTS]),
        tuple(parts.paths[:MAX_PARTS]),
        tuple(parts.not_paths[:MAX_PARTS]),
        tuple(parts.suffixes[:MAX_PARTS]),
        tuple(parts.not_suffixes[:MAX_PARTS]),
    )
