"""The vectors of all passages in memory, and which of them are nearest to one; imports numpy.

A vector is kept in eight bits a number, scaled to its largest: 77 MB for 100,000 passages of 768
numbers, which are compared with another one exactly, all of them, in 20 to 40 ms on one core. numpy
lets go of the interpreter meanwhile. How near is told in standard deviations above the mean of all,
because cosines of one model say nothing beside those of another.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sgoped.memory.bodies import BodyHit

BLOCK_ROWS = 512
SCALE = 127
# What is not this far above the mean is no answer; of two passages the better one is 1 above it.
LEAST_NEARNESS = 0.9
MAX_LOOKED_AT = 20_000

_FREE = -1

Numbers = NDArray[np.float32]
Integers = NDArray[np.int64]


def quantise(vector: Sequence[float]) -> bytes:
    """A vector that is not zero, in one byte a number."""
    numbers = np.asarray(vector, dtype=np.float32)
    scaled = np.rint(numbers * (SCALE / np.abs(numbers).max()))
    packed: bytes = scaled.astype(np.int8).tobytes()
    return packed


class Nearest:
    """The vectors of passages by pid; any thread may call.

    Args:
        dimensions: How many numbers each vector has.
    """

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self._lock = threading.Lock()
        self._blocks: list[NDArray[np.int8]] = []
        self._columns = tuple(array("q") for _ in range(3))
        self._lengths = array("f")
        self._free: list[int] = []
        self._rows_of: dict[int, tuple[int, ...]] = {}

    def __len__(self) -> int:
        """How many passages there are."""
        return len(self._lengths) - len(self._free)

    @property
    def size_bytes(self) -> int:
        """How much memory the vectors take that are there."""
        return len(self) * self.dimensions

    def put(self, pid: int, passages: Sequence[tuple[int, int, bytes]]) -> None:
        """Take in a file: first line, number of lines and vector, as ``quantise`` makes it.

        Raises:
            ValueError: A vector has another number of numbers.
        """
        with self._lock:
            self._drop(pid)
            rows = []
            for line_start, line_count, packed in passages:
                vector = np.frombuffer(packed, dtype=np.int8)
                if len(vector) != self.dimensions:
                    raise ValueError(f"{len(vector)} numbers instead of {self.dimensions}")
                rows.append(self._fill(pid, line_start, line_count, vector))
            if rows:
                self._rows_of[pid] = tuple(rows)

    def _fill(self, pid: int, line_start: int, line_count: int, vector: NDArray[np.int8]) -> int:
        if self._free:
            row = self._free.pop()
        else:
            row = len(self._lengths)
            if row == len(self._blocks) * BLOCK_ROWS:
                self._blocks.append(np.zeros((BLOCK_ROWS, self.dimensions), np.int8))
            for column in self._columns:
                column.append(_FREE)
            self._lengths.append(1.0)
        self._blocks[row // BLOCK_ROWS][row % BLOCK_ROWS] = vector
        for column, value in zip(self._columns, (pid, line_start, line_count), strict=True):
            column[row] = value
        self._lengths[row] = float(np.linalg.norm(vector.astype(np.float32)))
        return row

    def drop(self, pid: int) -> None:
        """Forget a file."""
        with self._lock:
            self._drop(pid)

    def _drop(self, pid: int) -> None:
        for row in self._rows_of.pop(pid, ()):
            self._columns[0][row] = _FREE
            self._free.append(row)

    def compare(self, vector: Sequence[float]) -> Similarities | None:
        """How near every passage is to ``vector``; ``None`` when there are none to tell apart."""
        query = np.asarray(vector, dtype=np.float32)
        query /= np.linalg.norm(query)
        with self._lock:
            count = len(self._lengths)
            cosines = np.empty(count, np.float32)
            numbers = np.empty((BLOCK_ROWS, self.dimensions), np.float32)
            for block, start in zip(self._blocks, range(0, count, BLOCK_ROWS), strict=True):
                rows = min(BLOCK_ROWS, count - start)
                np.copyto(numbers[:rows], block[:rows])
                np.dot(numbers[:rows], query, out=cosines[start : start + rows])
            lengths = np.array(self._lengths, dtype=np.float32)
            pids, starts, counts = (np.array(column, dtype=np.int64) for column in self._columns)
            rows_of = self._rows_of.copy()
        np.divide(cosines, lengths, out=cosines)
        living = cosines[pids != _FREE]
        if not len(living):
            return None
        spread = float(living.std())
        nearness = (cosines - living.mean()) / spread if spread > 0 else np.ones_like(cosines)
        nearness[pids == _FREE] = -np.inf
        return Similarities(nearness, (pids, starts, counts), rows_of)


class Similarities:
    """How near each passage was to one vector, in standard deviations above the mean."""

    def __init__(
        self,
        nearness: Numbers,
        columns: tuple[Integers, ...],
        rows_of: Mapping[int, Sequence[int]],
    ) -> None:
        self._nearness = nearness
        self._pids, self._starts, self._counts = columns
        self._rows_of = rows_of

    def of(self, pid: int, line_start: int) -> float | None:
        """How near a passage is; ``None`` where it has no vector."""
        for row in self._rows_of.get(pid, ()):
            if self._starts[row] == line_start:
                return float(self._nearness[row])
        return None

    def best(self, limit: int, accepts: Callable[[int], bool], per_file: int) -> list[BodyHit]:
        """The nearest passages, best first, at most ``per_file`` of one file.

        The score is how near; what is hardly nearer than any other passage is left out.

        Args:
            limit: How many at most.
            accepts: Asked for each candidate's pid.
            per_file: How many of one file at most.
        """
        candidates, found = 4 * limit, list[BodyHit]()
        while True:
            candidates = min(candidates, len(self._nearness), MAX_LOOKED_AT)
            found = self._select(self._top(candidates), limit, accepts, per_file)
            if len(found) >= limit or candidates in (len(self._nearness), MAX_LOOKED_AT):
                return found
            candidates *= 8

    def _top(self, count: int) -> list[int]:
        if count < len(self._nearness):
            top = np.argpartition(self._nearness, -count)[-count:]
        else:
            top = np.arange(count)
        order = np.lexsort((top, -self._nearness[top]))
        rows: list[int] = top[order].tolist()
        return rows

    def _select(
        self, rows: Sequence[int], limit: int, accepts: Callable[[int], bool], per_file: int
    ) -> list[BodyHit]:
        found: list[BodyHit] = []
        taken: dict[int, int] = {}
        for row in rows:
            nearness, pid = float(self._nearness[row]), int(self._pids[row])
            if nearness < LEAST_NEARNESS or len(found) == limit:
                break
            before = taken.get(pid, 0)
            if before < per_file and accepts(pid):
                taken[pid] = before + 1
                found.append(BodyHit(pid, int(self._starts[row]), int(self._counts[row]), nearness))
        return found
