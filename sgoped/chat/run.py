"""``Run``: one answer being made, its events, its followers, and its one end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from sgoped.chat.events import (
    Cancelled,
    Citations,
    Completed,
    Content,
    ContextTold,
    End,
    Failed,
    RunEvent,
    UsageTold,
)
from sgoped.chat.log import AtOnce, Kept, RunLog
from sgoped.chat.said import Said
from sgoped.errors import SgopedError
from sgoped.unexpected import log_unexpected

UNEXPECTED = "Something went wrong inside sgoped; its log says where. Nothing was lost."
STOPPED = "Stopped."
LEFT = "Nobody follows this answer any more."
SHUTTING_DOWN = "sgoped is shutting down."
UNFOLLOWED_SECONDS = 60.0

Told = ContextTold | Citations | UsageTold


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run as lists show it.

    Attributes:
        id: Unique, made by us.
        stream_id: Chosen by the client; the run's own id when it chose none.
        model: The model's id; empty when there is none.
        action: The action's name; empty for an answer.
        started_at: In unix seconds.
        message: What the person typed.
        conversation_id: The conversation that it belongs to; empty when it stands alone.
        durable: Whether it goes on when nobody follows it.
    """

    id: str
    stream_id: str
    model: str
    action: str
    started_at: float
    message: str = ""
    conversation_id: str = ""
    durable: bool = False


class Run:
    """One answer being made in a task of its own.

    Every run ends with exactly one terminal event: ``finish`` alone appends it, once, and the
    task's end calls ``finish`` whatever happened, even a cancellation before its first step.

    Attributes:
        info: What it is.
        interrupted: Whether sgoped ended before the run did.
    """

    def __init__(
        self, info: RunInfo, log: RunLog | None = None, *, grace_seconds: float = 0.0
    ) -> None:
        self.info = info
        self.interrupted = False
        self._grace_seconds = grace_seconds
        self._log = log or RunLog(goes_on=info.durable)
        self._end: End | None = None
        self._task: asyncio.Task[None] | None = None
        self._unfollowed: asyncio.TimerHandle | None = None
        self._reason = ""
        self._kept = ""
        self._said = Said()
        self._told: dict[type[Told], Told] = {}

    @classmethod
    def restored(
        cls, info: RunInfo, log: RunLog, *, end: End, told: Sequence[Told], text: str, state: str
    ) -> Run:
        """A run that ended before, as it was kept; ``log`` holds all of its events."""
        run = cls(info, log)
        run.interrupted = state == "interrupted"
        run._end = end
        run._told = {type(event): event for event in told}
        run._said = Said(text)
        return run

    @property
    def id(self) -> str:
        """Unique, made by us."""
        return self.info.id

    @property
    def stream_id(self) -> str:
        """Chosen by the client; the run's own id when it chose none."""
        return self.info.stream_id

    @property
    def end(self) -> End | None:
        """The terminal event, once there is one."""
        return self._end

    @property
    def text(self) -> str:
        """What was answered up to now, without any thinking; at most ``MAX_TEXT_CHARS`` of it."""
        return self._said.text

    @property
    def told(self) -> tuple[Told, ...]:
        """What was told last of context, citations and usage, each at most once."""
        return tuple(self._told.values())

    @property
    def state(self) -> str:
        """``live``, ``completed``, ``cancelled``, ``failed`` or ``interrupted``."""
        if self._end is None:
            return "live"
        is_cut = self.interrupted and not isinstance(self._end, Completed)
        return "interrupted" if is_cut else outcome(self._end)

    @property
    def last_event_id(self) -> int:
        """Number of the newest event."""
        return self._log.last

    @property
    def kept_bytes(self) -> int:
        """About how much memory its events and its text take."""
        return self._log.kept_bytes + self._said.kept_bytes

    def kept(self, after: int = 0) -> Kept:
        """What of its events is kept; see ``RunLog.kept``."""
        return self._log.kept(after)

    # -- for who makes the answer

    def begin(
        self,
        tasks: asyncio.TaskGroup,
        work: Callable[[], Awaitable[End]],
        on_end: Callable[[Run], None],
    ) -> None:
        """Do ``work`` in a task of ``tasks``; its result is the end, ``on_end`` comes after it."""

        def ended(_: asyncio.Task[None]) -> None:
            self.finish(Cancelled(self._reason or STOPPED, time.time()))
            on_end(self)

        self._task = tasks.create_task(self._do(work), name=f"run {self.id}")
        self._task.add_done_callback(ended)
        if not self.info.durable:
            loop = asyncio.get_running_loop()
            self._unfollowed = loop.call_later(UNFOLLOWED_SECONDS, self._cancel_unfollowed)

    def add(self, event: RunEvent) -> None:
        """Append an event at once; not the end, and nothing behind the end."""
        if self._end is None:
            self._log.append(event)
            if isinstance(event, Content):
                self._hold(event)
            elif isinstance(event, Told):
                self._told[type(event)] = event

    def push(self, content: Content) -> None:
        """Append content, of which followers hear by the ``hand_over`` that is to follow."""
        if self._end is None:
            self._log.push(content)
            self._hold(content)

    def hand_over(self) -> None:
        """Let followers have what was pushed."""
        self._log.hand_over()

    def say(self, text: str) -> None:
        """Append a piece of the answer, unless it is empty."""
        if text:
            self.add(Content(text, time.time()))

    async def room(self) -> None:
        """Wait until followers have taken enough of what was said."""
        await self._log.room()

    def finish(self, end: End) -> None:
        """Append the end, unless there is one."""
        if self._end is None:
            self._log.close(end)
            self._end = end
            self._wait_no_more()

    def keep_in_mind(self, text: str) -> None:
        """Add to what is said should the run be cancelled, such as what is saved already."""
        self._kept = text

    # -- for who follows it

    async def follow(
        self, after: int = 0, at_once: AtOnce | None = None
    ) -> AsyncGenerator[Sequence[tuple[int, RunEvent]], None]:
        """Yield batches of numbered events until the end, which is the last of them.

        The run waits while a follower is too far behind. When the last one leaves before the
        end and none comes within the grace, the run is cancelled, since nobody wants its answer;
        unless it is durable.

        Args:
            after: Number of the event (from 1) behind which to begin; events that are no
                longer kept are left out.
            at_once: Takes events in the moment in which they are made, while the follower waits
                for more, or says that it cannot; what it takes is not yielded.
        """
        ticket = self._log.join(self._resumed(after), at_once)
        self._wait_no_more()
        try:
            while not self._is_over(ticket):
                batch = await self._log.read(ticket)
                yield batch
                self._log.take(ticket, len(batch))
        finally:
            self._log.leave(ticket)
            self.end_unless_followed()

    def end_unless_followed(self) -> None:
        """Cancel the run after the grace when nobody follows it, unless it is durable."""
        if self._log.readers or self.info.durable or self._end is not None or self._task is None:
            return
        if not self._grace_seconds:
            self.cancel(LEFT)
            return
        self._wait_no_more()
        loop = asyncio.get_running_loop()
        self._unfollowed = loop.call_later(self._grace_seconds, self._cancel_unfollowed)

    def cancel(self, message: str = STOPPED) -> None:
        """End the run; it closes its upstream and then says so. Without effect on one that ended.

        Only the first cancellation counts: a second one would interrupt the closing.
        """
        if self._end is None and self._task is not None and not self._reason:
            self._reason = message
            self._task.cancel()

    def interrupt(self) -> None:
        """End the run because sgoped ends."""
        if self._end is None and not self._reason:
            self.interrupted = True
            self.cancel(SHUTTING_DOWN)

    # -- inside

    def _hold(self, content: Content) -> None:
        if content.part == "answer":
            self._said.add(content.text)

    def _resumed(self, after: int) -> int:
        """Behind which event to begin for who has seen ``after``.

        What was said last before a kill is in no file, so a follower may have seen more than is
        kept; it still has to see the end.
        """
        is_cut = self.interrupted and self._end is not None
        return min(after, self._log.last - 1) if is_cut else after

    def _wait_no_more(self) -> None:
        if self._unfollowed is not None:
            self._unfollowed.cancel()
            self._unfollowed = None

    def _is_over(self, ticket: int) -> bool:
        return self._end is not None and self._log.has_taken_all(ticket)

    def _cancel_unfollowed(self) -> None:
        if not self._log.readers:
            self.cancel(LEFT)

    async def _do(self, work: Callable[[], Awaitable[End]]) -> None:
        try:
            end = await work()
        except asyncio.CancelledError:
            message = " ".join(filter(None, (self._reason or STOPPED, self._kept)))
            end = Cancelled(message, time.time())
        except SgopedError as error:
            end = Failed(error.message or UNEXPECTED, time.time())
        except Exception as error:  # noqa: BLE001 - the edge of a task; logged, and told
            log_unexpected("a run", error)
            end = Failed(UNEXPECTED, time.time())
        self.finish(end)


def outcome(end: End) -> str:
    """The word for an end: ``completed``, ``cancelled`` or ``failed``."""
    if isinstance(end, Completed):
        return "completed"
    return "cancelled" if isinstance(end, Cancelled) else "failed"
