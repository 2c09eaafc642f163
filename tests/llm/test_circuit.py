"""The circuit's laws, with a clock that the tests turn."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgoped.llm.circuit import (
    FIRST_PAUSE_SECONDS,
    MAX_PAUSE_SECONDS,
    Circuit,
    Outcome,
    Ticket,
)

FAILURES = (Outcome.FAILED, Outcome.TIMED_OUT)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Bench:
    """A circuit, its clock and the requests that are going on."""

    max_failures: int = 3
    clock: Clock = field(default_factory=Clock)
    going: list[Ticket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.circuit = Circuit(self.clock, self.max_failures)

    @property
    def state(self) -> str:
        return self.circuit.state

    def fail(self, times: int = 1, outcome: Outcome = Outcome.FAILED) -> None:
        for _ in range(times):
            ticket = self.circuit.admit()
            assert ticket is not None
            self.circuit.settle(ticket, outcome)


def test_it_opens_after_so_many_failures_in_a_row_and_not_before() -> None:
    bench = Bench()
    bench.fail(2)
    ticket = bench.circuit.admit()
    assert ticket is not None
    bench.circuit.settle(ticket, Outcome.ANSWERED)
    bench.fail(2)
    assert bench.state == "closed"
    bench.fail()
    assert bench.state == "open"
    assert bench.circuit.admit() is None
    assert bench.circuit.opened_at == bench.clock.now
    assert bench.circuit.retry_at == bench.clock.now + FIRST_PAUSE_SECONDS


@pytest.mark.parametrize("outcome", FAILURES)
def test_half_open_lets_one_at_a_time_try(outcome: Outcome) -> None:
    bench = Bench()
    bench.fail(3, outcome)
    bench.clock.now += FIRST_PAUSE_SECONDS
    assert bench.state == "half_open"
    trial = bench.circuit.admit()
    assert trial is not None
    assert bench.circuit.admit() is None
    bench.circuit.settle(trial, outcome)
    assert bench.state == "open"
    assert bench.circuit.retry_at == bench.clock.now + 2 * FIRST_PAUSE_SECONDS
    bench.clock.now += 2 * FIRST_PAUSE_SECONDS
    trial = bench.circuit.admit()
    assert trial is not None
    bench.circuit.settle(trial, Outcome.ANSWERED)
    assert bench.state == "closed"
    assert bench.circuit.retry_at is None


def test_a_trial_that_was_stopped_makes_room_for_the_next_at_once() -> None:
    bench = Bench()
    bench.fail(3)
    bench.clock.now += FIRST_PAUSE_SECONDS
    trial = bench.circuit.admit()
    assert trial is not None
    bench.circuit.settle(trial, Outcome.UNKNOWN)
    assert bench.circuit.admit() is not None


def test_what_began_before_it_closed_opens_it_no_more() -> None:
    bench = Bench()
    late = [bench.circuit.admit() for _ in range(9)]
    bench.fail(3)
    bench.circuit.note_probe(answered=True)
    for ticket in late:
        assert ticket is not None
        bench.circuit.settle(ticket, Outcome.FAILED)
    assert bench.state == "closed"


def test_a_probe_that_is_answered_closes_it() -> None:
    bench = Bench()
    bench.fail(3)
    bench.circuit.note_probe(answered=True)
    assert bench.state == "closed"


def test_where_requests_time_out_and_probes_do_not_only_a_change_tells() -> None:
    bench = Bench()
    bench.fail(3, Outcome.TIMED_OUT)
    bench.circuit.note_probe(answered=True)
    assert bench.state == "open", "it was answered all along, while requests hung"
    bench.circuit.note_probe(answered=False)
    bench.circuit.note_probe(answered=True)
    assert bench.state == "closed"


def test_a_person_closes_it_whatever_was() -> None:
    bench = Bench()
    bench.fail(3, Outcome.TIMED_OUT)
    bench.circuit.close()
    assert bench.state == "closed"
    bench.fail(2)
    assert bench.state == "closed", "counted from nothing again"


def test_without_a_bound_it_never_opens() -> None:
    bench = Bench(max_failures=0)
    bench.fail(1000)
    assert bench.state == "closed"


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.just(0)),
        st.tuples(st.sampled_from(Outcome), st.integers(0, 5)),
        st.tuples(st.just("probe"), st.booleans()),
        st.tuples(st.just("wait"), st.floats(0, 2 * MAX_PAUSE_SECONDS)),
    ),
    max_size=80,
)


@dataclass
class Story(Bench):
    """Does steps, and knows what must hold."""

    in_a_row: int = 0

    def do(self, what: object, how: float) -> None:
        if what == "ask":
            could = self.circuit.would_admit
            ticket = self.circuit.admit()
            assert (ticket is not None) == could
            self.going += [] if ticket is None else [ticket]
        elif isinstance(what, Outcome) and self.going:
            self.end(self.going.pop(int(how) % len(self.going)), what)
        elif what == "probe":
            self.circuit.note_probe(answered=bool(how))
        elif what == "wait":
            self.clock.now += how

    def end(self, ticket: Ticket, outcome: Outcome) -> None:
        self.in_a_row += outcome in FAILURES
        self.circuit.settle(ticket, outcome)
        if outcome is Outcome.ANSWERED:
            self.in_a_row = 0
            assert self.circuit.state == "closed"

    def check(self) -> None:
        opened_at, retry_at = self.circuit.opened_at, self.circuit.retry_at
        if opened_at is None:
            assert retry_at is None
            return
        assert self.in_a_row >= self.max_failures
        assert retry_at is not None
        assert retry_at - self.clock.now <= MAX_PAUSE_SECONDS
        trials = [each for each in self.going if each.is_trial and each.epoch == self.epoch]
        assert len(trials) <= 1

    @property
    def epoch(self) -> int:
        return max((each.epoch for each in self.going), default=0)


@given(STEPS, st.integers(1, 4))
def test_whatever_happens_the_laws_hold(
    steps: list[tuple[object, float]], max_failures: int
) -> None:
    """One trial at a time, never longer shut than the longest pause, never stuck."""
    story = Story(max_failures)
    for what, how in steps:
        story.do(what, how)
        story.check()
    for ticket in story.going:
        story.circuit.settle(ticket, Outcome.UNKNOWN)
    story.clock.now += MAX_PAUSE_SECONDS
    assert story.circuit.admit() is not None, "after the longest pause somebody may try"
