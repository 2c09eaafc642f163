"""A folder of files with real paths, made once per size and kept in the temporary directory.

Paths are sampled from directories of the system, never from a person's home unless it is named.
The contents are the beginnings of the real files where they are text, so that the words are real
while a hundred thousand files stay small. A folder with more files than the machine has gets
variations of its paths (see ``varying``), and one line for a content, which is the words of the
path. ``rm -r`` of the kept folders is safe whenever no benchmark runs.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Literal

from scripts.benchmarks.queries import split_words
from scripts.benchmarks.varying import extend

FORMAT = 1
MAX_CONTENT_BYTES = 2048
MAX_NAME_BYTES = 200
SCRATCH_FOLDER = "benchmark-scratch"
_SKIPPED = frozenset({"__pycache__", "lost+found"})
_SYSTEM_ROOTS = ("/usr/share", "/usr/lib", "/usr/include", "/usr/src", "/usr/local", "/opt")
_MAC_ROOTS = ("/Library", "/System/Library/Frameworks")

# One half of the directories may be tuned on, the other is held out.
Half = Literal["tuning", "held-out"]
HALVES: tuple[Half, ...] = ("tuning", "held-out")


@dataclass(frozen=True, slots=True)
class Tree:
    """A made folder.

    Attributes:
        root: The folder itself.
        paths: The files in it, relative, ``/``-separated.
    """

    root: Path
    paths: tuple[str, ...]

    @property
    def scratch(self) -> Path:
        """A folder in it where a figure may save files; swept at every start."""
        return self.root / SCRATCH_FOLDER


def default_roots() -> tuple[Path, ...]:
    """Directories full of files that are the same on many machines and nobody's secret."""
    candidates = [*_SYSTEM_ROOTS, sysconfig.get_paths()["stdlib"], sys.prefix]
    if sys.platform == "darwin":
        candidates += _MAC_ROOTS
    found: list[Path] = []
    for candidate in map(Path, candidates):
        resolved = candidate.resolve()
        if resolved.is_dir() and not any(resolved.is_relative_to(other) for other in found):
            found.append(resolved)
    return tuple(found)


def collect(
    roots: Sequence[Path], count: int, seed: int, half: Half | None = None
) -> dict[str, Path]:
    """A random sample of the regular files below ``roots``, or of one half of the directories.

    Returns:
        Path relative to the parent of its root -> the file itself; ``count`` of them or fewer.
    """
    found: dict[str, Path] = {}
    for root in roots:
        for path in _walk(root):
            found.setdefault(path.relative_to(root.parent).as_posix(), path)
    order = sorted(path for path in found if half is None or half_of(path) == half)
    random.Random(seed).shuffle(order)
    return {path: found[path] for path in order[:count]}


def half_of(path: str) -> Half:
    """The half that a file belongs to; files of one directory belong to the same."""
    directory = path.rpartition("/")[0]
    return HALVES[hashlib.sha256(directory.encode()).digest()[0] % 2]


def _walk(root: Path) -> Iterator[Path]:
    for directory, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in _SKIPPED and _is_plain(name)]
        for name in files:
            if _is_plain(name) and not name.endswith(".pyc"):
                yield Path(directory, name)


def _is_plain(name: str) -> bool:
    ordinary = name.isascii() and name.isprintable() and len(name) <= MAX_NAME_BYTES
    return ordinary and not name.startswith(".")


@contextmanager
def open_tree(
    roots: Sequence[Path], count: int, seed: int, half: Half | None = None
) -> Iterator[Tree]:
    """The folder for these arguments, made if it does not exist; ours alone while in the block.

    Raises:
        OSError: The temporary directory cannot be used, or its folder is not this user's alone.
    """
    name = f"tree-{FORMAT}-{count}-{seed}-{_key(roots)}{f'-{half}' if half else ''}"
    with _opened(name, lambda place: _make(place, collect(roots, count, seed, half))) as tree:
        yield tree


@contextmanager
def open_extended_tree(roots: Sequence[Path], count: int, seed: int) -> Iterator[Tree]:
    """The same of exactly ``count`` files, some of which may be variations of real paths.

    Raises:
        OSError: As ``open_tree``.
    """
    name = f"extended-{FORMAT}-{count}-{seed}-{_key(roots)}"
    with _opened(name, lambda place: _make_extended(place, roots, count, seed)) as tree:
        yield tree


def _key(roots: Sequence[Path]) -> str:
    return hashlib.sha256("\n".join(map(str, roots)).encode()).hexdigest()[:8]


@contextmanager
def _opened(name: str, make: Callable[[Path], list[str]]) -> Iterator[Tree]:
    """The listing is written last: without it the folder is not whole."""
    cache = cache_directory()
    place = cache / name
    with (cache / f"{name}.lock").open("w") as lock:
        _lock(lock.fileno(), place)
        listing = place / "paths.txt"
        if not listing.exists():
            print(f"making a folder of files in {place} (kept for next time)", file=sys.stderr)
            shutil.rmtree(place, ignore_errors=True)
            (place / "files").mkdir(mode=0o700, parents=True)
            listing.write_text("".join(f"{path}\n" for path in make(place / "files")), "ascii")
        tree = Tree(place / "files", tuple(listing.read_text("ascii").split("\n")[:-1]))
        shutil.rmtree(tree.scratch, ignore_errors=True)
        try:
            yield tree
        finally:
            shutil.rmtree(tree.scratch, ignore_errors=True)


def _lock(descriptor: int, place: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"waiting for another benchmark that uses {place}", file=sys.stderr)
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def cache_directory() -> Path:
    """Where made folders are kept: below the temporary directory, for this user only.

    Raises:
        OSError: Somebody else owns the name, or others may write there.
    """
    cache = Path(tempfile.gettempdir(), f"sgoped-bench-{os.getuid()}")
    cache.mkdir(mode=0o700, exist_ok=True)
    status = cache.lstat()
    if not S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(f"{cache} is not a directory of this user alone; remove it")
    return cache


def _make(files: Path, sample: dict[str, Path]) -> list[str]:
    made: list[str] = []
    for path, source in sample.items():
        # Below two roots one path may be a file and a folder; unreadable files are left out.
        with suppress(OSError):
            content = beginning(source)
            _write(files / path, content)
            made.append(path)
    return made


def _write(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        file.write(content)


def _make_extended(files: Path, roots: Sequence[Path], count: int, seed: int) -> list[str]:
    enough = count + count // 100  # as above, what cannot be made is left out
    made: list[str] = []
    for path in extend(list(collect(roots, enough, seed)), enough):
        if len(made) == count:
            break
        with suppress(OSError):
            _write(files / path, f"about {' '.join(split_words(path))}\n".encode())
            made.append(path)
    return made


def beginning(source: Path) -> bytes:
    """The first lines of a text file; a line that names the file where it is not text."""
    descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{source} is not a regular file")
        data = file.read(MAX_CONTENT_BYTES)
    if b"\0" not in data:
        with suppress(UnicodeDecodeError):
            return data.decode().encode()
        end = data.rfind(b"\n") + 1
        with suppress(UnicodeDecodeError):
            return data[:end].decode().encode() or f"about {source.name}\n".encode()
    return f"about {source.name}\n".encode()
