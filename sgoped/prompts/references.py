"""References: where a message says ``@name``, and which name it says; pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

_MAX_REFERENCES = 100
_MAX_CANDIDATES = 10_000

_QUOTED = re.compile(r'@"([^"\n]{1,1000})"')
_WIDE = (
    "\u3001\u3002\u300c\u300d\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f"  # full-width punctuation
)
_BARE = re.compile(rf"@(?!@)([^\s\"'`<>|,;{_WIDE}]{{1,1000}})")
_BEFORE_EMAIL = re.compile(r"[\w.+\-/@]")
_CONTINUES = re.compile(r"[\w/\-]|\.\w")
_TRAILING = ".:!?…*"
_CLOSERS = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True, slots=True)
class Reference:
    """A place in a text that names a file.

    Attributes:
        name: A label, a path or an id, as written, without ``@`` and quotes.
        start: Index of the ``@``.
        end: Index behind the reference.
    """

    name: str
    start: int
    end: int


def find_references(text: str, known: Collection[str] = ()) -> list[Reference]:
    """Find what ``text`` refers to, in order, each name once.

    ``@notes.md``, ``@src/foo-bar.py`` and ``@"my file.md"`` are references; spaces need the
    quotes. Trailing punctuation belongs to the sentence: ``see @a.md.`` and ``(@a.md)`` name
    ``a.md``, ``@a(1).md`` keeps its brackets. An ``@`` behind a word is an e-mail address and
    one alone is only an at sign.

    Args:
        text: What a person typed; of any length, though at most 100 names are returned.
        known: Labels that are certainly meant where they stand behind an ``@`` (attachments
            sent along), which then may have spaces without quotes. The longest one wins.
    """
    labels = sorted((label for label in known if label), key=len, reverse=True)
    found: dict[str, Reference] = {}
    at = text.find("@")
    for _ in range(_MAX_CANDIDATES):
        if at < 0 or len(found) >= _MAX_REFERENCES:
            break
        reference = _reference_at(text, at, labels)
        if reference is not None:
            found.setdefault(reference.name, reference)
        at = text.find("@", at + 1 if reference is None else reference.end)
    return list(found.values())


def _reference_at(text: str, at: int, labels: list[str]) -> Reference | None:
    if at and _BEFORE_EMAIL.match(text[at - 1]):
        return None
    for label in labels:
        if text.startswith(label, at + 1) and not _continues(text, at + 1 + len(label)):
            return Reference(label, at, at + 1 + len(label))
    quoted = _QUOTED.match(text, at)
    if quoted is not None:
        name = quoted.group(1)
        return Reference(name, at, quoted.end()) if name.strip() else None
    bare = _BARE.match(text, at)
    name = _without_punctuation(bare.group(1)) if bare is not None else ""
    return Reference(name, at, at + 1 + len(name)) if name else None


def _continues(text: str, end: int) -> bool:
    """Whether a longer name goes on at ``end``; scripts without spaces go on with the sentence."""
    if _CONTINUES.match(text, end) is None:
        return False
    return not (unicodedata.category(text[end]) == "Lo" and text[end - 1].isascii())


def _without_punctuation(name: str) -> str:
    while name:
        last = name[-1]
        opener = _CLOSERS.get(last)
        unbalanced = opener is not None and name.count(last) > name.count(opener)
        if not unbalanced and last not in _TRAILING:
            break
        name = name[:-1]
    return name
