"""Decides which names are left out because ignore files name them.

``.gitignore`` and ``.sgopedignore`` mean what git says in gitignore(5): they apply to their
directory and below, deeper files before shallower ones, the last matching line of a file wins,
and nothing below an ignored directory can be brought back. In one directory the lines of
``.sgopedignore`` come after those of ``.gitignore`` and so override them. Ignore files outside
the memory folder, links to ignore files, and a user's global git settings do not count.

pathspec translates the lines; matching is our own, because its specs answer for a whole path
at once, while a walk asks about one entry whose parents are known to be kept.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Container, Iterable
from contextlib import suppress
from dataclasses import dataclass

from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from sgoped.memory.beneath import open_file

IGNORE_FILE_NAMES = (".gitignore", ".sgopedignore")
_MAX_FILE_BYTES = 1_000_000
_MAX_PATTERNS = 5_000
_NO_BLANK = "\ue000"
_MAX_LINE_CHARS = 4_096  # as long as a path can be
# How pathspec writes a leading ``**/``, and a ``/**/``; and how the latter is matched lazily.
_ANY_FOLDERS = "^(?:.+/)?"
_GAP = "(?:/.+)?/"
_REGEX_SET = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_SKIPPED = "(?:/[^/]+)*?/"


@dataclass(frozen=True, slots=True)
class _Rule:
    regex: str
    matcher: re.Pattern[str]
    by_name: bool
    whole: bool
    folders_only: bool
    verdict: bool

    def matches(self, name: str, path: str, is_folder: bool) -> bool:
        if self.folders_only and not is_folder:
            return False
        text = name if self.by_name else path
        found = self.matcher.fullmatch(text) if self.whole else self.matcher.search(text)
        return found is not None


class Patterns:
    """The compiled lines that one directory contributes.

    What is beyond ``_MAX_PATTERNS`` of them is not read, nor a line that is longer than a path
    can be, so that an ignore file that came with somebody's repository cannot hold up the rest.
    """

    __slots__ = ("_by_name", "_by_path", "_rules")

    def __init__(self, lines: Iterable[str]) -> None:
        compiled = (rule for line in lines if (rule := _compile(line)) is not None)
        rules = list(itertools.islice(compiled, _MAX_PATTERNS))
        self._rules = tuple(reversed(rules))
        self._by_name = _any_of([rule.regex for rule in rules if rule.by_name])
        self._by_path = not all(rule.by_name for rule in rules)

    def __bool__(self) -> bool:
        """Whether any line says anything."""
        return bool(self._rules)

    def verdict(self, name: str, path: str, *, is_folder: bool) -> bool | None:
        """Whether the entry is ignored (True), kept (False), or not mentioned (None).

        Args:
            name: The entry's name.
            path: Its path from the directory that holds the lines.
            is_folder: Whether it is a directory.
        """
        if not self._by_path and self._by_name is not None and not self._by_name.fullmatch(name):
            return None
        for rule in self._rules:
            if rule.matches(name, path, is_folder):
                return rule.verdict
        return None


class IgnoreRules:
    """What applies to the entries of one directory; false when nothing does. Immutable."""

    __slots__ = ("_levels",)

    def __init__(self, levels: tuple[tuple[int, Patterns], ...] = ()) -> None:
        self._levels = levels

    def __bool__(self) -> bool:
        """Whether any rule applies here."""
        return bool(self._levels)

    def for_directory(self, relative: str, patterns: Patterns) -> IgnoreRules:
        """These rules and those that directory ``relative`` adds."""
        if not patterns:
            return self
        cut = len(relative) + 1 if relative else 0
        return IgnoreRules(((cut, patterns), *self._levels))

    def ignores(self, directory: str, name: str, *, is_folder: bool) -> bool:
        """Whether ``name`` in ``directory`` is ignored, given that ``directory`` is not."""
        path = f"{directory}/{name}" if directory else name
        for cut, patterns in self._levels:
            verdict = patterns.verdict(name, path[cut:], is_folder=is_folder)
            if verdict is not None:
                return verdict
        return False


class IgnoreReader:
    """Reads ignore files; keeps what it compiled for as long as the files stay the same.

    Share one between scans: a batch of changes in one folder then reads its rules once. A
    changed ignore file is noticed at the next scan that passes it.
    """

    def __init__(self, max_cached: int = 1000) -> None:
        self._cache: dict[tuple[int, ...], Patterns] = {}
        self._max_cached = max_cached

    def rules_for(
        self,
        parent: IgnoreRules,
        relative: str,
        dir_fd: int,
        names: Container[str] = IGNORE_FILE_NAMES,
    ) -> IgnoreRules:
        """The rules for the directory open as ``dir_fd``.

        Args:
            parent: The rules of the directory above.
            relative: The directory's path from the memory folder.
            dir_fd: The open directory.
            names: The names it is known to hold, where the caller has listed it.

        An ignore file that cannot be read, is a link, or is larger than 1 MB adds nothing.
        """
        found: list[bytes] = []
        key: tuple[int, ...] = ()
        for name in IGNORE_FILE_NAMES:
            if name in names:
                with suppress(OSError):
                    data, identity = _read(name, dir_fd)
                    found.append(data)
                    key += identity
        if not found:
            return parent
        return parent.for_directory(relative, self._compiled(key, found))

    def _compiled(self, key: tuple[int, ...], found: list[bytes]) -> Patterns:
        patterns = self._cache.get(key)
        if patterns is None:
            if len(self._cache) >= self._max_cached:
                self._cache.clear()
            patterns = self._cache[key] = Patterns(_lines(found))
        return patterns


def _read(name: str, dir_fd: int) -> tuple[bytes, tuple[int, ...]]:
    fd, status = open_file(name, dir_fd)
    with os.fdopen(fd, "rb") as file:
        data = file.read(_MAX_FILE_BYTES + 1)
    if len(data) > _MAX_FILE_BYTES:
        data = b""
    return data, (hash(data), status.st_dev, status.st_ino, status.st_size)


def _lines(files: Iterable[bytes]) -> Iterable[str]:
    for data in files:
        yield from os.fsdecode(data.removeprefix(b"\xef\xbb\xbf")).split("\n")


def _trimmed(line: str) -> str:
    """A line without its trailing spaces, of which an escaped one is none; other blanks stay."""
    end, escaped = 0, False
    for at, character in enumerate(line, start=1):
        if escaped or character != " ":
            end = at
        escaped = character == "\\" and not escaped
    return line[:end]


def _translate_whole(body: str) -> str | None:
    """As ``_translate``, which would trim every blank at the end, and not spaces alone."""
    last = body[-1:]
    if not last.isspace() or last == " ":
        return _translate(body)
    regex = _translate(f"{body[:-1]}{_NO_BLANK}")
    return None if regex is None else regex.replace(_NO_BLANK, re.escape(last))


def _compile(line: str) -> _Rule | None:
    line = line.removesuffix("\r").partition("\0")[0]  # git's lines end there
    text = _trimmed(line) if len(line) <= _MAX_LINE_CHARS else ""
    if not text or text.startswith("#"):
        return None
    negated = text.startswith("!")
    body = text[1:] if negated else text
    folders_only = body.endswith("/")
    # Three stars and more that fill a component mean the same as two.
    body = re.sub(r"(?<![^/])\*{3,}(?![^/])", "**", body.removesuffix("/"))
    body = re.sub(r"^(/?\*\*/)+", "**/", body)
    if body.startswith("**/") and "/" not in body[3:]:
        body = body[3:]
    if not body.strip("/"):
        return None
    by_name = "/" not in body
    if by_name and not body.strip("*"):
        body = "*"
    whole = not body.endswith("/**")
    regex = _translate_whole(f"/{body}" if by_name else body)
    if regex is None:
        return None
    try:
        matcher = re.compile(regex, re.DOTALL)
    except re.error:
        return None
    return _Rule(regex, matcher, by_name, whole, folders_only, not negated)


def _translate(pattern: str) -> str | None:
    """A regular expression that takes no more than polynomial time, or None for a bad line.

    As in fnmatch, for what stands between two stars the leftmost match is as good as any other,
    so it need never be reconsidered; and likewise for what stands between two ``/**/``.
    """
    regex: str | None
    try:
        regex, _ = GitIgnoreSpecPattern.pattern_to_regex(pattern)
    except ValueError:
        return None
    if regex is None:
        return None
    regex = _REGEX_SET.sub(_escaped, regex)
    is_anchored = not regex.startswith(_ANY_FOLDERS)
    *middle, last = map(_without_backtracking, regex.removeprefix(_ANY_FOLDERS).split(_GAP))
    if is_anchored:
        if not middle:
            return last
        first, *middle = middle
        return first + "".join(f"(?>{_SKIPPED}{part}(?=/))" for part in middle) + _SKIPPED + last
    parts = [f"(?>{_SKIPPED}{part}(?=/))" for part in middle]
    # The path's beginning counts as the slash that each part stands behind.
    return "^" + "".join([*parts, _SKIPPED, last]).replace(_SKIPPED, "(?:[^/]+/)*?", 1)


def _escaped(found: re.Match[str]) -> str:
    """A set with what Python reserves in sets escaped, which it would warn of."""
    text = found[0]
    if text.startswith("\\"):
        return text
    return text[0] + re.sub(r"[\[&~|]", r"\\\g<0>", text[1:]).replace("--", "-\\-")


def _without_backtracking(regex: str) -> str:
    stars = regex.split("[^/]*")
    if len(stars) <= 2:  # noqa: PLR2004 - one star cannot backtrack into another
        return regex
    first, *middle, last = stars
    return first + "".join(f"(?>[^/]*?{part})" for part in middle) + "[^/]*" + last


def _any_of(regexes: list[str]) -> re.Pattern[str] | None:
    """One pattern for a quick look; None when there is none, or they do not combine."""
    anonymous = [re.sub(r"\(\?P<\w+>", "(?:", regex) for regex in regexes]
    try:
        return re.compile("|".join(f"(?:{regex})" for regex in anonymous), re.DOTALL)
    except re.error:
        return None
