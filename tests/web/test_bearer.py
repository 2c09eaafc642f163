"""Whether a request carries the token, without any daemon."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgoped.web.bearer import ALONE, MISSING, WRONG, judge_subprotocols, judge_token

TOKEN = "0123456789abcdef0123456789abcdef"
RIGHT = f"Bearer {TOKEN}"
OFFERED = f"sgoped.bearer.{TOKEN}"


@pytest.mark.parametrize(
    ("authorizations", "subprotocols", "refusal"),
    [
        ([RIGHT], [], None),
        ([f"bearer  {TOKEN} "], [], None),
        ([], [f"sgoped, {OFFERED}"], None),
        ([], ["sgoped", OFFERED], None),
        ([RIGHT], [f"sgoped, {OFFERED}"], None),
        ([], [], MISSING),
        ([], ["sgoped"], MISSING),
        ([""], [], WRONG),
        (["Bearer"], [], WRONG),
        (["Bearer "], [], WRONG),
        ([TOKEN], [], WRONG),
        ([f"Basic {TOKEN}"], [], WRONG),
        ([f"Bearer {TOKEN}x"], [], WRONG),
        ([f"Bearer {TOKEN[:-1]}"], [], WRONG),
        ([f"Bearer {TOKEN.upper()}"], [], WRONG),
        ([RIGHT, "Bearer other"], [], WRONG),
        ([RIGHT], ["sgoped.bearer.other"], WRONG),
        (["Bearer \udcff"], [], WRONG),
    ],
)
def test_the_token_and_nothing_else_passes(
    authorizations: list[str], subprotocols: list[str], refusal: object
) -> None:
    assert judge_token(TOKEN, authorizations, subprotocols) == refusal


@given(st.text(max_size=50))
def test_no_other_text_passes(text: str) -> None:
    for sent in (text, f"Bearer {text}"):
        assert judge_token(TOKEN, [sent], []) is not None
    assert judge_token(TOKEN, [], [f"sgoped.bearer.{text}"]) is not None


@pytest.mark.parametrize(
    ("subprotocols", "refusal"),
    [
        ([], None),
        (["sgoped"], None),
        (["other"], None),
        ([f"sgoped, {OFFERED}"], None),
        ([f"{OFFERED},sgoped"], None),
        ([OFFERED], ALONE),
        ([f"other, {OFFERED}"], ALONE),
        ([OFFERED.upper()], ALONE),
        ([OFFERED, "sgoped"], ALONE),
        (["sgoped", OFFERED], None),
    ],
)
def test_a_token_is_never_the_only_subprotocol(subprotocols: list[str], refusal: object) -> None:
    assert judge_subprotocols(subprotocols) == refusal
