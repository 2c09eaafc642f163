"""The rows of kept conversations: their tables, and how one is read and written."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sgoped.errors import NotFound
from sgoped.state.texts import folded, searchable, storable

if TYPE_CHECKING:
    from sqlite_utils import Database as Tables

SELECT = (
    "select id, title, created_at, updated_at, forked_from, forked_at, "
    "(select count(*) from message where conversation = id) from conversation"
)

Role = Literal["user", "assistant"]
MessageState = Literal["live", "complete", "cancelled", "failed", "interrupted"]


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
        run_id: The run that it belongs to; empty for one that a fork took over.
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
    """Make the tables; ``folded`` is what searches look at, null in a message of ASCII alone."""
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
        "folded text, text text not null, unique (conversation, number))"
    )
    tables.execute("create index message_live on message (run_id) where state = 'live'")


def find_row(connection: sqlite3.Connection, conversation_id: str) -> ConversationRow | None:
    """The conversation of that id, or ``None``."""
    row = connection.execute(f"{SELECT} where id = ?", (conversation_id,)).fetchone()
    return None if row is None else ConversationRow(*row)


def get_row(connection: sqlite3.Connection, conversation_id: str) -> ConversationRow:
    """As ``find_row``, or ``NotFound``."""
    found = find_row(connection, conversation_id)
    if found is None:
        raise NotFound("there is no such conversation", code="conversation_not_found")
    return found


def message_rows(
    connection: sqlite3.Connection, conversation_id: str, after: int = 0, limit: int = -1
) -> list[MessageRow]:
    """Messages with a greater number than ``after``, oldest first; ``limit`` -1: all."""
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


def insert_row(connection: sqlite3.Connection, row: ConversationRow) -> None:
    """Make a conversation without messages."""
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


def append_message(
    connection: sqlite3.Connection, conversation_id: str, number: int, row: MessageRow
) -> None:
    """Put a message into a conversation under that number, which is free."""
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
            searchable(row.text),
            storable(row.text),
        ),
    )


def _dumped(names: Sequence[str]) -> str:
    return json.dumps(list(names))  # in ASCII, so that names that are no UTF-8 can be stored
