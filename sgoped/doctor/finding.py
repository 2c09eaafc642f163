"""What an examination finds: a fact, where it is, and how it is mended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How much it matters; ``ok`` and ``note`` leave nothing to do."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


class Topic(StrEnum):
    """What a finding is about, in the order findings are shown."""

    DAEMON = "daemon"
    SETTINGS = "settings"
    PLACES = "places"
    ACCESS = "access"
    FOLDER = "folder"
    INDEX = "index"
    STATE = "state"
    LEFTOVERS = "leftovers"
    SERVICES = "services"
    LIMITS = "limits"
    VERSIONS = "versions"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        topic: What it is about.
        code: Stable, lower-case identifier.
        severity: How much it matters.
        what: A phrase for a person.
        where: A path or an address; empty where there is none.
        mend: What to do about it; empty where there is nothing to do.
        fix: Mends it; raises ``OSError`` or ``SgopedError`` where it cannot. Called only by
            ``mend``, and with the instance lock held unless a daemon runs.
        mended: Whether that was done.
    """

    topic: Topic
    code: str
    severity: Severity
    what: str
    where: str = ""
    mend: str = ""
    fix: Callable[[], object] | None = field(default=None, repr=False, compare=False)
    mended: bool = False

    @property
    def remains(self) -> bool:
        """Whether something is left to do."""
        return not self.mended and self.severity in (Severity.WARNING, Severity.PROBLEM)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "topic": str(self.topic),
            "code": self.code,
            "severity": str(self.severity),
            "what": self.what,
            "where": self.where,
            "mend": self.mend,
            "fixable": self.fix is not None,
            "mended": self.mended,
        }


def few(items: list[str] | tuple[str, ...], most: int = 3) -> str:
    """The first of ``items``, and how many more there are."""
    more = f" and {len(items) - most:,} more" if len(items) > most else ""
    return f"{', '.join(items[:most])}{more}"


def counted(count: int, one: str, many: str = "") -> str:
    """``1 file``, ``2 files``."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
