"""Tells text from binary by content, decodes it, and encodes it back to the same bytes.

The law, tested: whatever ``decode_text`` accepts, ``encode_text`` turns back into the very
bytes that were read, so that saving a file unchanged cannot alter it.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from sgoped.errors import InvalidInput

HEAD_BYTES = 8192
IMAGE_SUFFIXES = frozenset(
    (
        *(".avif", ".bmp", ".gif", ".heic", ".heif", ".ico", ".jfif", ".jpeg", ".jpg", ".jxl"),
        *(".png", ".tif", ".tiff", ".webp"),
    )
)
"""Raster images. SVG is not among them: it is text that can be searched and sent along."""

# Our name -> (byte order mark, Python codec). utf-32 marks start with the utf-16-le one.
_ENCODINGS = {
    "utf-8-bom": (codecs.BOM_UTF8, "utf-8"),
    "utf-32-le-bom": (codecs.BOM_UTF32_LE, "utf-32-le"),
    "utf-32-be-bom": (codecs.BOM_UTF32_BE, "utf-32-be"),
    "utf-16-le-bom": (codecs.BOM_UTF16_LE, "utf-16-le"),
    "utf-16-be-bom": (codecs.BOM_UTF16_BE, "utf-16-be"),
    "utf-8": (b"", "utf-8"),
    "utf-16-le": (b"", "utf-16-le"),
    "utf-16-be": (b"", "utf-16-be"),
    "cp1252": (b"", "cp1252"),
    "latin-1": (b"", "latin-1"),
}
_MARKED = tuple((name, *_ENCODINGS[name]) for name in _ENCODINGS if name.endswith("-bom"))
_SINGLE_BYTE = ("cp1252", "latin-1")

# As file(1) sees it: bell, backspace, tab, line feed, vertical tab, form feed, return, escape.
_TEXT_CONTROLS = bytes([7, 8, 9, 10, 11, 12, 13, 27])
_CONTROLS = bytes(set(range(32)) - set(_TEXT_CONTROLS)) + b"\x7f"
_PRINTABLE = bytes(range(32, 127)) + b"\t\n\r"
_MAX_CONTROL_SHARE = 0.05
_MIN_UTF16_UNITS = 4
_MIN_ASCII_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class DecodedText:
    """Text and how it was stored.

    Attributes:
        text: Without a byte order mark, line ends as they were.
        encoding: What ``encode_text`` needs: ``utf-8``, ``utf-8-bom``, ``utf-16-le``,
            ``utf-16-be``, each of them and ``utf-32-*`` with ``-bom``, ``cp1252``, ``latin-1``.
    """

    text: str
    encoding: str


def decode_text(data: bytes) -> DecodedText | None:
    """Decode a whole file; None when it is binary.

    In this order: a byte order mark; UTF-8 without NUL; UTF-16 without a mark where nearly
    every other byte is NUL; else Windows-1252, or Latin-1 where that leaves a byte undefined,
    if there is no control character in it that text never has.
    """
    head = data[:HEAD_BYTES]
    for name, mark, codec in _MARKED:
        if data.startswith(mark):
            return _decoded(data[len(mark) :], codec, name)
    if b"\0" in data:
        wide = _unmarked_utf16(head)
        return None if wide is None else _decoded(data, wide, wide)
    if _is_marked_binary(head):
        return None
    if not _has_many_controls(head):
        decoded = _decoded(data, "utf-8", "utf-8")
        if decoded is not None:
            return decoded
    return _single_byte(data)


def encode_text(text: str, encoding: str) -> bytes:
    """Encode as ``decode_text`` found it, byte order mark included.

    A character that Windows-1252 or Latin-1 cannot hold turns the file into UTF-8: the text is
    kept, and read back as the same text.

    Raises:
        InvalidInput: The encoding is unknown, or the text holds a lone surrogate, which is no
            character and cannot be stored.
    """
    if encoding not in _ENCODINGS:
        raise InvalidInput(f"Unknown encoding {encoding!r}; known are {', '.join(_ENCODINGS)}")
    mark, codec = _ENCODINGS[encoding]
    try:
        return mark + text.encode(codec)
    except UnicodeEncodeError as error:
        if encoding in _SINGLE_BYTE:
            return encode_text(text, "utf-8")
        raise InvalidInput(
            f"The text holds half a character (a lone surrogate) at position {error.start}"
        ) from error


def looks_binary(head: bytes) -> bool:
    """Judge a file by its first ``HEAD_BYTES``, whose last character may be cut.

    Whatever looks binary here, ``decode_text`` refuses; the reverse need not hold.
    """
    head = head[:HEAD_BYTES]
    for _name, mark, codec in _MARKED:
        if head.startswith(mark):
            return not _decodes(head[len(mark) :], codec)
    if b"\0" in head:
        wide = _unmarked_utf16(head)
        return wide is None or not _decodes(head, wide)
    if _is_marked_binary(head):
        return True
    if not _has_many_controls(head) and _decodes(head, "utf-8"):
        return False
    return _has_controls(head)


def is_image(name: str) -> bool:
    """Whether a file's name says that it is a raster image."""
    stem, dot, suffix = name.rpartition(".")
    return bool(stem) and f"{dot}{suffix}".lower() in IMAGE_SUFFIXES


def _decoded(data: bytes, codec: str, name: str) -> DecodedText | None:
    try:
        text = data.decode(codec)
    except UnicodeDecodeError:
        return None
    if "\0" in text:
        return None
    return DecodedText(text, name)


def _decodes(head: bytes, codec: str) -> bool:
    try:
        text = codecs.getincrementaldecoder(codec)().decode(head)
    except UnicodeDecodeError:
        return False
    return "\0" not in text


def _single_byte(data: bytes) -> DecodedText | None:
    if _has_controls(data):
        return None
    for name in _SINGLE_BYTE:
        try:
            return DecodedText(data.decode(name), name)
        except UnicodeDecodeError:
            continue
    return None


def _has_controls(data: bytes) -> bool:
    return len(data.translate(None, _CONTROLS)) < len(data)


def _has_many_controls(head: bytes) -> bool:
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return controls > len(head) * _MAX_CONTROL_SHARE


def _is_marked_binary(head: bytes) -> bool:
    """PDF is the one common binary format that can look like text from end to end."""
    return head.startswith(b"%PDF-")


def _unmarked_utf16(head: bytes) -> str | None:
    """Name the byte order when nearly all units are plain ASCII; anything less is a guess."""
    pairs = head[: len(head) & ~1]
    units = len(pairs) // 2
    if units < _MIN_UTF16_UNITS:
        return None
    for name, text, zeros in (
        ("utf-16-le", pairs[::2], pairs[1::2]),
        ("utf-16-be", pairs[1::2], pairs[::2]),
    ):
        ascii_units = units - len(zeros.replace(b"\0", b""))
        printable = len(text) - len(text.translate(None, _PRINTABLE))
        wanted = units * _MIN_ASCII_SHARE
        if ascii_units >= wanted and printable >= wanted and b"\0" not in text:
            return name
    return None
