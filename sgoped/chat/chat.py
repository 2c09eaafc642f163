"""``Chat``: starts runs, one for each message, knows those that live, and ends them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import uuid4

from sgoped.actions import ActionRegistry
from sgoped.background import background, task_group
from sgoped.chat.acting import Order, act, execute
from sgoped.chat.answering import Desk, Question, answer, choose_model
from sgoped.chat.context import Attachment
from sgoped.chat.conversations import Conversations, refusal_of
from sgoped.chat.enriching import Enricher
from sgoped.chat.events import ActionStarted, Cancelled, End, Failed, Started
from sgoped.chat.keeping import Keeper
from sgoped.chat.run import SHUTTING_DOWN, STOPPED, Run, RunInfo
from sgoped.chat.stored import RunSummary
from sgoped.chat.usage import UsageTotals
from sgoped.config import Settings
from sgoped.errors import Conflict, InvalidInput, NotFound
from sgoped.events import Bus, RunEnded, RunStarted
from sgoped.llm import Registry
from sgoped.memory import Memory
from sgoped.prompts import Turn
from sgoped.state import RunRecords, State

CONVERSATION_DELETED = "Its conversation was deleted."
MAX_LIVE_RUNS = 512


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A message to answer.

    Attributes:
        message: What the person typed.
        attachments: Uploads and memory files sent along.
        model: A model's id or unambiguous name; empty means the default.
        stream_id: What the client will stop it by; empty when it never will.
        selected_action: An action's label, when the message is for it.
        knowledge_filename: The name that the person gave for what the action makes.
        conversation_id: The conversation to go on with; empty: the message stands alone.
        durable: Whether the client may leave and come back to the run.
        keep: Whether the run may be written to the disk; else it is forgotten at its end.
        context: ``auto`` to look through memory for what bears on the message, ``given`` not to;
            None leaves it to the settings.
    """

    message: str
    attachments: tuple[Attachment, ...] = ()
    model: str = ""
    stream_id: str = ""
    selected_action: str | None = None
    knowledge_filename: str | None = None
    conversation_id: str = ""
    durable: bool = False
    keep: bool = True
    context: Literal["auto", "given"] | None = None


class Chat:
    """Runs that are alive, each in a task of the one group that ``open_chat`` holds.

    Attributes:
        conversations: Those that are kept.
    """

    def __init__(
        self,
        desk: Desk,
        actions: ActionRegistry,
        bus: Bus,
        tasks: asyncio.TaskGroup,
        *,
        keeper: Keeper,
        conversations: Conversations,
    ) -> None:
        self.conversations = conversations
        self._desk = desk
        self._actions = actions
        self._bus = bus
        self._tasks = tasks
        self._keeper = keeper
        self._live: dict[str, Run] = {}
        self._closing = False

    @property
    def usage(self) -> UsageTotals:
        """What the answers took."""
        return self._desk.usage

    def start(self, request: ChatRequest, run_id: str = "") -> Run:
        """Begin to answer; returns at once, with the first event in place.

        Nothing is raised: what cannot be answered is a run that failed. A second run under the
        ``stream_id`` of a live one fails and leaves that one alone.

        Args:
            request: What is asked.
            run_id: From ``new_run_id``, for who must know it before; else one is made.
        """
        order, problem = self._order(request)
        problem = problem or refusal_of(request.conversation_id)
        run_id = run_id or new_run_id()
        info = RunInfo(
            id=run_id,
            stream_id=request.stream_id or run_id,
            model=self._model_id(request.model),
            action=order.action.name if order else "",
            started_at=time.time(),
            message=request.message,
            conversation_id=request.conversation_id,
            durable=request.durable,
        )
        run = Run(info, grace_seconds=self._desk.settings.run_grace_seconds)
        run.add(
            ActionStarted(info.action, info.started_at)
            if order
            else Started(info.model, info.started_at)
        )
        if self._closing:
            run.finish(Cancelled(SHUTTING_DOWN, time.time()))
        elif info.stream_id in self._live:
            run.finish(Failed("A stream with this stream_id is live already", time.time()))
        elif len(self._live) >= MAX_LIVE_RUNS:
            problem = f"{MAX_LIVE_RUNS} answers are being made already; stop some"
            run.finish(Failed(problem, time.time()))
        elif problem:
            run.finish(Failed(problem, time.time()))
        else:
            self._begin(run, self._work(run, request, order))
        self._keeper.hold(run, keep=request.keep)
        return run

    def stop(self, stream_id: str, message: str = STOPPED) -> bool:
        """End the run of that stream, or of that id; its upstream is closed at once.

        False when none lives.
        """
        by_id = (run for run in self._live.values() if run.id == stream_id)
        run = self._live.get(stream_id) or next(by_id, None)
        if run is None or run.end is not None:
            return False
        run.cancel(message)
        return True

    def live(self) -> list[RunInfo]:
        """The runs that have not ended, oldest first."""
        return [run.info for run in self._live.values()]

    async def find(self, run_id: str) -> Run:
        """The run of that id, live or kept.

        Raises:
            NotFound: There is none, or none any more (``run_not_found``).
            StorageError: Those that are kept cannot be read.
        """
        run = await self._keeper.find(run_id)
        if run is None:
            raise _unknown_run()
        return run

    async def runs(self, limit: int, state: str = "") -> list[RunSummary]:
        """The newest runs first, live and kept; those in ``state`` alone unless it is empty.

        Raises:
            StorageError: Those that are kept cannot be read.
        """
        return await self._keeper.listed(limit, state)

    async def forget(self, run_id: str) -> None:
        """Forget an ended run for good.

        Raises:
            NotFound: There is none (``run_not_found``).
            Conflict: It has not ended (``run_is_live``).
            StorageError: It cannot be deleted.
        """
        if any(run.id == run_id for run in self._live.values()):
            raise Conflict("this answer is still being made; stop it first", code="run_is_live")
        if not await self._keeper.forget(run_id):
            raise _unknown_run()

    def close(self) -> None:
        """Cancel every run and start none any more."""
        self._closing = True
        for run in list(self._live.values()):
            run.interrupt()

    async def delete_conversation(self, conversation_id: str) -> None:
        """Delete a conversation for good, ending what is being answered in it.

        Raises:
            NotFound, StorageError: As ``Conversations.delete``.
        """
        own = [run for run in self._live.values() if run.info.conversation_id == conversation_id]
        for run in own:
            run.cancel(CONVERSATION_DELETED)
        self._keeper.let_go(conversation_id)
        try:
            await self.conversations.delete(conversation_id)
        finally:
            self._keeper.write_anew(conversation_id)
            self._desk.summaries.forget(conversation_id)

    async def execute(
        self,
        action_id: str,
        text: str,
        attachments: tuple[Attachment, ...] = (),
        filename: str | None = None,
    ) -> dict[str, Any]:
        """Do an action outside a run; returns its data, with ``action`` and a ``message``.

        Raises:
            NotFound: There is no such action (``action_not_found``).
            SgopedError: It could not be done.
        """
        order = replace(self._selected(action_id, text, attachments), filename=filename)
        return await execute(self._desk, order, self._tasks)

    def _begin(self, run: Run, work: Callable[[], Awaitable[End]]) -> None:
        self._live[run.stream_id] = run
        self._bus.publish(RunStarted(run.id))
        run.begin(self._tasks, work, self._ended)

    def _ended(self, run: Run) -> None:
        self._live.pop(run.stream_id, None)
        self._keeper.note_end()
        self._bus.publish(RunEnded(run.id, run.state))

    def _work(
        self, run: Run, request: ChatRequest, order: Order | None
    ) -> Callable[[], Awaitable[End]]:
        question = Question(
            request.message,
            request.attachments,
            request.model,
            retrieve=(request.context or self._desk.settings.context) == "auto",
        )

        def make(history: tuple[Turn, ...]) -> Awaitable[End]:
            if order is not None:
                return act(run, self._desk, order, self._tasks)
            return answer(run, self._desk, replace(question, history=history))

        if not request.conversation_id:
            return lambda: make(())
        return lambda: self.conversations.exchange(run, request.attachments, make)

    def _order(self, request: ChatRequest) -> tuple[Order | None, str]:
        """The action that is asked for, by selection or by a leading command; and what is wrong."""
        name = request.selected_action
        called = self._actions.parse(request.message)
        if not name and called is None:
            return None, ""
        try:
            name = name or (called[0].name if called else "")
            order = self._selected(name, request.message, request.attachments)
        except NotFound as error:
            return None, error.message
        return replace(order, filename=request.knowledge_filename, model=request.model), ""

    def _selected(self, name: str, text: str, attachments: tuple[Attachment, ...]) -> Order:
        action = self._actions.get(name)
        if action is None:
            known = ", ".join(f"/{action.name}" for action in self._actions.all()) or "none"
            message = f"There is no action {name[:64]!r}; there is {known}"
            raise NotFound(message, code="action_not_found")
        called = self._actions.parse(text)
        rest = called[1] if called is not None and called[0] is action else text
        return Order(action, rest, attachments)

    def _model_id(self, name: str) -> str:
        try:
            choice = choose_model(self._desk.registry, name)
        except (NotFound, InvalidInput):
            return name
        return choice.id if choice is not None else ""


def new_run_id() -> str:
    """An id that no other run has."""
    return uuid4().hex


def _unknown_run() -> NotFound:
    return NotFound("there is no such run, or it is kept no longer", code="run_not_found")


@asynccontextmanager
async def open_chat(
    memory: Memory,
    registry: Registry,
    actions: ActionRegistry,
    settings: Settings,
    bus: Bus,
    *,
    state: State,
    later: Enricher | None = None,
) -> AsyncGenerator[Chat]:
    """Open the chat; on leaving, every run is cancelled, waited for and kept.

    Args:
        memory: What is asked about, and saved to.
        registry: Who is asked.
        actions: What ``/commands`` do.
        settings: What the person decided.
        bus: Told of every run.
        state: Where conversations and runs are kept.
        later: What is given what a model was to add; None: nothing is left for later.
    """
    keeper = Keeper(RunRecords(state), settings.max_kept_runs)
    desk = Desk(memory, registry, settings, later=later)
    try:
        async with background(keep=keeper.keep()), task_group() as tasks:
            conversations = Conversations(state, memory, bus, tasks)
            await conversations.interrupt(await _recovered(keeper, bus))
            chat = Chat(desk, actions, bus, tasks, keeper=keeper, conversations=conversations)
            try:
                yield chat
            finally:
                chat.close()
    finally:
        await keeper.save()


async def _recovered(keeper: Keeper, bus: Bus) -> dict[str, str]:
    """By id, what had been answered in the runs that the last end of sgoped interrupted."""
    texts: dict[str, str] = {}
    for run_id in await keeper.recover():
        bus.publish(RunEnded(run_id, "interrupted"))
        run = await keeper.find(run_id)
        if run is not None:
            texts[run_id] = run.text
    return texts


async def execute_action(
    action_id: str,
    user_input: str,
    attachments: tuple[Attachment, ...],
    *,
    chat: Chat,
    filename: str | None = None,
) -> dict[str, Any]:
    """See ``Chat.execute``."""
    return await chat.execute(action_id, user_input, attachments, filename)
