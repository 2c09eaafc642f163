"""What is examined: settings, places, the daemon if there is one, and the folder as it is."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sgoped.config import Settings
from sgoped.doctor.instance import Connect, Instance
from sgoped.memory import Entry, is_temporary, scan_tree, shown
from sgoped.paths import Paths


@dataclass(frozen=True, slots=True)
class Subject:
    """One installation.

    Attributes:
        settings: As they are now; a running daemon may have started with others.
        warnings: What reading them found.
        paths: Where everything is; its memory folder is the daemon's, if one runs.
        instance: The daemon.
        connect: Asks a daemon at an address.
    """

    settings: Settings
    warnings: Sequence[str]
    paths: Paths
    instance: Instance
    connect: Connect


@dataclass(slots=True)
class Walk:
    """The memory folder as one walk saw it, by the daemon's own rules.

    Attributes:
        files: By path.
        folders: How many, the memory folder itself included.
        unreadable: Folders that could not be read, with the reason.
        temporary: ``(folder, name)`` of our own unfinished saves.
        seconds: How long it took.
        complete: Whether it came to the end in time.
    """

    files: dict[str, Entry] = field(default_factory=dict)
    folders: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    temporary: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    complete: bool = True

    def note(self, folder: str, entries: Sequence[Entry]) -> None:
        """Take what was listed of one folder."""
        prefix = f"{folder}/" if folder else ""
        self.files.update(
            {prefix + entry.name: entry for entry in entries if entry.mode_kind == "file"}
        )

    @property
    def by_shown_path(self) -> Mapping[str, Entry]:
        """Files by their path as it is shown."""
        return {shown(path): entry for path, entry in self.files.items()}


def walk_folder(root: Path, max_seconds: float) -> Walk:
    """Walk ``root``, for at most so long.

    Raises:
        OSError: It cannot be opened.
    """
    walk, started = Walk(), time.monotonic()

    def is_late() -> bool:
        if time.monotonic() - started > max_seconds:
            walk.complete = False
        return not walk.complete

    def on_hidden(folder: str, name: str) -> None:
        if is_temporary(name):
            walk.temporary.append((folder, name))

    def on_error(folder: str, error: OSError) -> None:
        walk.unreadable[folder] = error.strerror or str(error)

    found = scan_tree(root, should_stop=is_late, on_error=on_error, on_hidden=on_hidden)
    for folder, entries in found:
        walk.folders += 1
        walk.note(folder, entries)
    walk.seconds = time.monotonic() - started
    return walk
