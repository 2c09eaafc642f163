"""Paths that hold what was typed, letter by letter, in the order of where they hold it.

A name that is what was typed comes first, then names that begin so, names of which a word
begins so, names that hold it inside, and folders. Within each sort used files come first, then
the order of the names index decides. Names that many files share wait until distinct ones of
the first sorts are in, but for a few that are exactly what was typed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import MappingProxyType
from typing import NamedTuple

from sgoped.memory.document import Kind
from sgoped.memory.matcher import (
    FOLDER_AND_NAME,
    FOLDER_MIDDLE,
    FOLDER_START,
    NAME_MIDDLE,
    NAME_START,
    NAME_WHOLE,
    NAME_WORD,
    favour,
    score_literal,
)
from sgoped.memory.names import MAX_DISTINCT_NAMESAKES, MAX_GRAM, NameIndex, is_whole
from sgoped.memory.path_query import PathQuery
from sgoped.memory.table import PathTable
from sgoped.memory.uses import Uses
from sgoped.memory.words import fold, joined

# Fetched beyond the limit, because some are shared names or gone by the time they are seen.
SPARE = 6
MAX_SHARED_EXACT = 3
MAX_SCORED = 40
# Sorts of match that have no list of their own.
LISTED_AS = MappingProxyType(
    {NAME_WORD: NAME_START, FOLDER_MIDDLE: FOLDER_START, FOLDER_AND_NAME: FOLDER_START}
)


class Found(NamedTuple):
    """A path that matches, why, and how many paths have its name."""

    pid: int
    path: str
    why: str
    namesakes: int


class LiteralSearch:
    """The literal matches of one query, gathered stage by stage until they suffice."""

    def __init__(
        self, names: NameIndex, table: PathTable, uses: Uses, query: PathQuery, limit: int
    ) -> None:
        self._names = names
        self._table = table
        self._uses = uses
        self._query = query
        self._limit = limit
        # What the index finds for it may only begin alike.
        self._long = len(query.text) > MAX_GRAM
        self._seen: set[int] = set()
        self._distinct: list[Found] = []
        self._shared: list[Found] = []

    def run(self) -> list[Found]:
        """At most ``limit`` matches, best first."""
        used = self._used() if self._uses else {}
        if self._query.dotted:
            self._take_hidden()
        for why, pids in self._stages():
            if used:
                self._take(why, used.pop(why, ()))
            self._take(why, pids)
            if len(self._distinct) >= self._limit:
                break
            if why is NAME_START and len(self._distinct) + len(self._shared) >= self._limit:
                break
        return [*self._distinct, *self._shared][: self._limit]

    def _stages(self) -> Iterator[tuple[str, Iterable[int]]]:
        """Each sort of match with its pids, best sort first; none is searched before it is due."""
        names, query, count = self._names, self._query, self._limit + SPARE
        starts = names.by_start(query.text, count)
        yield NAME_WHOLE, self._exact(starts, count)
        yield NAME_START, starts
        if query.tight:
            yield NAME_START, names.by_tight(query.tight, count)
        if len(query.tokens) > 1:
            self._take_scored()
            return
        token = query.tokens[0]
        yield NAME_MIDDLE, self._holding(token, names.by_middle((token,), 2 * count))
        yield FOLDER_START, names.by_directory(token, count)

    def _exact(self, starts: Sequence[int], count: int) -> list[int]:
        """The names that are just what was typed; they begin so, but a full list may lack some."""
        text = self._query.text
        if len(starts) >= count:
            return self._names.by_exact(text, count)
        names = self._table.names
        return [pid for pid in starts if (name := names[pid]) and is_whole(text, fold(name))]

    def _take(self, why: str, pids: Iterable[int]) -> None:
        candidate, seen, limit = self._table.shown_candidate, self._seen, self._limit
        distinct, shared = self._distinct, self._shared
        for pid in pids:
            shown = None if pid in seen else candidate(pid)
            if shown is None:
                continue
            seen.add(pid)
            path, namesakes = shown
            if self._long and self._query.tight not in joined(fold(path)):
                continue
            if namesakes <= MAX_DISTINCT_NAMESAKES or (
                why is NAME_WHOLE and len(distinct) < MAX_SHARED_EXACT
            ):
                distinct.append(Found(pid, path, self._tell(why, path), namesakes))
                if len(distinct) >= limit:
                    return
            else:
                shared.append(Found(pid, path, self._tell(why, path), namesakes))

    def _tell(self, why: str, path: str) -> str:
        """The sort of match as people are told: names and words of names come as one list."""
        if why is not NAME_START:
            return why
        name = fold(path.rpartition("/")[2])
        text, tight = self._query.text, self._query.tight
        begins = name.startswith(text) or (tight and joined(name).startswith(tight))
        return NAME_START if begins else NAME_WORD

    def _take_hidden(self) -> None:
        """Hidden files, which whoever types their dot means before all others."""
        query = self._query
        ordered: list[tuple[bool, bool, float, Found]] = []
        for pid in self._names.by_dot(query.dotted, self._limit + SPARE):
            path = self._table.hidden_path(pid)
            if path is None:
                continue
            folded = fold(path)
            name = folded.rpartition("/")[2]
            starts = [word for word in query.dotted if name.startswith(word)]
            # The index holds the first characters of a long word only.
            if all(word in starts for word in query.dotted if word.startswith(".")):
                whole = any(is_whole(word, name) for word in starts)
                found = Found(
                    pid,
                    path,
                    NAME_WHOLE if whole else NAME_START,
                    self._table.count_namesakes(path.rpartition("/")[2]),
                )
                as_typed = f"/{query.text}" in f"/{folded}"
                ordered.append((not whole, not as_typed, -self._uses.weight(path), found))
        ordered.sort(key=lambda one: one[:3])
        self._distinct += [found for *_, found in ordered]

    def _holding(self, token: str, pids: Sequence[int]) -> list[int]:
        """Those that hold the token itself: within the stem, then elsewhere, then over separators."""
        sorts: tuple[list[int], list[int], list[int]] = ([], [], [])
        for pid in pids:
            name = self._table.names[pid]
            if name is not None:
                folded = fold(name)
                at = folded.find(token)
                if at >= 0:
                    dot = folded.rfind(".", 1)
                    sorts[dot > 0 and at + len(token) > dot].append(pid)
                elif token in joined(folded):
                    sorts[2].append(pid)
        return [pid for some in sorts for pid in some]

    def _take_scored(self) -> None:
        """Several words: where each lies makes the order."""
        tokens = self._query.tokens
        pids = dict.fromkeys(self._names.by_all(tokens, MAX_SCORED))
        if len(pids) < self._limit:
            pids.update(dict.fromkeys(self._names.by_middle(tokens, MAX_SCORED)))
        scored: list[tuple[float, int, str, Found]] = []
        for pid in pids:
            shown = None if pid in self._seen else self._table.shown_candidate(pid)
            if shown is None:
                continue
            path, namesakes = shown
            score, why = score_literal(tokens, path)
            if why:
                folder = self._table.kind(pid) is Kind.FOLDER
                score += favour(namesakes, folder=folder, uses=self._uses.weight(path))
                scored.append((-score, len(path), path, Found(pid, path, why, namesakes)))
        scored.sort()
        self._distinct += [found for *_, found in scored]

    def _used(self) -> dict[str, list[int]]:
        """Pids of used files that match, most used first, by sort of match."""
        used: dict[str, list[int]] = {}
        for path, folded in self._uses.favourites():
            if all(token in folded for token in self._query.tokens):
                why = score_literal(self._query.tokens, path)[1]
                pid = self._table.find(path)
                if why and pid is not None:
                    used.setdefault(LISTED_AS.get(why, why), []).append(pid)
        return used
