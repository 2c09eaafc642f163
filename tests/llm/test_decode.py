from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgoped.llm.decode import (
    Decoder,
    JsonObject,
    Lines,
    NDJSONDecoder,
    SSEDecoder,
    parse_object,
    whole_number,
)


def decode(decoder: Decoder, *pieces: bytes) -> list[JsonObject]:
    objects = [value for piece in pieces for value in decoder.feed(piece)]
    return objects + decoder.close()


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


LINES = st.lists(
    st.sampled_from(
        [
            b'data: {"a": "\xc3\xa9\xf0\x9f\x98\x80"}',
            b'data:{"b": 1}',
            b": comment",
            b"",
            b"data: {broken",
            b"data:",
            b'data: "c": 2}',
            b"event: error",
            b"event: message",
            b"id: 7",
            b"nonsense",
            b'{"whole": [',
            b"]}",
            b"\xff\xfe",
            b"data: [DONE]",
        ]
    ),
    max_size=12,
)
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])


@given(st.lists(st.tuples(LINES, ENDS), max_size=3), st.lists(st.integers(0, 999), max_size=12))
def test_any_cut_of_the_bytes_gives_the_same_objects(
    blocks: list[tuple[list[bytes], bytes]], cuts: list[int]
) -> None:
    data = b"".join(line + end for lines, end in blocks for line in lines)
    for make in (SSEDecoder, NDJSONDecoder):
        whole, cut = make(), make()
        expected = decode(whole, data)
        assert decode(cut, *pieces_of(data, cuts)) == expected
        assert (cut.skipped, cut.ended, cut.overflowed) == (
            whole.skipped,
            whole.ended,
            whole.overflowed,
        )


@given(st.lists(st.binary(max_size=20)), st.integers(5, 15), st.lists(st.integers(0, 99)))
def test_any_cut_gives_the_same_lines_and_the_same_overflow(
    parts: list[bytes], limit: int, cuts: list[int]
) -> None:
    data = b"\n".join(parts)
    whole, cut = Lines(limit), Lines(limit)
    expected = [*whole.feed(data), *whole.close()]
    found = [line for piece in pieces_of(data, cuts) for line in cut.feed(piece)]
    assert [*found, *cut.close()] == expected
    assert cut.overflowed == whole.overflowed


@given(
    st.lists(
        st.dictionaries(st.text(max_size=5), st.text() | st.integers(), max_size=3), max_size=5
    ),
    ENDS,
)
def test_what_was_written_is_read_in_both_formats(values: list[JsonObject], end: bytes) -> None:
    lines = [json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") for value in values]
    expected = [json.loads(line) for line in lines]
    assert decode(NDJSONDecoder(), b"".join(line + end for line in lines)) == expected
    sse = b"".join(b"data: " + line + end + end for line in lines)
    assert decode(SSEDecoder(), sse) == expected


def test_a_300_kb_line_in_one_byte_pieces_of_its_end_is_one_object() -> None:
    text = "x" * 300_000
    data = b'data: {"t": "' + text.encode() + b'"}\n\n'
    assert decode(SSEDecoder(), data[:-20], *(data[i : i + 1] for i in range(-20, -1))) == [
        {"t": text}
    ]


def test_a_bad_line_in_the_middle_is_skipped_and_counted() -> None:
    sse = SSEDecoder()
    assert decode(sse, b'data: {"a": 1}\n\ndata: {"b"\n\ndata: {"c": 3}\n\n') == [
        {"a": 1},
        {"c": 3},
    ]
    assert sse.skipped == 1
    ndjson = NDJSONDecoder()
    assert decode(ndjson, b'{"a": 1}\n{"b"\n\n[]\n{"c": 3}') == [{"a": 1}, {"c": 3}]
    assert ndjson.skipped == 2


def test_one_object_written_over_several_data_lines_is_joined() -> None:
    assert decode(SSEDecoder(), b'data: {"a":\ndata: 1}\n\n') == [{"a": 1}]


def test_objects_are_given_at_once_even_when_blank_lines_are_missing() -> None:
    assert SSEDecoder().feed(b'data: {"a": 1}\ndata: {"b": 2}\n') == [{"a": 1}, {"b": 2}]


def test_nothing_counts_after_done() -> None:
    sse = SSEDecoder()
    assert decode(sse, b'data: {"a": 1}\n\ndata: [DONE]\n\ndata: {"b": 2}\n\n') == [{"a": 1}]
    assert sse.ended


@pytest.mark.parametrize("indent", [None, 2])
def test_a_body_that_is_one_document_is_decoded_at_its_end(indent: int | None) -> None:
    value = {"choices": [{"message": {"content": "hi"}}]}
    data = json.dumps(value, indent=indent).encode()
    for decoder in (SSEDecoder(), NDJSONDecoder()):
        assert decode(decoder, *(data[i : i + 1] for i in range(len(data)))) == [value]
        assert decoder.skipped == 0


def test_an_event_named_error_is_an_error_whatever_its_data() -> None:
    assert decode(SSEDecoder(), b'event: error\ndata: {"message": "x"}\n\n') == [
        {"error": {"message": "x"}}
    ]
    assert decode(SSEDecoder(), b"event: error\ndata: overloaded\n\n") == [{"error": "overloaded"}]


def test_a_byte_order_mark_at_the_start_is_dropped() -> None:
    assert decode(SSEDecoder(), b"\xef\xbb", b'\xbfdata: {"a": 1}\n\n') == [{"a": 1}]


def test_a_line_beyond_the_limit_overflows_and_keeps_what_came_before() -> None:
    for decoder in (NDJSONDecoder(100), SSEDecoder(100)):
        line = b'data: {"a": 1}\n\n' if isinstance(decoder, SSEDecoder) else b'{"a": 1}\n'
        assert decoder.feed(line + b"x" * 101) == [{"a": 1}]
        assert decoder.overflowed
        assert decoder.feed(b"\n" + line) == []
        assert decoder.close() == []


def test_data_held_over_many_lines_is_bounded_too() -> None:
    decoder = SSEDecoder(100)
    assert decode(decoder, b"data: {\n" * 200) == []
    assert decoder.overflowed


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b'{"a":' * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b"nul", b"[]", b""]
)
def test_hostile_json_is_no_object(data: bytes) -> None:
    assert parse_object(data) is None


@pytest.mark.parametrize(
    ("value", "number"), [(3, 3), (0, 0), (-1, None), (True, None), ("3", None), (2**60, None)]
)
def test_only_sensible_counts_count(value: object, number: int | None) -> None:
    assert whole_number(value) == number


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=4), st.booleans())
def test_every_object_is_read_as_the_standard_library_reads_it(
    value: dict[str, object], ascii_only: bool
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert parse_object(text) == json.loads(text.decode("utf-8", "replace"))


def test_bytes_that_are_no_utf8_are_replaced() -> None:
    assert parse_object(b'{"a": "x\xff"}') == {"a": "x\ufffd"}
    assert parse_object(b'{"a": "\\ud83d"}') == {"a": "\ud83d"}
