from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgoped.errors import PathRefused
from sgoped.memory.document import (
    Document,
    Kind,
    document_id,
    path_from_id,
    safe_relative_path,
    shown,
)

REFUSED = [
    "",
    " ",
    " /",
    "./ ",
    ".",
    "/etc/x",
    "//x",
    "..",
    "../x",
    "a/../../x",
    "a/../b",
    ".hidden",
    "a/.git/config",
    "a\\b",
    "..\\x",
    "C:/x",
    "c:\\x",
    "nul\0byte",
    "line\nbreak",
    "x" * 256,
    "é" * 128,
    "/".join(["abcdefgh"] * 500),
    "\ud800",
]


@pytest.mark.parametrize("text", REFUSED)
def test_a_path_that_is_not_plainly_inside_is_refused(text: str) -> None:
    with pytest.raises(PathRefused) as failure:
        safe_relative_path(text)
    assert failure.value.code == "path_refused"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a", "a"),
        ("a/b.txt", "a/b.txt"),
        ("./a//b/", "a/b"),
        ("-rf", "-rf"),
        ("a b/ü.md", "a b/ü.md"),
        ("..a/b..", None),
        ("日本語.txt", "日本語.txt"),
        ("odd\udcff.txt", "odd\udcff.txt"),
        ("x" * 255, "x" * 255),
    ],
)
def test_a_plain_path_is_normalised(text: str, path: str | None) -> None:
    if path is None:
        with pytest.raises(PathRefused):
            safe_relative_path(text)
    else:
        assert safe_relative_path(text) == path


@given(st.text(max_size=60))
def test_whatever_is_accepted_stays_inside_and_is_stable(text: str) -> None:
    try:
        path = safe_relative_path(text)
    except PathRefused:
        return
    assert not path.startswith("/")
    assert all(part and not part.startswith(".") for part in path.split("/"))
    assert safe_relative_path(path) == path


@given(st.binary(min_size=1, max_size=60))
def test_an_id_leads_back_to_its_path_whatever_the_bytes(name: bytes) -> None:
    path = name.decode("utf-8", "surrogateescape")
    identity = document_id(path)
    assert identity.isascii()
    assert path_from_id(identity) == path


def test_what_is_no_id_has_no_path() -> None:
    assert path_from_id("notes/a.txt") is None
    assert path_from_id(".f:a\udcff.txt") is None
    assert path_from_id(".f:\ud800") is None


def test_a_document_shows_a_name_that_is_not_utf_8_with_a_replacement_character() -> None:
    document = Document(1, "a/\udcff.txt", Kind.TEXT, 0, 0)
    assert document.shown_path == "a/\ufffd.txt"
    assert document.name == "\udcff.txt"
    assert document.id == ".f:a/%FF.txt"
    assert shown("plain") == "plain"
