"""What a document is called: its kind, its path, its id, and the rule that keeps paths inside."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from sgoped.errors import PathRefused
from sgoped.memory.hidden import is_hidden, is_left_out

MAX_COMPONENT_BYTES = 255
MAX_PATH_BYTES = 4000
# What begins so is always taken for an id, though a hidden file may be called so: see labels.
ID_PREFIX = ".f:"

_DRIVE = re.compile(r"[A-Za-z]:([\\/]|$)")
_PLAIN = re.compile(r"[A-Za-z0-9_./~!$&'()*+,;=@-]*")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Kind(StrEnum):
    """What a path in the memory folder turned out to be; hidden files are not looked into."""

    TEXT = "text"
    IMAGE = "image"
    BINARY = "binary"
    FOLDER = "folder"
    HIDDEN = "hidden"


def shown(text: str) -> str:
    """``text`` with U+FFFD for every byte that is not UTF-8, fit for JSON and terminals."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def is_plain(path: str) -> bool:
    """Whether a path has nothing to escape: its id is itself, and so is its JSON string."""
    return _PLAIN.fullmatch(path) is not None


def document_id(path: str) -> str:
    """A stable, unique, reversible id: the path's bytes, percent-encoded behind ``.f:``."""
    if is_plain(path):
        return ID_PREFIX + path
    return ID_PREFIX + quote(os.fsencode(path), safe="/~!$&'()*+,;=@")


def path_from_id(text: str) -> str | None:
    """The path an id was made from, or ``None`` when ``text`` is not an id."""
    if not text.startswith(ID_PREFIX) or _SURROGATE.search(text):
        return None
    return os.fsdecode(unquote_to_bytes(text[len(ID_PREFIX) :]))


class Document(NamedTuple):
    """A catalogued file or folder.

    A tuple, because ten are made at every key stroke.

    Attributes:
        pid: Number of its row in the catalogue and the index; not stable over rebuilds.
        path: Relative to the memory folder, ``/``-separated; undecodable bytes are surrogates.
        kind: Text, image, binary, folder or hidden file.
        size: Bytes.
        mtime_ns: Modification time in nanoseconds since 1970.
    """

    pid: int
    path: str
    kind: Kind
    size: int
    mtime_ns: int

    @property
    def name(self) -> str:
        """The last component of the path."""
        return self.path.rpartition("/")[2]

    @property
    def id(self) -> str:
        """See ``document_id``."""
        return document_id(self.path)

    @property
    def shown_path(self) -> str:
        """The path, fit for JSON and terminals."""
        return shown(self.path)


def safe_relative_path(text: str, *, for_reading: bool = False) -> str:
    """Return ``text`` as a normalised path below the memory folder.

    Pure: nothing is looked up, so links are the reader's concern (files opens every component
    with ``O_NOFOLLOW``).

    Args:
        text: What was sent.
        for_reading: Whether it may be a hidden file, unless that is left out altogether.

    Raises:
        PathRefused: The path is empty, absolute, hidden, too long, has ``..``, a backslash or a
            control character, or is a Windows drive path.
    """
    if text.startswith("/") or _DRIVE.match(text):
        raise PathRefused("the path is absolute; give one relative to the memory folder")
    if "\\" in text or any(unicodedata.category(char) == "Cc" for char in text):
        raise PathRefused("the path has a backslash or a control character")
    try:
        size = len(os.fsencode(text))
    except UnicodeEncodeError:
        raise PathRefused("the path has characters that no file name can hold") from None
    if size > MAX_PATH_BYTES:
        raise PathRefused(f"the path is longer than {MAX_PATH_BYTES} bytes")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    for part in parts:
        _check_component(part)
    path = "/".join(parts)
    if not text or path.isspace():
        raise PathRefused("the path is empty; give one relative to the memory folder")
    if not parts:
        raise PathRefused("the path names the memory folder itself")
    _check_hidden(parts, for_reading=for_reading)
    return path


def _check_component(part: str) -> None:
    if part == "..":
        raise PathRefused("the path leads out of its folder (..)")
    if len(os.fsencode(part)) > MAX_COMPONENT_BYTES:
        raise PathRefused(f"a file name is longer than {MAX_COMPONENT_BYTES} bytes")


def _check_hidden(parts: Sequence[str], *, for_reading: bool) -> None:
    *parents, name = parts
    for parent in filter(is_hidden, parents):
        raise PathRefused(f"{shown(parent)!r} is hidden; hidden folders are left alone")
    if is_left_out(name):
        raise PathRefused(f"{shown(name)!r} is hidden; hidden files of its sort are left alone")
    if is_hidden(name) and not for_reading:
        raise PathRefused(f"{shown(name)!r} is hidden; hidden files can be read, not changed")
