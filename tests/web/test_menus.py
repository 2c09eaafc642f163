"""Menus encoded by hand say what the plain way says."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from sgoped.suggestions import Card, FoundFile, Menu
from sgoped.web.menus import MenuEncoder
from sgoped.web.render import suggestion_json

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
CARDS = st.builds(
    Card,
    TEXT,
    TEXT,
    TEXT,
    st.sampled_from(["file", "folder", "image"]),
    TEXT,
    st.integers(0, 2**60),
    TEXT,
)
SPANS = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=3).map(tuple)
FILES = st.builds(FoundFile, CARDS, TEXT, SPANS, st.sampled_from(["label", "path"]))


@given(st.lists(st.lists(FILES, max_size=3), max_size=3))
def test_a_menu_is_the_json_of_its_suggestions(menus: list[list[FoundFile]]) -> None:
    encoder = MenuEncoder()
    for files in [*menus, *menus]:
        plain = [suggestion_json(found.suggestion) for found in files]
        menu = Menu(files)
        assert json.loads(encoder.http(menu)) == plain
        assert encoder.http(menu) == encoder.http(menu)
        for item in plain:
            del item["type"]
        assert json.loads(encoder.socket(menu)) == plain
