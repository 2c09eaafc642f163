"""Lists where each file stands on its way into the index, a page at a time."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from sgoped.errors import InvalidInput
from sgoped.memory.document import Kind, shown
from sgoped.memory.table import FileStatus, PathTable

HIDDEN_REASON = "hidden: found by its name only"


@dataclass(frozen=True, slots=True)
class FileState:
    """A file's state: ``indexed``, ``pending``, ``skipped`` or ``failed``, and why."""

    path: str
    state: str
    reason: str


def list_states(
    table: PathTable, state: str, part: str, limit: int, after: str, *, hidden: bool = True
) -> tuple[dict[str, int], list[FileState]]:
    """Counts by state, and at most ``limit`` files of a state whose path contains ``part``.

    Files come in the order of their shown paths, beginning behind ``after``; the ``hidden`` ones
    among them, if wanted.

    Raises:
        InvalidInput: There is no such state.
    """
    names = {status: status.name.lower() for status in FileStatus}
    if state and state not in names.values():
        raise InvalidInput(f"no state {state!r}; there are {', '.join(names.values())}")
    left_out = {Kind.FOLDER} if hidden else {Kind.FOLDER, Kind.HIDDEN}
    counts = {names[status]: table.status_counts[status] for status in FileStatus}

    def matching() -> Iterator[tuple[str, int]]:
        for pid in table.pids():
            name = names[FileStatus(table.statuses[pid])]
            if table.kind(pid) not in left_out and state in ("", name):
                path = shown(table.path(pid) or "")
                if part in path and path > after:
                    yield path, pid

    page = heapq.nsmallest(limit, matching())
    states = [
        FileState(path, names[FileStatus(table.statuses[pid])], _reason(table, pid))
        for path, pid in page
    ]
    return counts, states


def _reason(table: PathTable, pid: int) -> str:
    return HIDDEN_REASON if table.kind(pid) is Kind.HIDDEN else table.reasons.get(pid, "")
