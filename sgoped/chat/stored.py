"""Runs as ``state.db`` keeps them: into rows and back, and the end of those that a kill left."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial

from sgoped.chat.events import Cancelled, Completed, Content, End, Failed
from sgoped.chat.log import Kept, RunLog
from sgoped.chat.pages import Page, event_text, pack, text_event
from sgoped.chat.relay import END_THINK, THINK
from sgoped.chat.run import Run, RunInfo, Told
from sgoped.chat.said import MAX_TEXT_CHARS
from sgoped.state import PageRow, RunChange, RunRow, StoredRun

MAX_MESSAGE_CHARS = 10_000
INTERRUPTED = "interrupted: sgoped ended while this answer was being made"


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run as lists show it.

    Attributes:
        info: What it is.
        state: ``live``, ``completed``, ``cancelled``, ``failed`` or ``interrupted``.
        end: Its last event; None while it lives.
        last_event_id: Number of its newest event.
    """

    info: RunInfo
    state: str
    end: End | None
    last_event_id: int


def change_of(run: Run, kept: Kept) -> RunChange:
    """What is to be written of a run; ``kept`` is what is not on the disk yet."""
    end = run.end
    is_cut = run.state == "interrupted"
    if end is not None and is_cut:
        end = Failed(INTERRUPTED, end.at)
    row = RunRow(
        id=run.id,
        started_at=run.info.started_at,
        state=run.state,
        info=json.dumps(_bounded(run.info)),
        end="" if end is None else event_text(end),
        last_event=kept.last,
    )
    pages = partial(_page_rows, kept, end if is_cut else None)
    if end is None:
        return RunChange(row, kept.first, pages)
    return RunChange(row, kept.first, pages, _told_text(run.told), run.text)


def summary_of(row: RunRow) -> RunSummary | None:
    """A row for lists; None where another version wrote what this one cannot read."""
    try:
        return RunSummary(_info(row), row.state, _end(row), row.last_event)
    except (ValueError, TypeError):
        return None


def restored(stored: StoredRun) -> Run | None:
    """An ended run as it was kept; None where another version wrote what this one cannot read."""
    try:
        told = [text_event(text) for text in json.loads(stored.told or "[]")]
        return Run.restored(
            info=_info(stored.row),
            log=RunLog(pages=_pages(stored)),
            end=_end(stored.row) or Failed(INTERRUPTED, stored.row.started_at),
            told=[event for event in told if isinstance(event, Told)],
            text=stored.text,
            state=stored.row.state,
        )
    except (ValueError, TypeError):
        return None


def interrupted(stored: StoredRun) -> RunChange | None:
    """The end of a run that was live when everything was killed; None when it is unreadable."""
    pages = _pages(stored)
    try:
        events = [event for page in pages for event in page.events()]
    except (ValueError, TypeError):
        return None
    said = [each.text for each in events if isinstance(each, Content) and each.part == "answer"]
    told = {type(event): event for event in events if isinstance(event, Told)}
    now = time.time()
    end = Failed(INTERRUPTED, now)
    tags = [each.text for each in events if isinstance(each, Content) and each.part == "tag"]
    closing = [Content(END_THINK, now, "tag")] if tags[-1:] == [THINK] else []
    added = pack(pages[-1].last + 1 if pages else 1, [*closing, end])
    row = RunRow(
        id=stored.row.id,
        started_at=stored.row.started_at,
        state="interrupted",
        info=stored.row.info,
        end=event_text(end),
        last_event=added.last,
    )
    return RunChange(
        row=row,
        first=pages[0].first if pages else 1,
        pages=lambda: [PageRow(added.first, added.last, added.data)],
        told=_told_text(list(told.values())),
        text="".join(said)[:MAX_TEXT_CHARS],
    )


def _page_rows(kept: Kept, cut_by: End | None) -> list[PageRow]:
    """What is not written yet; called in the database's thread, since packing takes time."""
    pages, recent = list(kept.pages), kept.recent
    if cut_by is not None:
        recent = (*recent[:-1], cut_by)
    if recent:
        pages.append(pack(kept.base + 1, recent))
    return [PageRow(page.first, page.last, page.data) for page in pages]


def _told_text(told: Sequence[Told]) -> str:
    return json.dumps([event_text(event) for event in told])


def _pages(stored: StoredRun) -> list[Page]:
    return [Page(page.first, page.last, page.events) for page in stored.pages]


def _bounded(info: RunInfo) -> dict[str, object]:
    """It is written again and again; a message may have been pasted, with megabytes in it."""
    return asdict(info) | {"message": info.message[:MAX_MESSAGE_CHARS]}


def _info(row: RunRow) -> RunInfo:
    known = {field.name for field in fields(RunInfo)}
    given = {name: value for name, value in json.loads(row.info).items() if name in known}
    return RunInfo(**given)


def _end(row: RunRow) -> End | None:
    event = text_event(row.end) if row.end else None
    return event if isinstance(event, Completed | Cancelled | Failed) else None
