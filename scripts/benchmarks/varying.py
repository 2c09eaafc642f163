"""More paths than a machine has: real ones with their words exchanged for other real words; pure.

A variation exchanges every word of a path for one of the same length that is about as frequent,
by one fixed exchange for all paths: a shift by one place, by two for the second variation and so
on, through the words of that length in the order of their frequency. Folders stay folders,
``getUserName.ts`` stays a name of three words in the same case, the share of names that begin
alike or occur twice is that of the real paths, and yet no name is repeated in every variation, as
it would be in plain copies. Numbers and the last extension stay. Variation 2 lies below ``v2/``.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, islice

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def extend(paths: Sequence[str], wanted: int) -> list[str]:
    """The paths, and as many variations of them as it takes to have ``wanted``."""
    if not paths or len(paths) >= wanted:
        return list(paths[:wanted])
    return list(islice(_with_variations(paths), wanted))


def _with_variations(paths: Sequence[str]) -> Iterator[str]:
    yield from paths
    ranked = rank_words(paths)
    for number in count(2):
        exchange = exchanged(ranked, number - 1)
        for path in paths:
            yield f"v{number}/{vary(path, exchange)}"


def rank_words(paths: Sequence[str]) -> dict[int, list[str]]:
    """The words of the paths by their length in letters, the most frequent first.

    Words that are equally frequent are in no meaningful order, so that neighbours are not alike.
    """
    frequency = Counter(
        word.lower() for path in paths for word in _WORD.findall(_without_extension(path))
    )
    ranked: dict[int, list[str]] = {}
    for word in sorted(frequency, key=lambda word: (-frequency[word], _scattered(word))):
        ranked.setdefault(len(word), []).append(word)
    return ranked


def _scattered(word: str) -> bytes:
    return hashlib.blake2b(word.encode(), digest_size=8).digest()


def exchanged(ranked: Mapping[int, Sequence[str]], shift: int) -> dict[str, str]:
    """Every word -> the one ``shift`` places further, around the end; one to one."""
    return {
        word: words[(place + shift) % len(words)]
        for words in ranked.values()
        for place, word in enumerate(words)
    }


def vary(path: str, exchange: Mapping[str, str]) -> str:
    """The path with its words exchanged, each in the case that it was in."""
    kept = _without_extension(path)
    return _WORD.sub(lambda match: _in_case_of(match[0], exchange), kept) + path[len(kept) :]


def _in_case_of(word: str, exchange: Mapping[str, str]) -> str:
    other = exchange[word.lower()]
    if word.islower():
        return other
    return other.upper() if word.isupper() and len(word) > 1 else other.capitalize()


def _without_extension(path: str) -> str:
    directory, slash, name = path.rpartition("/")
    stem, dot, _ = name.rpartition(".")
    return f"{directory}{slash}{stem}" if stem and dot else path
