"""Simulated queries: what a person types who wants a certain file; pure.

Six classes: ``base_prefix`` (how the file name begins), ``word_prefix`` (how a later word of it
begins), ``substr`` (from inside a word), ``subseq`` (letters in order, as typed to a fuzzy
finder), ``typo`` (a word with one edit), ``two_words`` (a word of the directory and one of the
name). The same paths and seed give the same queries.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import MappingProxyType

# A name that occurs more often cannot be what a person identifies a file by.
MAX_NAMESAKES = 2
MIN_TYPED, MAX_TYPED = 3, 6
MAX_SUBSEQUENCE = 8
_TRIES_PER_QUERY = 200
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_COMMON_LETTERS = "etaoinshrdlu"
_VOWELS = "aeiou"


@dataclass(frozen=True, slots=True)
class Query:
    """What is typed, of which class it is, and the path that is meant."""

    kind: str
    typed: str
    target: str


@dataclass(frozen=True, slots=True)
class _Target:
    directory: str
    name: str
    directory_words: tuple[str, ...]
    words: tuple[str, ...]


def split_words(text: str) -> tuple[str, ...]:
    """The lower-case words of a name, cut at case and digit boundaries."""
    return tuple(word.lower() for word in _WORD.findall(text))


def _target(path: str) -> _Target:
    directory, _, name = path.rpartition("/")
    stem = name[: name.rfind(".")] if name.rfind(".") > 0 else name
    return _Target(directory, name, split_words(directory), split_words(stem))


def _cut(random: Random, word: str) -> str:
    return word[: random.randint(MIN_TYPED, min(MAX_TYPED, len(word)))]


def _long(words: Sequence[str], chars: int) -> list[str]:
    return [word for word in words if len(word) >= chars]


def _base_prefix(random: Random, target: _Target) -> str:
    stem = target.name.rpartition(".")[0] or target.name
    return _cut(random, stem.lower()) if len(stem) > MIN_TYPED else ""


def _word_prefix(random: Random, target: _Target) -> str:
    later = _long(target.words[1:], MIN_TYPED + 1)
    return _cut(random, random.choice(later)) if later else ""


def _substr(random: Random, target: _Target) -> str:
    words = _long(target.words, 6)
    if not words:
        return ""
    word = random.choice(words)
    start = random.randint(1, len(word) - 4)
    return word[start : start + random.randint(4, 6)]


def _subseq(random: Random, target: _Target) -> str:
    folder = split_words(target.directory.rpartition("/")[2])
    typed = ""
    if folder and random.random() < 0.6:
        consonants = _consonants(folder[-1][1:])
        typed = folder[-1][0] + _pick(random, consonants, random.randint(0, 1))
    for word in target.words:
        rest = _consonants(word[1:]) or word[1:]
        typed += word[0] + _pick(random, rest, random.randint(0, 2))
    return typed[:MAX_SUBSEQUENCE] if len(typed) > MIN_TYPED else ""


def _consonants(letters: str) -> str:
    return "".join(char for char in letters if char not in _VOWELS)


def _pick(random: Random, letters: str, wanted: int) -> str:
    """So many of the letters, or all if they are fewer, in their order."""
    places = random.sample(range(len(letters)), min(wanted, len(letters)))
    return "".join(letters[place] for place in sorted(places))


def _typo(random: Random, target: _Target) -> str:
    words = _long(target.words, 5)
    return mistype(random, max(words, key=len)) if words else ""


def mistype(random: Random, word: str) -> str:
    """``word`` (of at least three letters) with one transposition, deletion, insertion or swap.

    The first letter stays as it is.
    """
    inner = range(1, len(word) - 1)
    at = random.choice(inner)
    letter = random.choice(_COMMON_LETTERS)
    kind = random.choice(("transpose", "delete", "insert", "replace"))
    if kind == "transpose":
        differing = [place for place in inner if word[place] != word[place + 1]]
        if differing:
            at = random.choice(differing)
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == "insert":
        return word[:at] + letter + word[at:]
    if kind == "replace":
        return word[:at] + (letter if letter != word[at] else "z") + word[at + 1 :]
    return word[:at] + word[at + 1 :]


def _two_words(random: Random, target: _Target) -> str:
    folders = _long(target.directory_words, MIN_TYPED)
    words = _long(target.words, MIN_TYPED)
    if not folders or not words:
        return ""
    folder, word = random.choice(folders), random.choice(words)
    word = word[: random.randint(MIN_TYPED, len(word))]
    return f"{folder} {word}" if random.random() < 0.7 else f"{word} {folder}"


_MAKERS: Mapping[str, Callable[[Random, _Target], str]] = MappingProxyType(
    {
        "base_prefix": _base_prefix,
        "word_prefix": _word_prefix,
        "substr": _substr,
        "subseq": _subseq,
        "typo": _typo,
        "two_words": _two_words,
    }
)
CLASSES = tuple(_MAKERS)
# Those whose letters are in the name as they are typed.
LITERAL_CLASSES = ("base_prefix", "word_prefix", "substr")


def generate(
    paths: Sequence[str], per_class: int, seed: int, classes: Sequence[str] = CLASSES
) -> list[Query]:
    """``per_class`` queries of each class, or fewer where the paths do not give them.

    Args:
        paths: Relative POSIX paths.
        per_class: How many of each.
        seed: Of the random choices.
        classes: Of ``CLASSES``.
    """
    names = Counter(path.rpartition("/")[2] for path in paths)
    pool = sorted(path for path in paths if names[path.rpartition("/")[2]] <= MAX_NAMESAKES)
    random = Random(seed)
    if not pool:
        return []
    return [query for kind in classes for query in _generate_class(random, kind, pool, per_class)]


def _generate_class(random: Random, kind: str, pool: Sequence[str], wanted: int) -> Iterator[Query]:
    made = 0
    for _ in range(wanted * _TRIES_PER_QUERY):
        if made == wanted:
            return
        path = random.choice(pool)
        typed = _MAKERS[kind](random, _target(path))
        if typed:
            made += 1
            yield Query(kind, typed, path)


def key_strokes(queries: Sequence[Query]) -> list[str]:
    """What is asked while the queries are typed letter by letter, in turn of their classes."""
    by_class: dict[str, list[Query]] = {}
    for query in queries:
        by_class.setdefault(query.kind, []).append(query)
    turns = max((len(each) for each in by_class.values()), default=0)
    return [
        each[turn].typed[:end]
        for turn in range(turns)
        for each in by_class.values()
        if turn < len(each)
        for end in range(1, len(each[turn].typed) + 1)
        if each[turn].typed[end - 1] != " "
    ]


def beginnings(queries: Sequence[Query], chars: int, wanted: int) -> list[str]:
    """The first letters of what is typed, each once, in the order of the queries."""
    begun = (query.typed[:chars] for query in queries)
    return list(dict.fromkeys(letters for letters in begun if " " not in letters))[:wanted]


def is_meant(result: str, target: str) -> bool:
    """Whether a result counts as the target: the same name in a directory of the same name."""
    return result == target or result.split("/")[-2:] == target.split("/")[-2:]


def reciprocal_rank(results: Sequence[str], target: str, depth: int = 10) -> float:
    """One over the place of the target among the first ``depth`` results; 0 when it is absent."""
    for place, result in enumerate(results[:depth], start=1):
        if is_meant(result, target):
            return 1 / place
    return 0.0
