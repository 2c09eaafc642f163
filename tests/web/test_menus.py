"""Menus encoded by hand say what the plain way says."""

from __future__ import annotations

import json
import os

from hypothesis import given
from hypothesis import strategies as st

from sgoped.memory import Document, Kind, PathHit
from sgoped.suggestions import Menu, found
from sgoped.web.menus import MenuEncoder
from sgoped.web.render import suggestion_json

PATHS = st.one_of(
    st.from_regex(r"[a-zA-Z0-9_.~!$&'()*+,;=@-]{1,9}(/[a-z.]{1,5}){0,3}", fullmatch=True),
    st.binary(min_size=1, max_size=12).map(os.fsdecode),
)
DOCUMENTS = st.builds(
    Document,
    st.integers(0, 9),
    PATHS,
    st.sampled_from([Kind.TEXT, Kind.IMAGE, Kind.FOLDER]),
    st.integers(0, 2**60),
    st.integers(-(2**62), 2**62),
)
SPANS = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=3).map(tuple)


@st.composite
def hits(draw: st.DrawFn) -> PathHit:
    document = draw(DOCUMENTS)
    label = draw(st.sampled_from([document.shown_path, document.id, document.shown_path[-3:]]))
    target = draw(st.sampled_from(["label", "path"]))
    return PathHit(document, label, "name starts so", draw(SPANS), target)


@given(st.lists(st.lists(hits(), max_size=3), max_size=3))
def test_a_menu_is_the_json_of_its_suggestions(menus: list[list[PathHit]]) -> None:
    encoder = MenuEncoder()
    for some in [*menus, *menus]:
        plain = [suggestion_json(found(hit)) for hit in some]
        menu = Menu(some)
        assert json.loads(encoder.http(menu)) == plain
        assert encoder.http(menu) is encoder.http(menu)
        for item in plain:
            del item["type"]
        assert json.loads(encoder.socket(menu)) == plain
