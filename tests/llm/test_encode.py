"""Bodies of requests."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sgoped.llm import encode
from sgoped.llm.encode import SLICE_CHARS, encode_body

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just('é\ud83d\ude00"' * 9)
)
BODIES = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=10,
    ),
    max_size=5,
)


@given(BODIES)
def test_a_body_is_written_as_the_library_does(body: dict[str, Any]) -> None:
    pieces = b"".join(encode._pieces(body))
    assert pieces == json.dumps(body).encode()


async def test_a_long_prompt_leaves_others_their_turn() -> None:
    text = 'wörd "字" \U0001f600\n' * (SLICE_CHARS // 4)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        counting = tasks.create_task(count())
        data = await encode_body({"messages": [{"role": "user", "content": text}], "stream": True})
        counting.cancel()
    assert json.loads(data)["messages"][0]["content"] == text
    assert turns >= len(text) // SLICE_CHARS
