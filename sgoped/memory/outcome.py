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
    """

    more: bool = False
    indexed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    def tell_indexed(self, path: str) -> None:
        """Tell that the content of ``path`` can be found."""
        if len(self.indexed) < MAX_TOLD_PATHS:
            self.indexed.append(path)

    def tell_removed(self, path: str) -> None:
        """Tell that ``path`` is gone; of hidden files nobody is told."""
        if len(self.removed) < MAX_TOLD_PATHS and not is_hidden(path.rpartition("/")[2]):
            self.removed.append(path)
