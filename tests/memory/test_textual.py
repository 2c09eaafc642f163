from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgoped.errors import InvalidInput
from sgoped.memory.textual import (
    HEAD_BYTES,
    DecodedText,
    decode_text,
    encode_text,
    is_image,
    looks_binary,
)

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\r\t"))
ENCODINGS = ["utf-8", "utf-8-bom", "utf-16-le-bom", "utf-16-be-bom", "utf-32-le-bom"]


@given(st.binary() | TEXT.map(str.encode) | TEXT.map(lambda text: text.encode("utf-16")))
def test_what_is_decoded_is_encoded_to_the_same_bytes(data: bytes) -> None:
    decoded = decode_text(data)
    if decoded is not None:
        assert encode_text(decoded.text, decoded.encoding) == data


@given(TEXT, st.sampled_from(ENCODINGS))
def test_text_in_a_unicode_encoding_is_read_back(text: str, encoding: str) -> None:
    text = text.lstrip("\ufeff")
    stored = encode_text(text, encoding)
    if encoding == "utf-8" and text.startswith("%PDF-"):
        return
    assert decode_text(stored) == DecodedText(text, encoding)


@given(TEXT)
def test_text_for_a_legacy_encoding_is_never_lost(text: str) -> None:
    text = text.lstrip("\ufeff")
    decoded = decode_text(encode_text(text, "cp1252"))
    if not text.startswith("%PDF-") and not text.encode("cp1252", "ignore").isascii():
        return  # legacy bytes can happen to be valid UTF-8; what is written then still is text
    assert decoded is None or decoded.text == text


@given(st.binary(), st.integers(0, 40))
def test_what_looks_binary_is_never_decoded(data: bytes, cut: int) -> None:
    if looks_binary(data[: len(data) - cut]):
        assert decode_text(data) is None


@given(TEXT.filter(lambda text: not text.startswith("%PDF-")), st.integers(0, 40))
def test_text_cut_anywhere_does_not_look_binary(text: str, cut: int) -> None:
    data = text.encode()
    assert not looks_binary(data[: len(data) - cut])


def test_a_long_file_is_judged_by_a_head_that_cuts_a_character() -> None:
    data = b"x" * (HEAD_BYTES - 1) + "€".encode() * 10
    assert not looks_binary(data)
    assert decode_text(data) == DecodedText(data.decode(), "utf-8")


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"", "utf-8"),
        (b"plain\n", "utf-8"),
        ("größe".encode(), "utf-8"),
        (b"\xef\xbb\xbfmarked", "utf-8-bom"),
        ("größe".encode("utf-16"), "utf-16-le-bom"),
        ("größe".encode("utf-32"), "utf-32-le-bom"),
        (b"\xfe\xff" + "größe".encode("utf-16-be"), "utf-16-be-bom"),
        ("no mark at all\r\n".encode("utf-16-le"), "utf-16-le"),
        ("no mark at all\r\n".encode("utf-16-be"), "utf-16-be"),
        ("größe, 5 €".encode("cp1252"), "cp1252"),
        (b"undefined in windows: \x81", "latin-1"),
        (b"\x1b[31mred\x1b[0m\n", "utf-8"),
    ],
)
def test_encodings_that_occur_are_recognised(data: bytes, encoding: str) -> None:
    decoded = decode_text(data)
    assert decoded is not None
    assert decoded.encoding == encoding
    assert not looks_binary(data)


@pytest.mark.parametrize(
    "data",
    [
        b"text and then \0 NUL",
        b"\x7fELF\x02\x01\x01\0\0\0",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"%PDF-1.4\n% all of it is text\n",
        gzip.compress(b"some text " * 50),
        zlib.compress(bytes(range(256)) * 4),
        b"GIF89a\x01\0\x01\0",
        bytes(range(1, 32)) * 10,
        (70000).to_bytes(4, "little") * 100,
    ],
)
def test_binary_is_recognised(data: bytes) -> None:
    assert decode_text(data) is None
    assert looks_binary(data)


def some_files(folder: str, suffixes: tuple[str, ...], limit: int = 40) -> list[Path]:
    root = Path(folder)
    if not root.is_dir():
        return []
    found = (path for path in root.rglob("*") if path.suffix in suffixes and path.is_file())
    return [path for path, _ in zip(found, range(limit), strict=False)]


def test_real_text_files_are_text() -> None:
    suffixes = (".py", ".h", ".html", ".csv", ".po", ".txt", ".xml", ".json", ".pl", ".css")
    for path in some_files("/usr/share", suffixes) + some_files("/usr/lib/python3", (".py",)):
        data = path.read_bytes()
        assert not looks_binary(data[:HEAD_BYTES]), path
        assert decode_text(data) is not None, path


def test_real_binary_files_are_binary() -> None:
    magic = (b"\x7fELF", b"\x89PNG", b"\x1f\x8b", b"%PDF", b"\xff\xd8\xff", b"\xde\x12\x04\x95")
    suffixes = (".png", ".gz", ".pdf", ".jpg", ".mo")
    programs = [path for path in sorted(Path("/usr/bin").glob("*"))[:60] if path.is_file()]
    for path in some_files("/usr/share", suffixes) + programs:
        data = path.read_bytes()
        if data.startswith(magic):
            assert looks_binary(data[:HEAD_BYTES]), path
            assert decode_text(data) is None, path


def test_a_character_without_a_place_in_the_legacy_encoding_turns_the_file_into_utf_8() -> None:
    assert encode_text("größe →", "cp1252") == "größe →".encode()
    assert encode_text("größe", "cp1252") == b"gr\xf6\xdfe"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le-bom", "cp1252"])
def test_a_lone_surrogate_is_refused(encoding: str) -> None:
    with pytest.raises(InvalidInput, match="surrogate"):
        encode_text("half \ud800 a character", encoding)


def test_an_unknown_encoding_is_refused_naming_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="utf-16-le"):
        encode_text("text", "ebcdic")


def test_images_are_told_by_their_suffix() -> None:
    assert is_image("Photo.JPG")
    assert is_image("a.b.webp")
    assert not is_image("png")
    assert not is_image(".png")
    assert not is_image("drawing.svg")


def test_a_marked_file_that_does_not_decode_is_binary() -> None:
    assert decode_text(b"\xff\xfeodd") is None
    assert decode_text(b"\xef\xbb\xbf\xff\0") is None
