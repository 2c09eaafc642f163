"""Reads one file for the index: what it is, and its text as far as it is indexed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

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


def read_body(root: Path, path: str, max_bytes: int) -> Body:
    """Read at most ``max_bytes`` of a file below ``root``, following no link.

    Never raises for what a file can do: a failure is a body with status ``FAILED``.
    """
    *parents, name = path.split("/")
    if is_image(name):
        return Body(Kind.IMAGE, FileStatus.SKIPPED, "image")
    try:
        with directory_below(root, parents) as dir_fd:
            fd, status = open_file(name, dir_fd)
        with os.fdopen(fd, "rb", buffering=0) as file:
            head = file.read(HEAD_BYTES)
            if looks_binary(head):
                return Body(Kind.BINARY, FileStatus.SKIPPED, "binary")
            data = head if status.st_size <= len(head) else _read_on(file.fileno(), head, max_bytes)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return Body(Kind.TEXT, FileStatus.FAILED, f"cannot be read: {reason}")
    cut = status.st_size > len(data)
    decoded = decode_text(_whole_characters(data) if cut else data)
    if decoded is None:
        return Body(Kind.BINARY, FileStatus.SKIPPED, "binary")
    reason = f"only the first {len(data)} of {status.st_size} bytes" if cut else ""
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
