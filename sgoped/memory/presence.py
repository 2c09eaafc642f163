"""Tells an unplugged drive from an emptied folder.

Where a drive was mounted, an empty directory is left when it is gone. What is in the index is not
forgotten for that: the folder counts as being away until it is mounted again, or filled.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

Seen = TypeVar("Seen")


class Presence:
    """What is known of the place of the memory folder.

    Attributes:
        mounted: Whether a drive was mounted there when all of it was seen last.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.mounted = False

    def observed(self, scan: Iterator[Seen]) -> Iterator[Seen]:
        """A scan of all of the folder, after which it is known whether it is mounted."""
        mounted = _is_mounted(self._root)
        yield from scan
        self.mounted = mounted

    def check(self) -> None:
        """See that the folder is not just the directory that its drive was mounted on.

        Raises:
            OSError: It is; nothing may be concluded from its being empty. Or it is missing.
        """
        if self.mounted and not _is_mounted(self._root) and _is_empty(self._root):
            raise OSError(
                errno.ENODEV,
                f"the drive of {self._root} is not mounted (to use the folder without it, put a "
                "file into it by hand)",
            )


def _is_mounted(root: Path) -> bool:
    try:
        return root.stat().st_dev != (root / "..").stat().st_dev
    except OSError:
        return False


def _is_empty(root: Path) -> bool:
    with os.scandir(root) as entries:
        return next(entries, None) is None
