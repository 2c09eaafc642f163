"""Clears the place of a cache, whatever lies there."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

_ATTEMPTS = 5


def remove_anything(path: Path) -> None:
    """Delete ``path``, be it a file or a directory; of a link only the link.

    Raises:
        OSError: The disk does not allow it.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    path.chmod(0o700)
    for directory, folders, _ in os.walk(path):
        for name in folders:
            folder = Path(directory) / name
            if not folder.is_symlink():
                # What forbids reading forbids deleting.
                folder.chmod(0o700)
    remove_tree(path)


def remove_tree(path: Path) -> None:
    """Delete a directory of an index, in which a thread of tantivy's may still make a lock file.

    Raises:
        OSError: The disk does not allow it.
    """
    for _ in range(_ATTEMPTS):
        try:
            shutil.rmtree(path)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
        else:
            return
    shutil.rmtree(path)


def fresh_directory(path: Path) -> None:
    """Make ``path`` an empty directory, whatever it was.

    Raises:
        OSError: The disk does not allow it.
    """
    remove_anything(path)
    path.mkdir(mode=0o700, parents=True)
