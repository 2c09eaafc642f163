"""Kept conversations in ``state.db``: what was said, in order, and finding it again."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Protocol, TypeVar

from sgoped.errors import Conflict, NotFound
from sgoped.state.conversation_rows import (
    SELECT,
    ConversationRow,
    MessageRow,
    MessageState,
    append_message,
    find_row,
    get_row,
    insert_row,
    message_rows,
)
from sgoped.state.erasing import note_deletion
from sgoped.state.run_records import delete_runs_of
from sgoped.state.texts import folded, searchable, storable

_MAX_WORDS = 16
_HOLDS = (
    "(instr(folded, ?) or exists (select 1 from message "
    "where message.conversation = conversation.id "
    "and instr(coalesce(message.folded, lower(message.text)), ?)))"
)

Result = TypeVar("Result")


class _Run(Protocol):
    def __call__(self, work: Callable[[sqlite3.Connection], Result]) -> Awaitable[Result]: ...


class ConversationRows:
    """The rows; every write is on the disk when its coroutine returns.

    Args:
        run: Does work with the one connection, in the database's thread.
        note_change: Called after each write.

    All raise ``StorageError`` when ``state.db`` cannot be used.
    """

    def __init__(self, run: _Run, note_change: Callable[[], None]) -> None:
        self._run = run
        self._note_change = note_change

    async def _write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        result = await self._run(work)
        self._note_change()
        return result

    async def begin(
        self, conversation_id: str, title: str, asked: MessageRow, answer: MessageRow
    ) -> tuple[list[MessageRow], bool]:
        """Append a message and the answer to it, whatever their numbers say.

        Returns:
            What was said before, oldest first, and whether the conversation is new.
        """

        def work(connection: sqlite3.Connection) -> tuple[list[MessageRow], bool]:
            before = message_rows(connection, conversation_id)
            known = find_row(connection, conversation_id) is not None
            if not known:
                insert_row(connection, ConversationRow(conversation_id, title, asked.at, asked.at))
            connection.execute(
                "update conversation set updated_at = max(updated_at, ?) where id = ?",
                (asked.at, conversation_id),
            )
            number = before[-1].number if before else 0
            append_message(connection, conversation_id, number + 1, asked)
            append_message(connection, conversation_id, number + 2, answer)
            return before, not known

        return await self._write(work)

    async def finish(
        self, conversation_id: str, run_id: str, text: str, state: MessageState, at: float
    ) -> bool:
        """Give a live answer its text and its state; False when it was deleted meanwhile."""

        def work(connection: sqlite3.Connection) -> bool:
            cursor = connection.execute(
                "update message set text = ?, folded = ?, state = ? "
                "where conversation = ? and run_id = ? and state = 'live'",
                (storable(text), searchable(text), state, conversation_id, run_id),
            )
            connection.execute(
                "update conversation set updated_at = max(updated_at, ?) where id = ?",
                (at, conversation_id),
            )
            return cursor.rowcount > 0

        return await self._write(work)

    async def interrupt(self, texts: Mapping[str, str]) -> int:
        """Note that no answer is live any more; returns how many were.

        Args:
            texts: By run, as much of its answer as is known.
        """

        def work(connection: sqlite3.Connection) -> int:
            live = connection.execute("select run_id from message where state = 'live'").fetchall()
            for (run_id,) in live:
                text = texts.get(run_id, "")
                connection.execute(
                    "update message set text = ?, folded = ?, state = 'interrupted' "
                    "where state = 'live' and run_id = ?",
                    (storable(text), searchable(text), run_id),
                )
            return len(live)

        return await self._run(work)

    async def find(
        self, query: str, limit: int, after: tuple[float, str] | None = None
    ) -> tuple[list[ConversationRow], int]:
        """Those whose title or messages hold every word of ``query``, what changed last first.

        Args:
            query: Words, or parts of them; case and accents do not count. Empty: all.
            limit: How many at most.
            after: ``updated_at`` and ``id`` of the last one that is known already.

        Returns:
            They, and how many there are in all.
        """
        words = tuple(dict.fromkeys(folded(query).split()))[:_MAX_WORDS]

        def work(connection: sqlite3.Connection) -> tuple[list[ConversationRow], int]:
            holds = " and ".join([_HOLDS] * len(words)) or "true"
            given = [word for word in words for _ in range(2)]
            (total,) = connection.execute(
                f"select count(*) from conversation where {holds}",  # noqa: S608 - constants
                given,
            ).fetchone()
            behind = "true" if after is None else "(updated_at, id) < (?, ?)"
            rows = connection.execute(
                f"{SELECT} where {holds} and {behind} order by updated_at desc, id desc limit ?",
                [*given, *(after or ()), limit],
            )
            return [ConversationRow(*row) for row in rows], total

        return await self._run(work)

    async def get(self, conversation_id: str) -> ConversationRow:
        """The conversation of that id.

        Raises:
            NotFound: There is none.
        """
        return await self._run(lambda connection: get_row(connection, conversation_id))

    async def messages(
        self, conversation_id: str, after: int = 0, limit: int = -1
    ) -> list[MessageRow]:
        """Messages with a greater number than ``after``, oldest first; all by default."""
        return await self._run(
            lambda connection: message_rows(connection, conversation_id, after, limit)
        )

    async def rename(self, conversation_id: str, title: str) -> ConversationRow:
        """Change the title.

        Raises:
            NotFound: There is no such conversation.
        """

        def work(connection: sqlite3.Connection) -> ConversationRow:
            connection.execute(
                "update conversation set title = ?, folded = ? where id = ?",
                (storable(title), folded(title), conversation_id),
            )
            return get_row(connection, conversation_id)

        return await self._write(work)

    async def fork(
        self, conversation_id: str, number: int, fork_id: str, now: float
    ) -> ConversationRow:
        """Make a conversation of the messages up to one of them, and with it.

        Args:
            conversation_id: Of the one that stays as it is.
            number: Of the last message to take over.
            fork_id: Of the new one; nobody has it yet.
            now: In unix seconds.

        Raises:
            NotFound: There is no such conversation or message.
            Conflict: The message is being made.
        """

        def work(connection: sqlite3.Connection) -> ConversationRow:
            source = get_row(connection, conversation_id)
            taken = [
                row for row in message_rows(connection, conversation_id) if row.number <= number
            ]
            if not taken or taken[-1].number != number:
                raise NotFound(f"the conversation has no message {number}")
            if taken[-1].state == "live":
                raise Conflict("this answer is still being made; wait for its end, or stop it")
            insert_row(
                connection,
                ConversationRow(fork_id, source.title, now, now, conversation_id, number),
            )
            for row in taken:
                append_message(connection, fork_id, row.number, replace(row, run_id=""))
            return get_row(connection, fork_id)

        return await self._write(work)

    async def delete(self, conversation_id: str) -> tuple[str, ...]:
        """Take a conversation and its runs out; ``State.erase`` wipes what is left of them.

        Returns:
            The ids of the runs that its messages were of; those of a fork are of no run.

        Raises:
            NotFound: There is no such conversation.
        """

        def work(connection: sqlite3.Connection) -> tuple[str, ...]:
            get_row(connection, conversation_id)
            given = (conversation_id,)
            run_ids = connection.execute(
                "select distinct run_id from message where conversation = ? and run_id != ''",
                given,
            ).fetchall()
            note_deletion(connection)
            delete_runs_of(connection, conversation_id)
            connection.execute("delete from message where conversation = ?", given)
            connection.execute("delete from conversation where id = ?", given)
            return tuple(run_id for (run_id,) in run_ids)

        return await self._write(work)
