"""``Conversations``: what was said before goes along with a message, and what is said is kept."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from sgoped.chat.context import Attachment
from sgoped.chat.events import End
from sgoped.chat.run import Run, outcome
from sgoped.chat.said import MAX_TEXT_CHARS
from sgoped.chat.transcript import export_name, render_transcript, title_of
from sgoped.errors import InvalidInput, SgopedError
from sgoped.events import Bus, ConversationChanged
from sgoped.memory import Memory, SavedFile
from sgoped.prompts import Turn, find_references
from sgoped.state import ConversationRow, MessageRow, MessageState, State

MAX_CONVERSATION_ID_CHARS = 100
MAX_TITLE_CHARS = 200

CONVERSATION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_CUT = f"\n\n(Only the first {MAX_TEXT_CHARS:,} characters are kept.)"

Make = Callable[[tuple[Turn, ...]], Awaitable[End]]
_T = TypeVar("_T")


def refusal_of(conversation_id: str) -> str:
    """Why an id cannot be one of a conversation; empty when it can."""
    if not conversation_id or CONVERSATION_ID.fullmatch(conversation_id):
        return ""
    return (
        f"A conversation_id has 1 to {MAX_CONVERSATION_ID_CHARS} letters, digits and . _ - "
        "and begins with a letter or a digit"
    )


class Conversations:
    """Kept conversations: one message at a time in each, on the disk before it is answered."""

    def __init__(self, state: State, memory: Memory, bus: Bus, tasks: asyncio.TaskGroup) -> None:
        self._state = state
        self._rows = state.conversations
        self._memory = memory
        self._bus = bus
        self._tasks = tasks
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    # -- while a run is made

    async def exchange(self, run: Run, attachments: Sequence[Attachment], make: Make) -> End:
        """Make the answer of ``run`` within its conversation, which begins with it if it is new.

        Waits while another message of the same conversation is answered. The message is kept
        before ``make`` is called with all that was said before, oldest first; when ``make`` is
        over, whatever happened, so is what was answered.

        Raises:
            StorageError: It cannot be kept.
            Exception: What ``make`` raises.
        """
        state: MessageState = "failed"
        async with self._alone(run.info.conversation_id):
            try:
                history = await self._completed(self._begin(run, attachments))
                end = await make(history)
                word = outcome(end)
                state = "complete" if word == "completed" else _ENDS[word]
            except asyncio.CancelledError:
                state = "interrupted" if run.interrupted else "cancelled"
                raise
            finally:
                await self._completed(self._finish(run, state))
        return end

    async def _begin(self, run: Run, attachments: Sequence[Attachment]) -> tuple[Turn, ...]:
        info = run.info
        uploads = tuple(each.name for each in attachments if each.content is not None)
        asked = MessageRow(
            number=0,
            role="user",
            text=info.message,
            at=info.started_at,
            paths=await self._paths(info.message, attachments),
            uploads=uploads,
            run_id=run.id,
        )
        answer = MessageRow(
            number=0,
            role="assistant",
            text="",
            at=time.time(),
            state="live",
            model=info.model,
            run_id=run.id,
        )
        title = title_of(info.message, uploads)
        before, is_new = await self._rows.begin(info.conversation_id, title, asked, answer)
        self._tell(info.conversation_id, "created" if is_new else "extended")
        return tuple(
            Turn(row.role, row.text, row.paths) for row in before if row.text or row.role == "user"
        )

    async def _finish(self, run: Run, state: MessageState) -> None:
        text = run.text
        if len(text) == MAX_TEXT_CHARS:
            text += _CUT
        conversation_id = run.info.conversation_id
        if await self._rows.finish(conversation_id, run.id, text, state, time.time()):
            self._tell(conversation_id, "extended")

    async def _paths(self, message: str, attachments: Sequence[Attachment]) -> tuple[str, ...]:
        """The memory files that a message refers to; what there is not is told by the answer."""
        names = [each.name for each in attachments]
        references = await asyncio.to_thread(find_references, message, names)
        files = [each.name for each in attachments if each.content is None]
        paths: dict[str, None] = {}
        for name in (*files, *(each.name for each in references if each.name not in names)):
            try:
                paths[(await self._memory.resolve(name)).shown_path] = None
            except SgopedError:
                continue
        return tuple(paths)

    @asynccontextmanager
    async def _alone(self, conversation_id: str) -> AsyncGenerator[None]:
        lock = self._locks.setdefault(conversation_id, asyncio.Lock())
        async with lock:
            yield

    async def _completed(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Await ``work`` to its end, also when the caller is cancelled meanwhile."""

        async def attempt() -> _T | Exception:
            try:
                return await work
            except Exception as error:  # noqa: BLE001 - raised again below; it may not end the group
                return error

        task = self._tasks.create_task(attempt())
        try:
            result = await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise
        if isinstance(result, Exception):
            raise result
        return result

    # -- at any time

    async def find(
        self, query: str, limit: int, after: tuple[float, str] | None = None
    ) -> tuple[list[ConversationRow], int]:
        """Conversations that hold all words of ``query``; see ``ConversationRows.find``."""
        return await self._rows.find(query, limit, after)

    async def get(
        self, conversation_id: str, after: int = 0, limit: int = -1
    ) -> tuple[ConversationRow, list[MessageRow]]:
        """A conversation and its messages behind number ``after``, oldest first.

        Raises:
            NotFound: There is no such conversation.
        """
        row = await self._rows.get(conversation_id)
        return row, await self._rows.messages(conversation_id, after, limit)

    async def rename(self, conversation_id: str, title: str) -> ConversationRow:
        """Give a conversation another title.

        Raises:
            NotFound: There is no such conversation.
            InvalidInput: The title is empty or too long.
        """
        title = " ".join(title.split())
        if not 0 < len(title) <= MAX_TITLE_CHARS:
            raise InvalidInput(f"a title has 1 to {MAX_TITLE_CHARS} characters")
        row = await self._rows.rename(conversation_id, title)
        self._tell(conversation_id, "renamed")
        return row

    async def fork(self, conversation_id: str, number: int) -> ConversationRow:
        """Begin another conversation with what was said up to a message, and with it.

        Raises:
            NotFound: There is no such conversation or message.
            Conflict: The message is an answer that is still being made.
        """
        fork_id = secrets.token_hex(8)
        row = await self._rows.fork(conversation_id, number, fork_id, time.time())
        self._tell(fork_id, "created")
        return row

    async def export(self, conversation_id: str, path: str = "") -> SavedFile:
        """Write a conversation as Markdown into memory; nothing there is ever overwritten.

        Args:
            conversation_id: Which.
            path: Where; made from the title when empty. A number is put behind a taken name.

        Raises:
            NotFound: There is no such conversation.
            PathRefused, TooLarge, StorageError: As ``Memory.add_text``.
        """
        row, messages = await self.get(conversation_id)
        text = await asyncio.to_thread(render_transcript, row, messages)
        return await self._memory.add_text(path or export_name(row.title), text)

    async def delete(self, conversation_id: str) -> tuple[str, ...]:
        """Delete a conversation for good: from ``state.db``, its log and its backups.

        Waits for what is being answered in it; see ``Chat.delete_conversation``.

        Returns:
            The ids of the runs that its messages were of.

        Raises:
            NotFound: There is no such conversation.
            StorageError: Not all is wiped yet; the next deletion or start goes on.
        """
        async with self._alone(conversation_id):
            run_ids = await self._rows.delete(conversation_id)
            self._tell(conversation_id, "deleted")
            await self._state.erase()
        return run_ids

    async def interrupt(self, texts: Mapping[str, str]) -> None:
        """Mark what was being answered when the daemon was killed.

        Args:
            texts: By run, as much of its answer as is known.
        """
        await self._rows.interrupt(texts)

    def _tell(self, conversation_id: str, what: str) -> None:
        self._bus.publish(ConversationChanged(conversation_id, what))


_ENDS: dict[str, MessageState] = {"cancelled": "cancelled", "failed": "failed"}
