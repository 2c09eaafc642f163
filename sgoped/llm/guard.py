"""``Guard``: lets requests through to one service while its circuit does, and tells it their ends."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext

from sgoped.errors import ServiceError
from sgoped.llm.circuit import Circuit, Outcome, Ticket
from sgoped.llm.traffic import Traffic

RESTING = "service_resting"
"""Code of the refusal while the circuit is open."""

_FAILED_CODES = frozenset({"service_unreachable", "service_disconnected", "service_unavailable"})
_TIMED_OUT_CODES = frozenset({"service_timeout"})


async def _nothing() -> None:
    return


class Guard:
    """Stands before one service.

    Attributes:
        traffic: The requests that a person waits for.

    Args:
        circuit: Judges whether the service is asked.
        traffic: Told of each request that a person waits for.
        check: Has the service probed and waits for that, but shortly.
        changed: Called when the circuit opened or closed.
    """

    def __init__(
        self,
        circuit: Circuit | None = None,
        traffic: Traffic | None = None,
        *,
        check: Callable[[], Awaitable[None]] = _nothing,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.traffic = traffic or Traffic()
        self._circuit = circuit or Circuit(time.monotonic)
        self._check = check
        self._changed = changed
        self._last_failure = ""

    @property
    def is_open(self) -> bool:
        """Whether a request would be refused now."""
        return not self._circuit.would_admit

    @property
    def last_failure(self) -> str:
        """What went wrong last, in words; empty when nothing did."""
        return self._last_failure

    async def ready(self) -> None:
        """Return if a request would be let through, having the service probed once if not.

        Raises:
            ServiceError: It would not (``service_resting``).
        """
        if self.is_open:
            await self._check()
        if self.is_open:
            raise self._refusal()

    @asynccontextmanager
    async def attempt(self, *, in_background: bool) -> AsyncGenerator[Attempt]:
        """One request; what is not told of it by its end says nothing of the service.

        Raises:
            ServiceError: It must not be made now (``service_resting``).
        """
        await self.ready()
        ticket = self._circuit.admit()
        if ticket is None:
            raise self._refusal()
        attempt = Attempt(self, ticket)
        try:
            with nullcontext() if in_background else self.traffic.counted():
                yield attempt
        finally:
            attempt.end()

    def settle(self, ticket: Ticket, outcome: Outcome, failure: str = "") -> None:
        """Tell the circuit how a request ended."""
        before = self._circuit.state
        self._last_failure = failure or self._last_failure
        self._circuit.settle(ticket, outcome)
        if self._circuit.state != before:
            self._changed()

    def _refusal(self) -> ServiceError:
        since, retry_at = self._circuit.opened_at, self._circuit.retry_at
        now = time.monotonic()
        is_tried = retry_at is None or retry_at <= now
        following = (
            "it is being tried just now" if is_tried else f"tried next at {_clock(retry_at)}"
        )
        return ServiceError(
            f"{self._last_failure or 'The service fails'}. It fails since {_clock(since)} and is "
            f"left alone; {following}, or as soon as it is found to answer",
            code=RESTING,
        )


class Attempt:
    """One request that was let through; the first thing told of it counts."""

    def __init__(self, guard: Guard, ticket: Ticket) -> None:
        self._guard = guard
        self._ticket: Ticket | None = ticket

    def answered(self) -> None:
        """The service says something."""
        self._settle(Outcome.ANSWERED)

    def failed(self, failure: ServiceError) -> None:
        """It failed; an answer that is a refusal (4xx) is an answer."""
        if failure.code in _TIMED_OUT_CODES:
            self._settle(Outcome.TIMED_OUT, failure.message)
        elif failure.code in _FAILED_CODES:
            self._settle(Outcome.FAILED, failure.message)
        else:
            self._settle(Outcome.ANSWERED)

    def end(self) -> None:
        """It is over, perhaps because somebody stopped it."""
        self._settle(Outcome.UNKNOWN)

    def _settle(self, outcome: Outcome, failure: str = "") -> None:
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            self._guard.settle(ticket, outcome, failure)


def _clock(monotonic: float | None) -> str:
    """A moment of the monotonic clock as a person's wall clock shows it."""
    ago = 0.0 if monotonic is None else time.monotonic() - monotonic
    return time.strftime("%H:%M:%S", time.localtime(time.time() - ago))
