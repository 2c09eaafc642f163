"""Reads files of the person's own, anywhere, to send their text along."""

from __future__ import annotations

import codecs
import sys
from pathlib import Path

import click

_MAX_BYTES = 48 * 2**20
_SNIFFED_BYTES = 8192
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(path: str) -> str:
    """The text of a file, or of standard input for ``-``.

    Raises:
        click.FileError: It cannot be read, is binary, or too large.
    """
    try:
        data = _read(path)
    except OSError as error:
        raise click.FileError(path, error.strerror or str(error)) from error
    if len(data) > _MAX_BYTES:
        raise click.FileError(path, f"larger than {_MAX_BYTES // 2**20} MiB")
    try:
        return _decode(data)
    except ValueError:
        raise click.FileError(path, "not a text file") from None


def attachment(path: str) -> dict[str, object]:
    """A file as a chat or an action takes it: name, content, and size in bytes.

    Raises:
        click.FileError: As ``read_text``.
    """
    content = read_text(path)
    name = "stdin.txt" if path == "-" else Path(path).name
    return {"type": "file", "name": name, "content": content, "size": len(content.encode())}


def _read(path: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read(_MAX_BYTES + 1)
    with Path(path).open("rb") as file:
        return file.read(_MAX_BYTES + 1)


def _decode(data: bytes) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding)
    if b"\0" in data[:_SNIFFED_BYTES]:
        raise ValueError("binary")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
