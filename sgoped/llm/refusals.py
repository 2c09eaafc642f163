"""Refusals of prompts that are too long: how they are told apart, and the numbers in them; pure.

Spellings of OpenAI, OpenRouter and vLLM ("maximum context length is 8192 tokens"), vLLM's engine
("longer than the maximum model length of 4096"), llama.cpp (``n_ctx``, "available context size
(4096 tokens)"), LM Studio ("context length of only 4096 tokens"), Mistral ("too large for model
with 32768 maximum context length"), Anthropic ("205000 tokens > 200000 maximum"), Gemini ("maximum
number of tokens allowed (1048576)") and Ollama, which names no number.
"""

from __future__ import annotations

import re

WORDS = (
    "context_length_exceeded",
    "exceed_context_size",
    "context length",
    "context size",
    "maximum context",
    "context window",
    "maximum model length",
    "max_model_len",
    "prompt is too long",
    "prompt too long",
    "maximum number of tokens allowed",
    "trying to keep the first",
)

_MIN_TOKENS = 16
_MAX_TOKENS = 10**9
_NUMBER = r"(\d{1,3}(?:,\d{3}){1,3}|\d{2,10})"
_LIMITS = tuple(
    re.compile(pattern.replace("N", _NUMBER), re.IGNORECASE)
    for pattern in (
        r"maximum context length (?:is|of) (?:only )?N",
        r"maximum context length \(N",
        r"\bn_ctx\b\W{1,4}N",
        r"context size \(N",
        r"maximum model length (?:is|of) N",
        r"max_model_len\W{1,4}N",
        r"context length (?:is|of) (?:only )?N",
        r"with N maximum context",
        r"N maximum",
        r"tokens allowed \(N",
        r"context window (?:is|of|size of) N",
        r"maximum of N tokens",
    )
)
_USED = tuple(
    re.compile(pattern.replace("N", _NUMBER), re.IGNORECASE)
    for pattern in (
        r"\(N (?:tokens )?(?:in|of) (?:the )?(?:messages|text input|input|prompt)",
        r"messages resulted in N",
        r"\bn_prompt_tokens\b\W{1,4}N",
        r"request has N input",
        r"(?:decoder )?prompt \(length N",
        r"input length \(N",
        r"input token count \(N",
        r"request \(N tokens",
        r"prompt contains N",
        r"keep the first N",
        r"too long: N",
        r"you requested (?:about )?N",
    )
)


def is_too_long(text: str) -> bool:
    """Whether what a service said means that the prompt is longer than the model can take."""
    lowered = text.lower()
    return any(word in lowered for word in WORDS)


def told_limit(text: str) -> int | None:
    """The most tokens that the model can take, by what the service said."""
    return _first(_LIMITS, text)


def told_prompt(text: str) -> int | None:
    """How many tokens the service counted in the refused prompt."""
    return _first(_USED, text)


def _first(patterns: tuple[re.Pattern[str], ...], text: str) -> int | None:
    for pattern in patterns:
        match = pattern.search(text)
        number = int(match.group(1).replace(",", "")) if match is not None else 0
        if _MIN_TOKENS <= number <= _MAX_TOKENS:
            return number
    return None
