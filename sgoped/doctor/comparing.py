"""Compares the folder as it was walked with what is known of it; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sgoped.memory import Entry, KnownFile


@dataclass(frozen=True, slots=True)
class Known:
    """What the catalogue or a daemon says of a file.

    Attributes:
        state: ``indexed``, ``pending``, ``skipped`` or ``failed``.
        reason: Why.
        stat: Size and modification time (ns) when it was last looked at; None: not told.
    """

    state: str
    reason: str
    stat: tuple[int, int] | None

    @classmethod
    def of(cls, file: KnownFile) -> Known:
        """As the catalogue has it."""
        return cls(file.state, file.reason, (file.size, file.mtime_ns))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Paths on which disk and catalogue disagree.

    Attributes:
        missing: On the disk only.
        extra: In the catalogue only.
        stale: Changed since they were looked at.
        failed: Known, but could not be read, with the reason.
    """

    missing: list[str]
    extra: list[str]
    stale: list[str]
    failed: dict[str, str]

    @property
    def differences(self) -> list[str]:
        """All paths that need another look."""
        return [*self.missing, *self.stale, *self.extra]


def compare(
    seen: Mapping[str, Entry], known: Mapping[str, Known], *, complete: bool = True
) -> Comparison:
    """Compare by path; ``complete``: whether all of the folder was seen."""
    stale = []
    for path, entry in seen.items():
        file = known.get(path)
        if file is not None and file.stat not in (None, (entry.size, entry.mtime_ns)):
            stale.append(path)
    return Comparison(
        missing=[path for path in seen if path not in known],
        extra=[path for path in known if path not in seen] if complete else [],
        stale=stale,
        failed={path: file.reason for path, file in known.items() if file.state == "failed"},
    )
