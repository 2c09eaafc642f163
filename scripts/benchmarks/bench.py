"""``Bench``: what the figures of one run share: the folder, its index, and how much to sample."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from scripts.benchmarks.processes import Served, bench_server, daemon
from scripts.benchmarks.tree import Half, Tree, default_roots, open_extended_tree, open_tree

FIRST_INDEX_SECONDS = 1200.0
QUICK_FILES = 2000
SIZES = (1_000, 10_000, 100_000, 1_000_000)


@dataclass(frozen=True, slots=True)
class Options:
    """What the person who runs it decided.

    Attributes:
        files: How many files the folder has.
        quick: Few samples.
        seed: Of the sampled paths and queries.
        roots: Where paths are sampled; empty for directories of the system.
        half: Of their directories, the half to sample; both when ``None``.
        sizes: Of the folders that show how suggesting scales.
        cisi: The folder of the CISI test collection, for Q2.
    """

    files: int
    quick: bool = False
    seed: int = 1
    roots: tuple[Path, ...] = ()
    half: Half | None = None
    sizes: tuple[int, ...] = SIZES
    cisi: Path | None = None


@dataclass(frozen=True, slots=True)
class Indexed:
    """A home whose index equals the folder.

    Attributes:
        home: What to give as ``--home``.
        seconds: From the start of the process to the end of the first indexing.
    """

    home: Path
    seconds: float


def read_all(tree: Tree) -> None:
    """So that every reader finds the files in the page cache."""
    for path in tree.paths:
        (tree.root / path).read_bytes()


class Bench:
    """One run; whatever it makes is removed when it closes, but for the folder of real paths."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._closing = ExitStack()

    def close(self) -> None:
        """Remove what was made."""
        self._closing.close()

    def samples(self, full: int, quick: int) -> int:
        """How many samples to take."""
        return quick if self.options.quick else full

    def say(self, text: str) -> None:
        """Tell what is being done, apart from the results."""
        print(f"  {text}", file=sys.stderr, flush=True)

    def new_home(self) -> Path:
        """An empty directory of this run."""
        place = Path(tempfile.mkdtemp(prefix="sgoped-bench-"))
        self._closing.callback(shutil.rmtree, place, ignore_errors=True)
        return place

    @cached_property
    def tree(self) -> Tree:
        """The folder of real paths."""
        options = self.options
        opened = open_tree(self._roots, options.files, options.seed, options.half)
        return self._closing.enter_context(opened)

    @contextmanager
    def extended_tree(self, count: int) -> Iterator[Tree]:
        """A folder of that many paths, of which those that are not real are variations."""
        with open_extended_tree(self._roots, count, self.options.seed) as tree:
            yield tree

    @property
    def _roots(self) -> Sequence[Path]:
        return self.options.roots or default_roots()

    @property
    def file_count(self) -> int:
        """How many files the folder has; 0 when no figure needed it."""
        return len(self.tree.paths) if "tree" in vars(self) else 0

    @cached_property
    def indexed(self) -> Indexed:
        """A home with an index of the folder, made by the daemon itself."""
        home = self.new_home()
        read_all(self.tree)
        self.say(f"first indexing of {len(self.tree.paths):,} files")
        with daemon(home, self.tree.root) as served:
            return Indexed(home, served.await_contents(FIRST_INDEX_SECONDS))

    @contextmanager
    def daemon(self) -> Iterator[Served]:
        """The daemon over the folder, its index made before and verified."""
        with daemon(self.indexed.home, self.tree.root) as served:
            served.await_index()
            yield served

    @contextmanager
    def bench_server(self, *options: str) -> Iterator[Served]:
        """The application with bare routes over the folder, likewise."""
        with bench_server(self.indexed.home, self.tree.root, *options) as served:
            served.await_index()
            time.sleep(0.5)  # what follows a start, such as merging segments, is not measured
            yield served
