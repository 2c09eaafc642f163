"""Keys are taken out of texts by value, in every usual spelling, and nothing else is."""

from __future__ import annotations

import base64
import html
import io
import json
import logging
import sys
from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgoped.redaction import (
    MAX_REMEMBERED,
    REDACTED,
    REMEMBERED_SECONDS,
    Redactor,
    TextRedactor,
    redacted_logs,
    spelled,
)

KEY = 'sk-proj/a+b="c&d\\e<f>-0123456789'
PRINTABLE = st.characters(min_codepoint=33, max_codepoint=126)


def knowing(*keys: str) -> Redactor:
    redactor = Redactor()
    for key in keys:
        redactor.hold(key)
    return redactor


@pytest.mark.parametrize(
    "written",
    [
        KEY,
        f"Bearer {KEY}",
        f"Incorrect API key provided: {KEY}.",
        repr({"Authorization": f"Bearer {KEY}"}),
        json.dumps({"key": KEY}),
        json.dumps({"key": KEY}).replace("/", "\\/"),
        quote(KEY),
        f"https://host/?key={quote(KEY, safe='')}",
        html.escape(KEY),
        base64.b64encode(KEY.encode()).decode(),
        base64.b64encode(f"user:{KEY}".encode()).decode(),
        base64.b64encode(f"Bearer {KEY}".encode()).decode(),
        base64.urlsafe_b64encode(f"a{KEY}".encode()).decode(),
    ],
)
def test_a_key_is_found_in_every_usual_spelling(written: str) -> None:
    redacted = knowing(KEY).redact(f"before {written} after")
    assert REDACTED in redacted
    assert redacted.startswith("before ")
    assert redacted.endswith(" after")
    for part in ("0123456789", base64.b64encode(b"0123456789").decode()[:10]):
        assert part not in redacted


@given(st.text(PRINTABLE, min_size=8, max_size=60), st.binary(max_size=9))
def test_no_key_is_left_in_base64_whatever_stands_before_it(key: str, before: bytes) -> None:
    encoded = base64.b64encode(before + key.encode()).decode()
    assert knowing(key).redact(encoded) != encoded


@given(st.text(), st.text(PRINTABLE, min_size=8), st.text())
def test_a_text_without_a_key_is_left_alone(text: str, key: str, more: str) -> None:
    redactor = knowing(key)
    assert key not in redactor.redact(text + key + more).replace(REDACTED, "\0")
    if not any(spelling in text for spelling in (key, key[:8])):
        assert redactor.redact(text) == text or REDACTED in redactor.redact(text)


@pytest.mark.parametrize("word", ["", "a", "none", "ollama", "EMPTY"])
def test_a_word_in_the_place_of_a_key_blanks_nothing(word: str) -> None:
    assert knowing(word).redact("a none ollama EMPTY text") == "a none ollama EMPTY text"


def test_a_key_that_is_no_longer_used_is_known_for_some_minutes() -> None:
    now = [0.0]
    redactor = Redactor(lambda: now[0])
    redactor.hold(KEY)
    with redactor.holding(KEY):
        assert redactor.redact(KEY) == REDACTED
    now[0] = 10 * REMEMBERED_SECONDS
    assert redactor.redact(KEY) == REDACTED, "still held once"
    redactor.release(KEY)
    now[0] += REMEMBERED_SECONDS - 1
    assert redactor.redact(KEY) == REDACTED
    now[0] += 1
    assert redactor.redact(KEY) == KEY
    assert redactor.secrets() == []


def test_released_keys_are_bounded_and_held_ones_are_not_among_them() -> None:
    redactor = knowing(KEY)
    for number in range(2 * MAX_REMEMBERED):
        with redactor.holding(f"another-key-{number:04}"):
            pass
    assert len(redactor.secrets()) == MAX_REMEMBERED + 1
    assert redactor.redact(KEY) == REDACTED


def test_a_change_costs_one_key_not_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test of a service is two changes on the event loop, and keys may be long."""
    redactor = knowing(*(f"another-key-{number:04}" for number in range(MAX_REMEMBERED)))
    asked: list[str] = []

    def count(secret: str) -> set[str]:
        asked.append(secret)
        return spelled(secret)

    monkeypatch.setattr("sgoped.redaction.spelled", count)
    with redactor.holding(KEY):
        assert redactor.redact(f"{KEY} another-key-0001") == f"{REDACTED} {REDACTED}"
    assert redactor.redact(quote(KEY)) == REDACTED
    assert asked == [KEY]


def test_of_two_keys_the_longer_is_taken_out_whole() -> None:
    redactor = knowing("0123456789", "0123456789-and-more", "more-0123456789")
    assert redactor.redact("0123456789-and-more, 0123456789") == f"{REDACTED}, {REDACTED}"


def test_whatever_is_logged_by_whomever_has_no_key() -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    foreign = logging.getLogger("some.foreign.package")
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        with redacted_logs(knowing(KEY)):
            foreign.warning("key %s and %r", KEY, {"key": KEY})
            foreign.warning("not enough %s %s", KEY)
            try:
                int(KEY)
            except ValueError:
                foreign.exception("failed", stack_info=True)
            foreign.error(KEY, exc_info=sys.exc_info())
        assert handler.filters == []
    finally:
        root.removeHandler(handler)
    text = written.getvalue()
    assert text.count(REDACTED) >= 4
    assert "ValueError" in text
    assert "0123456789" not in text


@given(
    st.lists(st.sampled_from(["a", "b", "ab", "sk", "-", "the key"]), max_size=30),
    st.text("ab-k", min_size=16, max_size=20),
    st.lists(st.integers(0, 200), max_size=30),
)
def test_a_key_is_taken_out_however_a_text_is_cut(
    words: list[str], key: str, cuts: list[int]
) -> None:
    for text in ("".join(words), "".join(words) + key + "".join(words) + key):
        stream = TextRedactor(knowing(key))
        places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
        pieces = [text[a:b] for a, b in pairwise(places)]
        told = "".join([*map(stream.feed, pieces), stream.close()])
        if key in text:
            assert REDACTED in told
            assert key not in told
        else:
            assert told == text


def test_what_is_no_beginning_of_a_key_does_not_wait() -> None:
    stream = TextRedactor(knowing(KEY))
    assert [stream.feed(piece) for piece in ("This is", " s", "k", "- and")] == [
        "This is",
        " s",
        "k",
        "- and",
    ]
    assert stream.feed(f"see {KEY[:9]}") == "see "
    assert stream.feed("?") == f"{KEY[:9]}?"
    assert [stream.feed(character) for character in KEY][:4] == ["s", "k", "-", ""]
    assert stream.feed("!") == "!"


def test_what_holds_no_beginning_of_a_key_is_not_looked_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of thousands of tokens each passes here."""
    looked: list[str] = []

    def overlap(text: str, *_: object) -> int:
        looked.append(text)
        return 0

    monkeypatch.setattr("sgoped.redaction._overlap", overlap)
    stream = TextRedactor(knowing(KEY))
    assert (
        "".join(map(stream.feed, ["plain ", "tokens ", "sk", "- ", "end"]))
        == "plain tokens sk- end"
    )
    assert looked == []
