"""Weights of words and forms, and what feedback adds, over a small index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sgoped.memory.bodies import BodyIndex
from sgoped.memory.content_query import parse_query
from sgoped.memory.feedback import NEW_WORDS, expand, wants_feedback
from sgoped.memory.relevance import (
    MAX_WORDS,
    SUBJECT_CONCEPTS,
    Plan,
    make_completing_plan,
    make_plan,
)
from sgoped.memory.vocabulary import MAX_FORMS

TEXTS = (
    "the indexes and this index with that",
    "the indexing and this indexed with that",
    "the house and this happiness with that",
    "the happy and this happily with that houses",
    "tulips tulips bulbs and this garden with that",
)
LONG = "soil water light seed leaf stem flower"


@pytest.fixture
def bodies(tmp_path: Path) -> Iterator[BodyIndex]:
    index = BodyIndex(tmp_path)
    for pid, text in enumerate(TEXTS):
        index.add_text(pid, f"{pid}.txt", text)
    index.commit()
    yield index
    index.close()


def plan(bodies: BodyIndex, text: str) -> Plan:
    return make_plan(parse_query(text), bodies.vocabulary(), bodies.terms)


def test_forms_of_a_word_are_those_with_its_stem(bodies: BodyIndex) -> None:
    vocabulary = bodies.vocabulary()
    assert set(vocabulary.forms("index")) == {"index", "indexes", "indexing", "indexed"}
    assert set(vocabulary.forms("happiness")) == {"happiness", "happy"}
    assert vocabulary.forms("house") == {"house": 1, "houses": 1}
    assert vocabulary.forms("zebra") == {"zebra": 0}


def test_a_rare_form_weighs_no_more_than_the_word_as_a_whole(bodies: BodyIndex) -> None:
    [concept] = plan(bodies, "indexing").concepts
    assert concept.typed == ("indexing",)
    assert all(boost <= 1 for boost in concept.forms.values())


def test_words_said_twice_and_forms_of_one_word_are_one_concept(bodies: BodyIndex) -> None:
    first, second = plan(bodies, "index house index indexes").concepts
    assert (first.typed, first.weight) == (("index", "indexes"), 3)
    assert (second.typed, second.weight) == (("house",), 1)


def test_a_beginning_is_completed_from_the_fourth_letter_on(bodies: BodyIndex) -> None:
    vocabulary = bodies.vocabulary()
    assert vocabulary.begun("tuli", 8) == ["tuli", "tulips"]
    assert vocabulary.begun("tul", 8) == ["tul"]
    completed = make_completing_plan(["garden", "tuli"], vocabulary)
    assert set(completed.concepts[1].forms) == {"tuli", "tulips"}
    assert set(completed.concepts[0].forms) == {"garden"}


def test_feedback_adds_what_the_best_passages_are_about(bodies: BodyIndex) -> None:
    asked = plan(bodies, LONG)
    for pid in range(10, 13):
        bodies.add_text(pid, f"{pid}.txt", "tulips and bulbs")
    bodies.commit()
    more = expand(
        asked, [(2.0, TEXTS[4]), (1.0, "tulips 12 12")], bodies.vocabulary(), bodies.terms
    )
    assert wants_feedback(asked)
    assert [next(iter(concept.forms)) for concept in more.more] == ["tulips", "bulbs"]
    assert sum(concept.weight for concept in more.more) < len(asked.concepts)
    assert expand(asked, [], bodies.vocabulary(), bodies.terms).more == ()


def test_short_queries_and_demanded_phrases_are_answered_as_they_are(bodies: BodyIndex) -> None:
    assert not wants_feedback(plan(bodies, "tulips in the garden"))
    assert plan(bodies, 'soil water "tulip bulbs"').phrases == (("tulip", "bulbs"),)
    prose = plan(bodies, f'{LONG} "tulip bulbs"')
    assert prose.phrases == ()
    assert prose.quoted == (("tulip", "bulbs"),)
    assert wants_feedback(prose)


words = st.lists(st.text(alphabet='ab-" é東\n', max_size=8) | st.sampled_from(["index", "the"]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words.map(" ".join))
def test_every_plan_is_bounded_and_can_be_searched(bodies: BodyIndex, text: str) -> None:
    made = plan(bodies, text)
    assert len(made.concepts) <= MAX_WORDS
    assert all(
        1 <= len(concept.forms) <= MAX_FORMS * len(concept.typed) for concept in made.concepts
    )
    assert not made.near or len(made.concepts) < SUBJECT_CONCEPTS
    expanded = expand(made, [(1.0, text)], bodies.vocabulary(), bodies.terms)
    assert len(expanded.more) <= NEW_WORDS
    for one in (made, expanded):
        assert len(bodies.search(one, 3, lambda _: True)) <= 3
        bodies.search(one, 3, lambda pid: pid == 2, accepted=lambda: [2], every=True)
