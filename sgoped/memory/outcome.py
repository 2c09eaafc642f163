"""What one step of indexing did, as far as it is told to others."""

from __future__ import annotations

from dataclasses import dataclass, field

from sgoped.memory.hidden import is_hidden

MAX_TOLD_PATHS = 200


@dataclass(slots=True)
class StepOutcome:
    """What one step did.

    Attributes:
        more: Whether there is work left.
        indexed: Paths whose present content can now be found, at most ``MAX_TOLD_PATHS``.
        removed: Paths that are gone, likewise.
        pids: Of all files whose content was read or that are gone.
    """

    more: bool = False
    indexed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    pids: list[int] = field(default_factory=list)

    def tell_read(self, pid: int, path: str, *, found: bool) -> None:
        """Tell that ``path`` was read, and that its content can be found if it could be."""
        self.pids.append(pid)
        if found and len(self.indexed) < MAX_TOLD_PATHS:
            self.indexed.append(path)

    def tell_removed(self, pid: int, path: str) -> None:
        """Tell that ``path`` is gone; of hidden files nobody is told."""
        self.pids.append(pid)
        if len(self.removed) < MAX_TOLD_PATHS and not is_hidden(path.rpartition("/")[2]):
            self.removed.append(path)
