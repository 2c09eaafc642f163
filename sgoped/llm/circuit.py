"""``Circuit``: whether a service is asked at all, judged by how the last requests to it ended. Pure.

It is closed (asked) until ``max_failures`` requests in a row failed; then it is open (not asked)
for a while; then half-open: one request at a time tries. What succeeds closes it, what fails opens
it for twice as long. A health probe that is answered closes it too, but for one case: where
requests ran out of time while probes were answered all along, a further answered probe tells
nothing new. The clock is passed in, and is the only thing it knows of the world.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Literal

FIRST_PAUSE_SECONDS = 5.0
MAX_PAUSE_SECONDS = 30.0
MAX_FAILURES = 3

CircuitState = Literal["closed", "open", "half_open"]


class Outcome(Enum):
    """How a request ended, as far as it tells of its service."""

    ANSWERED = "answered"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """The permission for one request; ``epoch`` counts how often the circuit had closed."""

    epoch: int
    is_trial: bool


class Circuit:
    """See the module.

    Args:
        clock: Seconds that never go back.
        max_failures: How many in a row open it; 0: it never opens.
    """

    def __init__(self, clock: Callable[[], float], max_failures: int = MAX_FAILURES) -> None:
        self._clock = clock
        self._max_failures = max_failures
        self._epoch = 0
        self._failures = 0
        self._openings = 0
        self._opened_at: float | None = None
        self._retry_at = 0.0
        self._trial: Ticket | None = None
        self._probes_tell = True

    @property
    def state(self) -> CircuitState:
        """What it is at this moment."""
        if self._opened_at is None:
            return "closed"
        return "open" if self._clock() < self._retry_at else "half_open"

    @property
    def opened_at(self) -> float | None:
        """When it opened, on its clock; None while it is closed."""
        return self._opened_at

    @property
    def retry_at(self) -> float | None:
        """When a request is let through next, on its clock; None while it is closed."""
        return None if self._opened_at is None else self._retry_at

    @property
    def would_admit(self) -> bool:
        """Whether a request would be let through now."""
        return self.state == "closed" or (self.state == "half_open" and self._trial is None)

    def admit(self) -> Ticket | None:
        """Permission for a request, which is given back by ``settle``; None: it must not be made."""
        if not self.would_admit:
            return None
        ticket = Ticket(self._epoch, is_trial=self._opened_at is not None)
        if ticket.is_trial:
            self._trial = ticket
        return ticket

    def settle(self, ticket: Ticket, outcome: Outcome) -> None:
        """A request ended. What began before the circuit last closed cannot open it again."""
        is_trial = ticket is self._trial
        if is_trial:
            self._trial = None
        if outcome is Outcome.ANSWERED:
            self.close()
        elif outcome is not Outcome.UNKNOWN and ticket.epoch == self._epoch:
            self._fail(is_trial=is_trial, timed_out=outcome is Outcome.TIMED_OUT)

    def note_probe(self, *, answered: bool) -> None:
        """A health probe ended."""
        if not answered:
            self._probes_tell = True
        elif self._opened_at is not None and self._probes_tell:
            self.close()

    def close(self) -> None:
        """Ask the service again, whatever was before."""
        self._failures = self._openings = 0
        if self._opened_at is not None:
            self._opened_at = self._trial = None
            self._epoch += 1

    def _fail(self, *, is_trial: bool, timed_out: bool) -> None:
        if self._opened_at is None:
            self._failures += 1
            if self._failures != self._max_failures:
                return
            self._opened_at = self._clock()
        elif not is_trial:
            return
        self._probes_tell = not timed_out
        pause = FIRST_PAUSE_SECONDS * 2.0 ** min(self._openings, 16)
        self._retry_at = self._clock() + min(pause, MAX_PAUSE_SECONDS)
        self._openings += 1
