"""Reads one file for the index: what it is, and its text as far as it is indexed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sgoped.memory.beneath import directory_below, open_file
from sgoped.memory.document import Kind
from sgoped.memory.table import FileStatus
from sgoped.memory.textual import decode_text, is_image, looks_binary

HEAD_BYTES = 8192


@dataclass(frozen=True, slots=True)
class Body:
    """What reading a file showed; ``text`` is empty unless it is to be indexed."""

    kind: Kind
    status: FileStatus
    reason: str = ""
    text: str = ""


class BodyReader:
    """Reads files below ``root`` one after the other, following no link.

    Files of one directory mostly come together, so the last one's descriptor is kept: use a
    reader for a moment and close it, since a directory may be moved out of the folder.
    """

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._directory = ""
        self._fd = -1

    def __enter__(self) -> Self:
        """Open nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close what is open."""
        self._close()

    def read(self, path: str) -> Body:
        """What a file is, and at most ``max_bytes`` of its text.

        Never raises for what a file can do: a failure is a body with status ``FAILED``.
        """
        directory, _, name = path.rpartition("/")
        if is_image(name):
            return Body(Kind.IMAGE, FileStatus.SKIPPED, "image")
        try:
            fd, status = open_file(name, self._enter(directory))
            try:
                data = os.read(fd, HEAD_BYTES)
                if status.st_size > len(data):
                    if looks_binary(data):
                        return Body(Kind.BINARY, FileStatus.SKIPPED, "binary")
                    data = _read_on(fd, data, self._max_bytes)
            finally:
                os.close(fd)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            return Body(Kind.TEXT, FileStatus.FAILED, f"cannot be read: {reason}")
        return _body(data, status.st_size)

    def _enter(self, directory: str) -> int:
        if self._fd < 0 or directory != self._directory:
            self._close()
            with directory_below(self._root, directory.split("/") if directory else ()) as fd:
                self._fd = os.dup(fd)
            self._directory = directory
        return self._fd

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def read_body(root: Path, path: str, max_bytes: int) -> Body:
    """Read one file; see ``BodyReader.read``."""
    with BodyReader(root, max_bytes) as reader:
        return reader.read(path)


def _body(data: bytes, size: int) -> Body:
    cut = size > len(data)
    decoded = decode_text(_whole_characters(data) if cut else data)
    if decoded is None:
        return Body(Kind.BINARY, FileStatus.SKIPPED, "binary")
    reason = f"only the first {len(data)} of {size} bytes" if cut else ""
    return Body(Kind.TEXT, FileStatus.INDEXED, reason, decoded.text)


def _read_on(fd: int, head: bytes, max_bytes: int) -> bytes:
    pieces, size = [head], len(head)
    while size < max_bytes:
        piece = os.read(fd, min(max_bytes - size, 1 << 20))
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _whole_characters(data: bytes) -> bytes:
    """``data`` without a last line, or a last character, that may be cut."""
    end = data.rfind(b"\n") + 1
    if b"\0" in data[:HEAD_BYTES]:
        return data[: (end or len(data)) // 4 * 4]
    if end:
        return data[:end]
    end = len(data)
    while end > len(data) - 4 and data[end - 1] & 0xC0 == 0x80:  # noqa: PLR2004 - UTF-8's marks
        end -= 1
    return data[: end - 1] if data[end - 1] >= 0xC0 else data[:end]  # noqa: PLR2004
