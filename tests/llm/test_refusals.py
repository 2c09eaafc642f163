"""What services say of prompts that are too long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgoped.llm import faults
from sgoped.llm.refusals import told_limit, told_prompt

SPELLINGS = [
    # OpenAI
    (
        (
            '{"error": {"message": "This model\'s maximum context length is 8192 tokens. However, your '
            'messages resulted in 10021 tokens. Please reduce the length of the messages.", "type": '
            '"invalid_request_error", "param": "messages", "code": "context_length_exceeded"}}'
        ),
        *(8192, 10021),
    ),
    # vLLM
    (
        (
            "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens "
            "(4800 in the messages, 200 in the completion). Please reduce the length of the messages "
            "or completion."
        ),
        *(4096, 4800),
    ),
    (
        (
            "The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make "
            "sure that `max_model_len` is no smaller than the number of text tokens."
        ),
        *(4096, 5000),
    ),
    (
        "This model's maximum context length is 4096 tokens and your request has 4999 input tokens",
        *(4096, 4999),
    ),
    ("Input length (5000) exceeds model's maximum context length (4096).", 4096, 5000),
    # llama.cpp
    (
        (
            '{"error":{"code":400,"message":"the request exceeds the available context size, try '
            'increasing it","type":"exceed_context_size_error","n_prompt_tokens":5001,"n_ctx":4096}}'
        ),
        *(4096, 5001),
    ),
    (
        "request (5002 tokens) exceeds the available context size (4096 tokens), try increasing it",
        *(4096, 5002),
    ),
    # LM Studio
    (
        (
            "Trying to keep the first 5003 tokens when context the overflows. However, the model is "
            "loaded with context length of only 4096 tokens, which is not enough."
        ),
        *(4096, 5003),
    ),
    # OpenRouter
    (
        (
            "This endpoint's maximum context length is 131,072 tokens. However, you requested about "
            "200,000 tokens (190,000 of text input, 10,000 in the output)."
        ),
        *(131072, 190000),
    ),
    # Mistral, Anthropic, Gemini, Ollama
    (
        (
            "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum "
            "context length"
        ),
        *(32768, 40000),
    ),
    ("prompt is too long: 205000 tokens > 200000 maximum", 200000, 205000),
    (
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        *(1048576, 1200000),
    ),
    ("the input length exceeds the context length", None, None),
]


@pytest.mark.parametrize(("said", "limit", "used"), SPELLINGS)
def test_the_numbers_in_a_refusal_are_understood(
    said: str, limit: int | None, used: int | None
) -> None:
    for failure in (faults.from_status(400, said), faults.from_report({"message": said})):
        assert failure.code == "prompt_too_long"
        assert (failure.limit_tokens, failure.prompt_tokens) == (limit, used)
        assert not any(digit in failure.message for digit in "0123456789")


def test_another_refusal_has_no_numbers() -> None:
    failure = faults.from_status(400, "max_tokens must be at most 4096")
    assert (failure.code, failure.limit_tokens) == ("service_refused", None)


@given(
    st.text(max_size=300)
    | st.text(st.sampled_from("n_ctx 0123(,) maximum context length"), max_size=900)
)
def test_anything_may_be_said(said: str) -> None:
    for number in (told_limit(said), told_prompt(said)):
        assert number is None or 16 <= number <= 10**9
