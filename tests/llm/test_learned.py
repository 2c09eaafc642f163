"""What asking models showed of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgoped.llm.learned import (
    LEARNED_KEY,
    MAX_CORRECTION,
    MAX_MODELS,
    MIN_CORRECTION,
    WINDOW_SECONDS,
    Learned,
)
from sgoped.state import State, open_state


def test_a_count_above_the_estimate_counts_at_once_and_below_by_and_by() -> None:
    learned = Learned()
    assert learned.correction("s/m") == 1.0
    learned.note_count("s/m", 1000, 1500)
    assert learned.correction("s/m") == 1.5
    learned.note_count("s/m", 1000, 1000)
    assert 1.3 < learned.correction("s/m") < 1.4
    assert learned.correction("s/other") == 1.0


def test_what_tells_nothing_of_how_a_model_counts_is_left_alone() -> None:
    learned = Learned()
    for estimated, counted in ((10, 40), (1000, None), (1000, 7), (1000, 499)):
        learned.note_count("s/m", estimated, counted)
    assert learned.correction("s/m") == 1.0


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**7))))
def test_a_correction_stays_within_its_bounds(counts: list[tuple[int, int]]) -> None:
    learned = Learned()
    for estimated, counted in counts:
        learned.note_count("s/m", estimated, counted)
    assert MIN_CORRECTION <= learned.correction("s/m") <= MAX_CORRECTION


def test_a_window_that_was_told_long_ago_counts_no_more() -> None:
    now = 1000.0
    learned = Learned(clock=lambda: now)
    learned.note_window("s/m", 4096)
    assert learned.window("s/m") == 4096
    now += WINDOW_SECONDS
    assert learned.window("s/m") is None


def test_of_another_endpoint_nothing_is_known() -> None:
    learned = Learned()
    learned.note_window("s/m", 4096)
    learned.note_window("s2/m", 4096)
    learned.forget("s")
    assert (learned.window("s/m"), learned.window("s2/m")) == (None, 4096)


def test_models_without_end_are_not_all_remembered() -> None:
    learned = Learned()
    for number in range(MAX_MODELS + 10):
        learned.note_window(f"s/{number}", 4096)
    assert learned.window("s/0") is None
    assert learned.window(f"s/{MAX_MODELS}") == 4096


async def learn(state: State) -> None:
    async with asyncio.TaskGroup() as tasks:
        learned = Learned(state, tasks)
        await learned.load()
        learned.note_count("s/m", 1000, 1500)
        learned.note_window("s/m", 4096)


async def test_it_outlives_the_daemon_and_is_no_reason_for_a_backup(tmp_path: Path) -> None:
    async with open_state(tmp_path / "state.db", tmp_path / "backups") as state:
        state.changed.clear()
        await learn(state)
        assert not state.changed.is_set()
    async with open_state(tmp_path / "state.db", tmp_path / "backups") as state:
        learned = Learned(state)
        await learned.load()
        assert (learned.correction("s/m"), learned.window("s/m")) == (1.5, 4096)


@pytest.mark.parametrize("stored", ["", "[]", "{", '{"s/m": {"correction": "x"}}', '{"s/m": 7}'])
async def test_what_cannot_be_read_is_learned_again(tmp_path: Path, stored: str) -> None:
    async with open_state(tmp_path / "state.db", tmp_path / "backups") as state:
        await state.set_value(LEARNED_KEY, stored)
        await learn(state)
        learned = Learned(state)
        await learned.load()
        assert learned.correction("s/m") == 1.5
