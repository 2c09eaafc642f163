"""Letters in order: every last folder and name, ready to be searched for a subsequence.

The search is frizbee's Smith-Waterman matcher, which rewards boundaries and punishes gaps as fzf
does, over strings that lie in its own memory. Whoever types letters of a name begins with that of
a word: so the strings are kept apart by their words' first letters, and a search looks at those of
one letter, about a fifth of all for four times the memory. Whole paths are not searched: letters
scattered over a long path match almost everything.
"""

from __future__ import annotations

import re
import threading
from array import array
from collections.abc import Iterable, Sequence

from frizbee import Haystacks, Matcher, Scoring

from sgoped.memory.document import shown
from sgoped.memory.words import fold, split_words

# Initials of words are what people type when they leave letters out.
BOUNDARY_POINTS = 8
SEARCH_THREADS = 2
MIN_PARALLEL = 50_000
DEAD_SHARE = 0.25
MIN_DEAD = 1000

_INITIAL = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z0-9]|(?<=[a-z0-9])[A-Z]|(?<=[A-Z])[A-Z](?=[a-z])|(?<=[A-Za-z])[0-9]"
)


class PathHaystack:
    """The strings by first letter.

    Removed paths stay until it is filled anew. A lock keeps changes and searches apart, so a search
    may wait for a change.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._strings: dict[str, Haystacks] = {}
        self._pids: dict[str, array[int]] = {}
        self._dead: set[int] = set()
        self._count = 0

    @property
    def outdated(self) -> bool:
        """Whether so many paths are gone that it should be filled anew."""
        return len(self._dead) > MIN_DEAD + DEAD_SHARE * self._count

    def update(self, added: Iterable[tuple[int, str]], removed: Iterable[int]) -> None:
        """Forget ``removed`` pids, then take in ``added`` pids with their paths."""
        strings: dict[str, list[str]] = {}
        pids: dict[str, list[int]] = {}
        fresh: list[int] = []
        above: dict[str, tuple[str, frozenset[str]]] = {}
        for pid, path in added:
            folder, _, name = path.rpartition("/")
            known = above.get(folder)
            if known is None:
                known = above[folder] = _read_folder(folder)
            tail = known[0] + fold(shown(name))
            fresh.append(pid)
            for letter in known[1] | initials(name):
                strings.setdefault(letter, []).append(tail)
                pids.setdefault(letter, []).append(pid)
        with self._lock:
            self._dead.update(removed)
            self._dead.difference_update(fresh)
            self._count += len(fresh)
            for letter, some in strings.items():
                self._strings.setdefault(letter, Haystacks()).extend(some)
                self._pids.setdefault(letter, array("Q")).extend(pids[letter])

    def search(self, tokens: Sequence[str], limit: int) -> list[tuple[int, int]]:
        """The best ``(pid, points)`` whose folder and name hold the tokens' letters in order."""
        typed = "".join(tokens)
        matcher = Matcher(
            typed,
            max_typos=0,
            max_items=2 * limit,
            casing="ignore",
            scoring=Scoring(delimiter_bonus=BOUNDARY_POINTS),
        )
        with self._lock:
            strings, pids = self._strings.get(typed[:1]), self._pids.get(typed[:1])
            if strings is None or pids is None:
                return []
            if len(pids) < MIN_PARALLEL:
                matches = matcher.match_list(strings)
            else:
                matches = matcher.match_list_parallel(strings, SEARCH_THREADS)
            found = dict.fromkeys((pids[match.index], match.score) for match in matches)
            return [hit for hit in found if hit[0] not in self._dead][:limit]


def _read_folder(folder: str) -> tuple[str, frozenset[str]]:
    """The last component of a folder as a prefix, and the first letters of its words."""
    last = folder.rpartition("/")[2]
    return (f"{fold(shown(last))}/" if last else ""), initials(last)


def initials(name: str) -> frozenset[str]:
    """The folded first letters of the words of a name, its suffix left out."""
    dot = name.rfind(".", 1)
    stem = name[:dot] if dot > 0 else name
    if stem.isascii():
        return frozenset(map(str.lower, _INITIAL.findall(stem)))
    return frozenset(word[0] for word in split_words(shown(stem)))
