"""Citations: the places that an answer names, and whether these were really sent; pure.

A model is asked for ``[path:line]`` and writes many things that are meant so: ``[a.md:12-14]``,
``[a.md:L12-L14]``, ``[a.md, lines 12-14]``, with backticks, several in one pair of brackets, a
base name instead of the path. All of these are understood. Code blocks are not looked into, where
``[a:1]`` is a slice; Markdown's links and footnotes are no citations.

Every pattern is tried on a bounded text and cannot backtrack far: answers may be hostile.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from sgoped.prompts.fences import one_line
from sgoped.prompts.showing import merged
from sgoped.prompts.sources import ContextItem, Lines

MAX_CITATIONS = 500
MAX_ANSWER_CHARS = 2**20

NO_SUCH_FILE = "no such file was sent"
NOT_SENT = "these lines were not sent"
SEVERAL = "several files that were sent are called so"

_MAX_BRACKETS = 5000
_MAX_PLACES = 5000
_MAX_BLOCKS = 10_000
_MAX_PLACE_CHARS = 80
_MAX_INSIDE_CHARS = 400
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})", re.MULTILINE)
_BRACKETS = re.compile(
    rf"\[(?:[^\[\]\n]|\[[^\[\]\n]{{0,80}}+\]){{1,{_MAX_INSIDE_CHARS}}}+\](?!\()"
    rf"|【[^【】\n]{{1,{_MAX_INSIDE_CHARS}}}+】"
)
_INNER = re.compile(r"\[[^\[\]\n]+\](?!\()")
_SEPARATORS = re.compile(r"[;,]")
_NUMBERS = r"(\d{1,15})(?:\s{0,3}(?:-|\u2013|\u2014|\.\.|to)\s{0,3}(?:lines?\s{0,3}|L)?(\d{1,15}))?"
_PLACE = re.compile(
    rf"(?:[:#,(]\s{{0,3}}|\s{{1,3}}\(?)(?:lines?\.?\s{{0,3}}|L{{1,2}}\.?\s{{0,3}})?{_NUMBERS}\s{{0,3}}\)?$",
    re.IGNORECASE,
)
_NUMBERS_ONLY = re.compile(rf"(?:lines?\.?\s{{0,3}}|and\s|L)?{_NUMBERS}", re.IGNORECASE)
_COLUMN = re.compile(r":(\d{1,9})$")
_LETTER = re.compile(r"[^\W\d_]")
_FILE_NAME = re.compile(r"[^\s].*\.[a-z][a-z0-9]{0,7}", re.IGNORECASE)
_WRAPPERS = " \t`*_\"'<>"


@dataclass(frozen=True, slots=True)
class FoundCitation:
    """A place that an answer names.

    Attributes:
        text: As the answer has it, brackets included.
        path: The file's path; empty where none is meant that was sent, and for an upload.
        name: The source's name, or what the answer calls it.
        line_start: First line, from 1; None where the answer names none.
        line_end: Last line.
        reason: Why it is not what was sent; empty when it is.
    """

    text: str
    path: str
    name: str
    line_start: int | None
    line_end: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class _Place:
    name: str
    lines: Lines | None


def find_citations(answer: str, items: Sequence[ContextItem]) -> list[FoundCitation]:
    """The places that ``answer`` names, each once, in its order; at most ``MAX_CITATIONS``.

    Args:
        answer: What a model wrote; of longer ones the first ``MAX_ANSWER_CHARS`` are read.
        items: What it was sent, or what was left out of that.
    """
    sent = _Sent(items)
    found: dict[tuple[str, str, int | None, int | None], FoundCitation] = {}
    budget = _MAX_PLACES
    for inside, text in _bracketed(answer[:MAX_ANSWER_CHARS]):
        for place in islice(_places(inside, sent), budget):
            budget -= 1
            citation = sent.judge(text, place)
            key = (citation.path, citation.name, citation.line_start, citation.line_end)
            found.setdefault(key, citation)
        budget -= inside.count(",")
        if len(found) >= MAX_CITATIONS or budget <= 0:
            break
    return list(found.values())[:MAX_CITATIONS]


class _Sent:
    """What was sent, by all the names that it may be called by."""

    def __init__(self, items: Iterable[ContextItem]) -> None:
        self._exact: dict[str, list[ContextItem]] = {}
        self._loose: dict[str, list[ContextItem]] = {}
        for item in items:
            whole = {item.path, item.name, one_line(item.path), one_line(item.name)}
            for name in whole - {""}:
                self._exact.setdefault(name, []).append(item)
            for name in _endings(whole):
                self._loose.setdefault(name, []).append(item)

    def find(self, name: str) -> list[ContextItem]:
        """All that ``name`` may mean: by path or label, else by the end of the path."""
        plain = name.removeprefix("@").removeprefix("./")
        return self._exact.get(plain) or self._loose.get(_loosely(plain)) or []

    def judge(self, text: str, place: _Place) -> FoundCitation:
        """Whether a place is one that was sent."""
        first, last = place.lines or (None, None)
        candidates = self.find(place.name)
        if not candidates:
            return FoundCitation(text, "", place.name, first, last, NO_SUCH_FILE)
        if len(candidates) > 1:  # uploads, too: two of one name hold different texts
            return FoundCitation(text, "", place.name, first, last, SEVERAL)
        (item,) = candidates
        return FoundCitation(text, item.path, item.name, first, last, _reason(item, place.lines))


def _loosely(name: str) -> str:
    """A name without what makes no difference, such as which way its slashes lean."""
    return name.replace("\\", "/").casefold().strip("/")


def _endings(names: Iterable[str]) -> set[str]:
    """``a/b/c.md`` may be called ``b/c.md`` and ``c.md``, in any case."""
    endings: set[str] = set()
    for name in names:
        parts = _loosely(name).split("/")
        endings.update("/".join(parts[at:]) for at in range(max(0, len(parts) - 32), len(parts)))
    return endings - {""}


def _reason(item: ContextItem, lines: Lines | None) -> str:
    seen = sent_lines(item)
    if lines is None:
        return "" if seen else NOT_SENT
    first, last = lines
    if last > item.total_lines:
        count = item.total_lines
        return f"the file has only {count} line{'' if count == 1 else 's'}"
    return "" if any(start <= first and last <= end for start, end in seen) else NOT_SENT


def sent_lines(item: ContextItem) -> list[Lines]:
    """The ranges of lines of which a model saw anything, those that touch joined."""
    cut = ((line, line) for line, _, _ in item.cut_lines)
    return merged([*item.lines, *cut, *((line, line) for line in item.outline_lines)])


def _bracketed(answer: str) -> Iterator[tuple[str, str]]:
    """What stands in brackets outside of code blocks, without and with them."""
    budget = _MAX_BRACKETS
    for start, end in _prose(answer):
        for match in _BRACKETS.finditer(answer, start, end):
            budget -= 1
            if budget < 0:
                return
            yield match.group()[1:-1], match.group()


def _prose(answer: str) -> Iterator[tuple[int, int]]:
    """The ranges of an answer that are in no fenced code block."""
    start, fence = 0, ""
    for match in islice(_FENCE.finditer(answer), _MAX_BLOCKS):
        mark = match.group(1)
        if not fence:
            yield start, match.start()
            fence = mark
        elif mark[0] == fence[0] and len(mark) >= len(fence) and _ends_line(answer, match.end()):
            start, fence = match.end(), ""
    if not fence:
        yield start, len(answer)


def _ends_line(text: str, at: int) -> bool:
    end = text.find("\n", at)
    return not text[at : len(text) if end < 0 else end].strip()


def _places(inside: str, sent: _Sent) -> Iterator[_Place]:
    """What the text between two brackets names."""
    whole = _place(inside, sent)
    if whole is not None and (sent.find(whole.name) or not _SEPARATORS.search(whole.name)):
        yield whole
        return
    if "[" in inside:
        for match in _INNER.finditer(inside):
            yield from _places(match.group()[1:-1], sent)
        return
    name = ""
    for part in _SEPARATORS.split(inside):
        numbers = _NUMBERS_ONLY.fullmatch(part.strip(_WRAPPERS))
        if numbers and name:
            yield _Place(name, _range(numbers))
            continue
        place = _place(part, sent)
        name = place.name if place is not None else _known(part, sent)
        if place is not None and not (place.lines is None and _followed(inside, part)):
            yield place


def _followed(inside: str, part: str) -> bool:
    """Whether numbers come behind a name, as in ``a.md, lines 3-4``."""
    behind = inside.partition(f"{part},")[2].partition(",")[0]
    return _NUMBERS_ONLY.fullmatch(behind.strip(_WRAPPERS)) is not None


def _known(part: str, sent: _Sent) -> str:
    name = part.strip(_WRAPPERS)
    return name if sent.find(name) else ""


def _place(part: str, sent: _Sent) -> _Place | None:
    """A name with or without lines; None for what is no place in a file."""
    text = part.strip(_WRAPPERS)
    if not text or "://" in text or text.startswith("^"):
        return None
    if sent.find(text):
        return _Place(text, None)
    match = _PLACE.search(text, max(0, len(text) - _MAX_PLACE_CHARS))
    if match is None:
        return _Place(text, None) if _is_file_name(text) and " " not in text else None
    name, lines = text[: match.start()].strip(_WRAPPERS + ",:"), _range(match)
    column = _COLUMN.search(name)
    if column is not None and not sent.find(name) and match.group(2) is None:
        name, line = name[: column.start()], int(column.group(1))
        lines = (line, line)
    return _Place(name, lines) if sent.find(name) or _is_file_name(name) else None


def _is_file_name(name: str) -> bool:
    """Whether a name that is unknown is certainly meant as one of a file."""
    return _FILE_NAME.fullmatch(name) is not None and _LETTER.search(name) is not None


def _range(match: re.Match[str]) -> Lines:
    first = int(match.group(1))
    last = int(match.group(2) or first)
    return (first, last) if first <= last else (last, first)
