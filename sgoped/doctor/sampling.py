"""Chooses a few files, and a rare word of each, by which the index must find them."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from sgoped.doctor.subject import Subject, Walk
from sgoped.errors import SgopedError
from sgoped.memory import Catalogue, Files, Kind, Versions

SAMPLES = 5
_READ_BYTES = 32_768
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
_WORD = re.compile(r"(?<!\w)[A-Za-z]{4,30}(?!\w)")
# What is cut at the end may be half a word, and Latin letters among others may be read otherwise.
_LAST_WORD = re.compile(r"\w*$")


@dataclass(frozen=True, slots=True)
class Sample:
    """A file that must be found.

    Attributes:
        pid: Its number in the indexes.
        path: Relative to the memory folder; no other file has its name.
        word: Lower-case, in its text; empty where there is none to use.
    """

    pid: int
    path: str
    word: str


def choose_samples(subject: Subject, walk: Walk, catalogue: Catalogue) -> list[Sample]:
    """Indexed text files that did not change since, from all over the folder."""
    names = Counter(path.rpartition("/")[2].lower() for path in walk.files)
    usable = sorted(path for path in walk.files if _is_usable(path, walk, catalogue, names))
    step = max(1, len(usable) // SAMPLES)
    versions = Versions(subject.paths.versions_dir, subject.settings.max_versions_bytes)
    files = Files(subject.paths.memory_dir, versions, subject.settings.max_file_bytes)
    samples = []
    for path in usable[::step][:SAMPLES]:
        try:
            data, status = files.read_head(path, min(_READ_BYTES, subject.settings.max_index_bytes))
        except SgopedError:
            continue
        known = catalogue.files[path]
        if (status.st_size, status.st_mtime_ns) == (known.size, known.mtime_ns):
            samples.append(Sample(known.pid, path, rare_word(data)))
    return samples


def _is_usable(path: str, walk: Walk, catalogue: Catalogue, names: Counter[str]) -> bool:
    known, entry = catalogue.files.get(path), walk.files[path]
    name = path.rpartition("/")[2]
    return (
        known is not None
        and known.kind is Kind.TEXT
        and known.state == "indexed"
        and (known.size, known.mtime_ns) == (entry.size, entry.mtime_ns)
        and names[name.lower()] == 1
        and _NAME.fullmatch(name) is not None
    )


def rare_word(data: bytes) -> str:
    """The rarest and longest word in a text of ASCII or UTF-8; empty where there is none."""
    try:
        text = data.decode("utf-8", "strict" if len(data) < _READ_BYTES else "ignore")
    except UnicodeDecodeError:
        return ""
    counts = Counter(word.lower() for word in _WORD.findall(_LAST_WORD.sub("", text)))
    return min(counts, key=lambda word: (counts[word], -len(word), word), default="")
