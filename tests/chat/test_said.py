"""The text of an answer: whole up to a bound, and small while it grows."""

from __future__ import annotations

from random import Random

from sgoped.chat.said import CHUNK_BYTES, MAX_TEXT_CHARS, Said

WORDS = ("the", " plan", " füer", " 漢字", "\ud83d", "\ude00", ".\n", " 12")


def test_pieces_come_back_as_one_text() -> None:
    rng = Random(1)
    pieces = [rng.choice(WORDS) for _ in range(50_000)]
    said = Said()
    for piece in pieces:
        said.add(piece)
    assert said.text == "".join(pieces)


def test_what_is_beyond_the_bound_is_not_kept() -> None:
    said = Said("x" * (MAX_TEXT_CHARS - 1))
    said.add("yz")
    said.add("more")
    assert len(said.text) == MAX_TEXT_CHARS
    assert said.text.endswith("xy")


def test_a_long_answer_of_small_tokens_takes_less_memory_than_its_characters() -> None:
    rng = Random(1)
    vocabulary = ["".join(rng.choices("abcdefghij ", k=4)) for _ in range(2000)]
    said = Said()
    for _ in range(MAX_TEXT_CHARS // 4):
        said.add(rng.choice(vocabulary))
    assert len(said.text) == MAX_TEXT_CHARS
    assert said.kept_bytes < MAX_TEXT_CHARS * 3 // 4 + CHUNK_BYTES
