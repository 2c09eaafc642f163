from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgoped.llm import ollama, openai
from sgoped.llm.answer import Answer, WholeCharacters, thought, written
from sgoped.llm.decode import JsonObject, NDJSONDecoder, SSEDecoder
from sgoped.llm.types import Finished, StreamEvent, TextDelta


def sse(*values: JsonObject, end: str = "data: [DONE]\n\n") -> bytes:
    return "".join(f"data: {json.dumps(value)}\n\n" for value in values).encode() + end.encode()


def choice(**fields: object) -> JsonObject:
    return {"choices": [fields]}


def read(data: bytes) -> tuple[list[StreamEvent], Answer]:
    answer = Answer(SSEDecoder(), openai.read_chunk)
    events = answer.feed(data)
    return (events if answer.ended else events + answer.close()), answer


@given(st.text(st.characters(exclude_categories=())), st.lists(st.integers(0, 99)))
def test_characters_cut_in_half_are_joined(text: str, cuts: list[int]) -> None:
    halves = text.encode("utf-16-le", "surrogatepass")
    units = [
        halves[i : i + 2].decode("utf-16-le", "surrogatepass") for i in range(0, len(halves), 2)
    ]
    edges = [0, *sorted(cut % (len(units) + 1) for cut in cuts), len(units)]
    whole = WholeCharacters()
    joined = "".join(whole.feed("".join(units[a:b])) for a, b in pairwise(edges)) + whole.close()
    assert joined == halves.decode("utf-16-le", "replace")
    joined.encode()


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (None, ""), (5, ""), ([{"type": "text", "text": "a"}, {"text": None}, 1], "a")],
)
def test_content_is_text_or_parts_with_text(value: object, text: str) -> None:
    assert written(value) == text


def test_thinking_is_taken_from_one_field_only() -> None:
    assert thought({"reasoning": "a", "reasoning_content": "a"}) == "a"
    assert thought({"reasoning": None, "thinking": {"x": 1}}) == ""


def test_a_legacy_error_object_in_a_stream_is_an_error() -> None:
    events, answer = read(sse(choice(delta={"content": "a"}), {"object": "error", "message": "x"}))
    assert events == [TextDelta("a")]
    assert answer.failure is not None


@pytest.mark.parametrize(
    "bad",
    [
        choice(finish_reason="error"),
        choice(error={"code": 502}),
        {"error": "text"},
        {"error": {"code": 401}},
    ],
)
def test_an_error_in_any_place_ends_the_answer(bad: JsonObject) -> None:
    events, answer = read(sse(choice(delta={"content": "a"}), bad))
    assert events == [TextDelta("a")]
    assert answer.failure is not None


def test_an_error_field_that_is_null_is_no_error() -> None:
    events, answer = read(sse(choice(delta={"content": "a"}) | {"error": None}))
    assert events == [TextDelta("a"), Finished("stop")]
    assert answer.failure is None


def test_done_without_any_text_or_reason_is_an_error() -> None:
    events, answer = read(sse())
    assert events == []
    assert answer.failure is not None
    assert answer.failure.code == "service_empty"


@pytest.mark.parametrize(
    "strange",
    [
        {"choices": {}},
        {"choices": [[]]},
        {"choices": None},
        choice(delta=[]),
        choice(delta={"content": {}}),
        choice(delta={"content": 5}, finish_reason=5),
        {"usage": []},
        {"usage": {"prompt_tokens": -1, "completion_tokens": True}},
    ],
)
def test_strange_shapes_are_borne(strange: JsonObject) -> None:
    events, answer = read(sse(strange, choice(delta={"content": "a"})))
    assert events == [TextDelta("a"), Finished("stop")]
    answer = Answer(NDJSONDecoder(), ollama.read_chunk)
    data = json.dumps(strange) + '\n{"message": {"content": "a"}, "done": true}\n'
    assert answer.feed(data.encode()) == [TextDelta("a"), Finished("stop")]


@pytest.mark.parametrize(
    ("shown", "window"),
    [
        ({"model_info": {"llama.context_length": 8192}}, 8192),
        (
            {"parameters": "stop x\nnum_ctx    16384\n", "model_info": {"a.context_length": 1}},
            16384,
        ),
        ({"model_info": {"a.context_length": "big", "b": 5}}, None),
        ({"model_info": None, "parameters": 7}, None),
        ({}, None),
    ],
)
def test_the_window_in_what_ollama_shows(shown: JsonObject, window: int | None) -> None:
    assert ollama.window(shown) == window


@pytest.mark.parametrize(
    ("model", "window"),
    [
        ({"context_length": 1}, 1),
        ({"max_model_len": 2}, 2),
        ({"context_window": 3}, 3),
        ({"top_provider": {"context_length": 4}}, 4),
        ({"meta": {"n_ctx": 5}}, 5),
        ({"context_length": 0, "meta": []}, None),
        ({}, None),
    ],
)
def test_the_window_in_what_an_endpoint_lists(model: JsonObject, window: int | None) -> None:
    assert openai.window(model) == window
