"""Kept conversations in ``state.db``: what was said, in order, and finding it again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, get_args

from sgoped.errors import Conflict, NotFound
from sgoped.state.erasing import note_deletion
from sgoped.state.texts import folded, storable

if TYPE_CHECKING:
    from sqlite_utils import Database as Tables

Role = Literal["user", "assistant"]
MessageState = Literal["live", "complete", "cancelled", "failed", "interrupted"]
MESSAGE_STATES: tuple[MessageState, ...] = get_args(MessageState)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class ConversationRow:
    """A conversation without its messages.

    Attributes:
        id: Chosen by a client, or made by us.
        title: One line.
        created_at: In unix seconds.
        updated_at: When something was last said in it, in unix seconds.
        forked_from: The conversation that it was forked from, which may be gone; or empty.
        forked_at: The number of the message it was forked at; 0 when it was not.
        messages: How many it has.
    """

    id: str
    title: str
    created_at: float
    updated_at: float
    forked_from: str = ""
    forked_at: int = 0
    messages: int = 0


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One message of a conversation.

    Attributes:
        number: Its place in the conversation, from 1.
        role: Who said it.
        text: What was said, without any thinking; of a live answer nothing yet.
        at: When it was begun, in unix seconds.
        state: ``live`` while the answer is being made; ``interrupted`` when the daemon ended.
        paths: The memory files that it referred to.
        uploads: The names of what was sent along.
        model: The model's id, of an answer; empty when there was none.
        run_id: The run that it belongs to.
    """

    number: int
    role: Role
    text: str
    at: float
    state: MessageState = "complete"
    paths: tuple[str, ...] = ()
    uploads: tuple[str, ...] = ()
    model: str = ""
    run_id: str = ""


def create_conversations(tables: Tables) -> None:
    """Make the tables of kept conversations; ``folded`` is what searches look at."""
    tables.execute(
        "create table conversation (id text primary key, title text not null, "
        "folded text not null, created_at real not null, updated_at real not null, "
        "forked_from text not null default '', forked_at integer not null default 0)"
    )
    tables.execute("create index conversation_by_age on conversation (updated_at, id)")
    tables.execute(
        "create table message (position integer primary key, conversation text not null, "
        "number integer not null, role text not null, state text not null, at real not null, "
        "model text not null, run_id text not null, paths text not null, uploads text not null, "
        "folded text not null, text text not null, unique (conversation, number))"
    )
    tables.execute("create index message_live on message (run_id) where state = 'live'")


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
            before = _messages(connection, conversation_id)
            known = _find(connection, conversation_id) is not None
            if not known:
                _insert(connection, ConversationRow(conversation_id, title, asked.at, asked.at))
            connection.execute(
                "update conversation set updated_at = max(updated_at, ?) where id = ?",
                (asked.at, conversation_id),
            )
            number = before[-1].number if before else 0
            _append(connection, conversation_id, number + 1, asked)
            _append(connection, conversation_id, number + 2, answer)
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
                (storable(text), folded(text), state, conversation_id, run_id),
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
                    (storable(text), folded(text), run_id),
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
                f"{_SELECT} where {holds} and {behind} order by updated_at desc, id desc limit ?",
                [*given, *(after or ()), limit],
            )
            return [ConversationRow(*row) for row in rows], total

        return await self._run(work)

    async def get(self, conversation_id: str) -> ConversationRow:
        """The conversation of that id.

        Raises:
            NotFound: There is none.
        """
        return await self._run(lambda connection: _get(connection, conversation_id))

    async def messages(
        self, conversation_id: str, after: int = 0, limit: int = -1
    ) -> list[MessageRow]:
        """Messages with a greater number than ``after``, oldest first; all by default."""
        return await self._run(
            lambda connection: _messages(connection, conversation_id, after, limit)
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
            return _get(connection, conversation_id)

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
            source = _get(connection, conversation_id)
            taken = [row for row in _messages(connection, conversation_id) if row.number <= number]
            if not taken or taken[-1].number != number:
                raise NotFound(f"the conversation has no message {number}")
            if taken[-1].state == "live":
                raise Conflict("this answer is still being made; wait for its end, or stop it")
            _insert(
                connection,
                ConversationRow(fork_id, source.title, now, now, conversation_id, number),
            )
            for row in taken:
                _append(connection, fork_id, row.number, row)
            return _get(connection, fork_id)

        return await self._write(work)

    async def delete(self, conversation_id: str) -> bool:
        """Take a conversation out; whether there was one. ``State.erase`` wipes what is left."""

        def work(connection: sqlite3.Connection) -> bool:
            note_deletion(connection)
            given = (conversation_id,)
            connection.execute("delete from message where conversation = ?", given)
            return connection.execute("delete from conversation where id = ?", given).rowcount > 0

        return await self._write(work)


_MAX_WORDS = 16
_SELECT = (
    "select id, title, created_at, updated_at, forked_from, forked_at, "
    "(select count(*) from message where conversation = id) from conversation"
)
_HOLDS = (
    "(instr(folded, ?) or exists (select 1 from message "
    "where message.conversation = conversation.id and instr(message.folded, ?)))"
)


def _find(connection: sqlite3.Connection, conversation_id: str) -> ConversationRow | None:
    row = connection.execute(f"{_SELECT} where id = ?", (conversation_id,)).fetchone()
    return None if row is None else ConversationRow(*row)


def _get(connection: sqlite3.Connection, conversation_id: str) -> ConversationRow:
    found = _find(connection, conversation_id)
    if found is None:
        raise NotFound("there is no such conversation", code="conversation_not_found")
    return found


def _messages(
    connection: sqlite3.Connection, conversation_id: str, after: int = 0, limit: int = -1
) -> list[MessageRow]:
    rows = connection.execute(
        "select number, role, text, at, state, paths, uploads, model, run_id from message "
        "where conversation = ? and number > ? order by number limit ?",
        (conversation_id, after, limit),
    )
    return [_message(*row) for row in rows]


def _message(
    number: int, role: Role, text: str, at: float, state: MessageState, *rest: Any
) -> MessageRow:
    paths, uploads, model, run_id = rest
    return MessageRow(
        number, role, text, at, state, _loaded(paths), _loaded(uploads), model, run_id
    )


def _loaded(names: str) -> tuple[str, ...]:
    return tuple(json.loads(names))


def _insert(connection: sqlite3.Connection, row: ConversationRow) -> None:
    connection.execute(
        "insert into conversation (id, title, folded, created_at, updated_at, forked_from, "
        "forked_at) values (?, ?, ?, ?, ?, ?, ?)",
        (
            row.id,
            storable(row.title),
            folded(row.title),
            row.created_at,
            row.updated_at,
            row.forked_from,
            row.forked_at,
        ),
    )


def _append(
    connection: sqlite3.Connection, conversation_id: str, number: int, row: MessageRow
) -> None:
    connection.execute(
        "insert into message (conversation, number, role, state, at, model, run_id, paths, "
        "uploads, folded, text) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            conversation_id,
            number,
            row.role,
            row.state,
            row.at,
            row.model,
            row.run_id,
            _dumped(row.paths),
            _dumped(row.uploads),
            folded(row.text),
            storable(row.text),
        ),
    )


def _dumped(names: Sequence[str]) -> str:
    return json.dumps(list(names))  # in ASCII, so that names that are no UTF-8 can be stored
