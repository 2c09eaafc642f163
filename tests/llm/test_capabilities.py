"""What services say of their models, in the shapes that they say it in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgoped.llm.capabilities import (
    Capabilities,
    as_json,
    from_json,
    from_listing,
    from_show,
)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (
            {"capabilities": ["completion", "thinking", "tools"]},
            Capabilities(9, thinking=True, vision=False, embeddings=False, digest="d"),
        ),
        (
            {"capabilities": ["completion", "vision"]},
            Capabilities(9, thinking=False, vision=True, embeddings=False, digest="d"),
        ),
        (
            {"capabilities": ["embedding"]},
            Capabilities(9, thinking=False, vision=False, embeddings=True, digest="d"),
        ),
        (
            {"projector_info": {"clip.has_vision_encoder": True}},
            Capabilities(9, None, True, None, "d"),
        ),
        ({"model_info": {"gemma3.vision.block_count": 27}}, Capabilities(9, None, True, None, "d")),
        ({"model_info": {"llama.context_length": 9}}, Capabilities(9, digest="d")),
        ({"capabilities": "vision"}, Capabilities(9, digest="d")),
    ],
)
def test_what_ollama_shows_is_understood(shown: dict[str, Any], expected: Capabilities) -> None:
    assert from_show(shown, 9, "d") == expected


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        # OpenRouter
        (
            {
                "architecture": {
                    "input_modalities": ["text", "image"],
                    "output_modalities": ["text"],
                },
                "supported_parameters": ["max_tokens", "reasoning", "include_reasoning"],
            },
            Capabilities(9, thinking=True, vision=True, embeddings=False),
        ),
        (
            {
                "architecture": {"input_modalities": ["text"], "output_modalities": ["embeddings"]},
                "supported_parameters": ["temperature"],
            },
            Capabilities(9, thinking=False, vision=False, embeddings=True),
        ),
        # Mistral
        (
            {"capabilities": {"completion_chat": True, "vision": True, "fine_tuning": False}},
            Capabilities(9, vision=True),
        ),
        ({"capabilities": {"reasoning": True, "vision": False}}, Capabilities(9, True, False)),
        # llama.cpp
        ({"capabilities": ["completion", "multimodal"]}, Capabilities(9, vision=True)),
        ({"capabilities": ["completion"]}, Capabilities(9)),
        # LM Studio, Together
        ({"type": "vlm"}, Capabilities(9, vision=True, embeddings=False)),
        ({"type": "embeddings"}, Capabilities(9, embeddings=True)),
        ({"type": "embedding"}, Capabilities(9, embeddings=True)),
        ({"type": "chat"}, Capabilities(9, embeddings=False)),
        # vLLM, OpenAI
        ({"max_model_len": 9}, Capabilities(9)),
        ({"id": "gpt", "object": "model", "owned_by": "system"}, Capabilities(9)),
    ],
)
def test_what_a_list_says_is_understood(model: dict[str, Any], expected: Capabilities) -> None:
    assert from_listing(model, 9) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)
FIELDS = st.sampled_from(
    ["capabilities", "architecture", "supported_parameters", "type", "model_info", "digest"]
)


@given(st.dictionaries(FIELDS, JSON | st.dictionaries(FIELDS, JSON)))
def test_whatever_a_service_says_is_facts_or_nothing(said: dict[str, Any]) -> None:
    for told in (from_show(said, None, ""), from_listing(said, None)):
        assert from_json(as_json({"m": told})) == {"m": told}


@pytest.mark.parametrize("stored", [None, [], {"m": 5}, {"m": None}])
def test_what_cannot_be_read_is_asked_for_again(stored: Any) -> None:
    assert from_json(stored) == {}
