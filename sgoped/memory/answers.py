"""What ``Memory`` answers about files: counts, whole texts, what a write did; pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """What is in the memory folder; ``total_items`` is the sum of the others."""

    total_items: int
    files: int
    folders: int
    images: int


@dataclass(frozen=True, slots=True)
class TextFile:
    """A whole text file.

    Attributes:
        path: Relative to the memory folder.
        content: Its text, without a byte order mark.
        size: Bytes on disk.
        etag: Names this content; see ``files``.
        encoding: As ``textual.decode_text`` names it.
    """

    path: str
    content: str
    size: int
    etag: str
    encoding: str


@dataclass(frozen=True, slots=True)
class SavedFile:
    """What a write did.

    Attributes:
        path: Relative to the memory folder.
        size: Bytes on disk now.
        etag: Names the present content; empty after a deletion.
        created: Whether there was nothing before.
        version: What the previous content can be restored by; ``None`` when there was none.
    """

    path: str
    size: int
    etag: str
    created: bool
    version: str | None
