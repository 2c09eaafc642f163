"""Summaries that wait for a model, in ``state.db``: which file, in which state, and what to do."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from sqlite_utils import Database as Tables

    from sgoped.state.facts import State

EnrichmentState = Literal["queued", "working", "done", "skipped", "failed"]

_SELECT = (
    "select id, path, etag, recipe, model, state, why, attempts, created_at, next_try_at, ended_at, "
    "may_leave from enrichment order by created_at, id"
)
_REPLACE = "insert or replace into enrichment values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Enrichment:
    """One of them.

    Attributes:
        id: Unique, made by us.
        path: The file, relative to the memory folder.
        etag: What its content was told from another one by when it was saved.
        recipe: What a model is to add; see ``actions.later``.
        model: Which was to be asked, an id or name; empty: there was none.
        state: How far it is.
        why: Why it ended so, or why it is tried again; empty when there is nothing to say.
        attempts: How often a model was asked.
        created_at: In unix seconds, as all times.
        next_try_at: Not before then; None when it has ended.
        ended_at: None until then.
        may_leave: Whether that model was not on this machine or network, so that the text may go
            to it there.
    """

    id: str
    path: str
    etag: str
    recipe: dict[str, Any]
    model: str
    state: EnrichmentState = "queued"
    why: str = ""
    attempts: int = 0
    created_at: float = 0.0
    next_try_at: float | None = None
    ended_at: float | None = None
    may_leave: bool = False


class Enrichments:
    """The table; every write is on the disk when its coroutine returns.

    It is no reason for a backup: what is lost with it can be had again.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    async def load(self) -> list[Enrichment]:
        """All, oldest first."""

        def work(connection: sqlite3.Connection) -> list[Enrichment]:
            rows = connection.execute(_SELECT)
            return [
                Enrichment(
                    id_,
                    path.decode("utf-8", "surrogateescape"),
                    etag,
                    json.loads(recipe),
                    *(*rest, bool(may_leave)),
                )
                for id_, path, etag, recipe, *rest, may_leave in rows
            ]

        return await self._state.run(work)

    async def save(self, row: Enrichment) -> None:
        """Insert it, or replace the one with its id."""
        values = (
            *(row.id, row.path.encode("utf-8", "surrogateescape"), row.etag),
            *(json.dumps(row.recipe), row.model, row.state, row.why, row.attempts),
            *(row.created_at, row.next_try_at, row.ended_at, row.may_leave),
        )

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(_REPLACE, values)

        await self._state.run(work)

    async def delete(self, ids: list[str]) -> None:
        """Forget these."""

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany("delete from enrichment where id = ?", [(each,) for each in ids])

        await self._state.run(work)


def create_enrichments(tables: Tables) -> None:
    """Make the table of summaries that wait for a model."""
    tables.execute(
        "create table enrichment (id text primary key, path blob not null, etag text not null, "
        "recipe text not null, model text not null, state text not null, why text not null, "
        "attempts integer not null, created_at real not null, next_try_at real, ended_at real)"
    )


def add_may_leave(tables: Tables) -> None:
    """Note whether a text may leave this machine; of those that wait already, none may."""
    tables.execute("alter table enrichment add column may_leave integer not null default 0")
