"""What is asked of a file, checked beforehand; and what the system says to it, in our own terms."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sgoped.errors import Conflict, NotFound, PathRefused
from sgoped.memory.beneath import storage_error, storage_errors
from sgoped.memory.document import MAX_COMPONENT_BYTES, shown
from sgoped.memory.hidden import is_hidden, is_left_out
from sgoped.memory.saving import Content
from sgoped.memory.scanner import is_ignored

_MAX_UNIQUE = 10_000


def etag_of(data: bytes) -> str:
    """The ETag of this content, unquoted."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def path_parts(path: str, *, for_reading: bool = False) -> list[str]:
    """The components of a path relative to the memory folder.

    Raises:
        PathRefused: It is none, or hidden.
    """
    *parents, name = parts = path.split("/")
    refused = is_left_out(name) if for_reading else is_hidden(name)
    if refused or not all(parts) or "\0" in path or any(map(is_hidden, parents)):
        raise PathRefused(f"{shown(path)!r} is hidden, or no path relative to the memory folder")
    return parts


def refuse_ignored(root: Path, path: str) -> None:
    """Leave alone what an ignore file leaves out.

    Raises:
        PathRefused: It is ignored.
        StorageError: The memory folder cannot be read.
    """
    with storage_errors("the memory folder"):
        ignored = is_ignored(root, path)
    if ignored:
        raise PathRefused(f"{shown(path)} is left out by an ignore file")


def require_match(path: str, content: Content | None, if_match: str | None) -> None:
    """Compare what is there with the ETags that were asked for; ``None`` asks for nothing.

    Raises:
        Conflict: It is something else, or nothing.
    """
    if if_match is None:
        return
    if content is None:
        raise Conflict(f"{shown(path)} does not exist (any more)")
    wanted = {tag.strip().removeprefix("W/").strip('"') for tag in if_match.split(",")}
    if "*" not in wanted and etag_of(content.data) not in wanted:
        raise Conflict(f"{shown(path)} changed since it was read; read it again")


def alternatives(name: str) -> Iterator[str]:
    """``name.ext``, ``name_2.ext``, ``name_3.ext``..., none longer than a name may be."""
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(dot + suffix) > MAX_COMPONENT_BYTES // 2:
        stem, dot, suffix = name, "", ""
    yield name
    for number in range(2, _MAX_UNIQUE):
        ending = os.fsencode(f"_{number}{dot}{suffix}")
        kept = os.fsencode(stem)[: MAX_COMPONENT_BYTES - len(ending)]
        yield kept.decode(errors="ignore") + os.fsdecode(ending)


_REFUSALS = {
    errno.ELOOP: "is a link, or leads through one; links are left alone",
    errno.EISDIR: "is a folder",
    errno.EINVAL: "is not a regular file",
    errno.ENAMETOOLONG: "has a name that this disk cannot hold",
}


@contextmanager
def file_errors(path: str) -> Iterator[None]:
    """Tell what the system said about ``path`` in our own terms."""
    try:
        yield
    except FileExistsError as error:
        raise Conflict(f"{shown(path)} exists already") from error
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {shown(path)}") from error
    except NotADirectoryError as error:
        raise NotFound(f"There is no file {shown(path)}: a file or link is in its way") from error
    except OSError as error:
        if error.errno in _REFUSALS:
            raise PathRefused(f"{shown(path)} {_REFUSALS[error.errno]}") from error
        raise storage_error(shown(path), error) from error
