"""What is kept of conversations: in order, found again, and gone when it is deleted."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from sgoped.database import open_database
from sgoped.errors import Conflict, NotFound, StorageError
from sgoped.state import ConversationRows, MessageRow, ServiceRow, State, open_state, opening
from sgoped.state.facts import STEPS

MARKER = "Quokka-7731"


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[State]:
    async with open_state(tmp_path / "state.db", tmp_path / "backups") as opened:
        yield opened


@pytest.fixture
def rows(state: State) -> ConversationRows:
    return state.conversations


def asked(text: str, run: str, at: float = 1.0) -> MessageRow:
    return MessageRow(0, "user", text, at, run_id=run, paths=("a.md",), uploads=("up.txt",))


def pending(run: str, at: float = 1.0) -> MessageRow:
    return MessageRow(0, "assistant", "", at, "live", model="s/beta", run_id=run)


async def say(
    rows: ConversationRows, conversation: str, text: str, answer: str, at: float = 1.0
) -> None:
    """One question and its answer, in a run that is called like the question."""
    await rows.begin(conversation, text, asked(text, text, at), pending(text, at))
    assert await rows.finish(conversation, text, answer, "complete", at)


async def ids(rows: ConversationRows, query: str = "") -> list[str]:
    return [row.id for row in (await rows.find(query, 100))[0]]


async def test_messages_are_kept_in_order_with_all_that_belongs_to_them(
    tmp_path: Path,
) -> None:
    path, backups = tmp_path / "kept.db", tmp_path / "others"
    async with open_state(path, backups) as state:
        await say(state.conversations, "c", "one", "first", 1.0)
        before, is_new = await state.conversations.begin(
            "c", "ignored", asked("two", "r2", 2.0), pending("r2", 2.0)
        )
        assert ([row.text for row in before], is_new) == (["one", "first"], False)
        await state.conversations.finish("c", "r2", "sec", "cancelled", 3.0)
    async with open_state(path, backups) as state:
        row = await state.conversations.get("c")
        assert (row.title, row.created_at, row.updated_at, row.messages) == ("one", 1.0, 3.0, 4)
        messages = await state.conversations.messages("c")
        assert [message.number for message in messages] == [1, 2, 3, 4]
        assert messages[0] == MessageRow(
            1, "user", "one", 1.0, "complete", ("a.md",), ("up.txt",), "", "one"
        )
        assert messages[3] == MessageRow(
            4, "assistant", "sec", 2.0, "cancelled", (), (), "s/beta", "r2"
        )
        assert [row.number for row in await state.conversations.messages("c", 1, 2)] == [2, 3]


async def test_a_file_from_before_there_were_conversations_gets_their_tables(
    tmp_path: Path,
) -> None:
    path, backups = tmp_path / "older.db", tmp_path / "others"
    row = ServiceRow("home", "ollama", "At home", enabled=True, config={})
    async with open_database(path, STEPS[:1]) as older:
        await State(older, "", lambda _: None).save_service(row)
    async with open_state(path, backups) as state:
        assert await state.load_services() == [row]
        await say(state.conversations, "c", "one", "first")


async def test_what_was_live_at_a_kill_is_interrupted_with_what_is_known_of_it(
    rows: ConversationRows,
) -> None:
    for run in ("r1", "r2"):
        await rows.begin(run, "t", asked("question", run), pending(run))
    assert await rows.interrupt({"r2": "half an ans"}) == 2
    assert await rows.interrupt({}) == 0
    told = [(await rows.messages(run))[1] for run in ("r1", "r2")]
    assert [(row.state, row.text) for row in told] == [
        ("interrupted", ""),
        ("interrupted", "half an ans"),
    ]
    assert await rows.finish("r1", "r1", "too late", "complete", 9.0) is False


async def test_every_word_must_be_in_the_title_or_in_a_message(rows: ConversationRows) -> None:
    await say(rows, "a", "Tulips in spring", "Plant them in Octóber", 1.0)
    await say(rows, "b", "Roses", "They like STRASSE and 中文字", 2.0)
    await rows.rename("b", "Röschen im Mai")
    assert await ids(rows) == ["b", "a"]
    assert await ids(rows, "october") == ["a"]
    assert await ids(rows, "TULIPS octo") == ["a"]
    assert await ids(rows, "tulips roses") == []
    assert await ids(rows, "roschen 文字 straße") == ["b"]
    assert await ids(rows, "100% _ '\" *") == []


async def test_pages_go_on_where_the_last_one_ended(rows: ConversationRows) -> None:
    for number in range(7):
        await say(rows, f"c{number}", f"word {number}", "answer", at=float(number // 2))
    seen: list[str] = []
    after: tuple[float, str] | None = None
    while page := await rows.find("word", 3, after):
        found, total = page
        assert total == 7
        if not found:
            break
        seen += [row.id for row in found]
        after = (found[-1].updated_at, found[-1].id)
    assert seen == ["c6", "c5", "c4", "c3", "c2", "c1", "c0"]


async def test_a_fork_has_what_was_said_up_to_there_and_goes_its_own_way(
    rows: ConversationRows,
) -> None:
    await say(rows, "c", "one", "first")
    await say(rows, "c", "two", "second", 2.0)
    fork = await rows.fork("c", 2, "f", 5.0)
    assert (fork.id, fork.forked_from, fork.forked_at, fork.messages) == ("f", "c", 2, 2)
    await say(rows, "f", "three", "third", 6.0)
    assert [row.text for row in await rows.messages("f")] == ["one", "first", "three", "third"]
    assert [row.text for row in await rows.messages("c")] == ["one", "first", "two", "second"]
    for number in (0, 5):
        with pytest.raises(NotFound):
            await rows.fork("c", number, "g", 7.0)
    with pytest.raises(NotFound):
        await rows.fork("unknown", 1, "g", 7.0)
    assert await ids(rows) == ["f", "c"]
    assert await rows.delete("f") == ("three",)
    assert await rows.delete("c") == ("one", "two")
    with pytest.raises(NotFound):
        await rows.delete("c")


async def test_what_is_being_made_is_not_forked(rows: ConversationRows) -> None:
    await rows.begin("c", "t", asked("one", "r"), pending("r"))
    with pytest.raises(Conflict):
        await rows.fork("c", 2, "f", 1.0)
    assert (await rows.fork("c", 1, "f", 1.0)).messages == 1


async def test_names_and_texts_that_are_no_utf8_are_kept(rows: ConversationRows) -> None:
    odd = MessageRow(0, "user", "a\ud800b\0c", 1.0, paths=("\udcff.md",), run_id="r")
    await rows.begin("c", "t\ud800", odd, pending("r"))
    await rows.finish("c", "r", "x\udfffy", "complete", 1.0)
    first, second = await rows.messages("c")
    assert (first.text, first.paths, second.text) == ("a?b\0c", ("\udcff.md",), "x?y")


def everything_in(folder: Path) -> bytes:
    """All bytes of state.db, its log and its backups."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_what_is_deleted_is_in_no_byte_of_the_file_its_log_and_the_backups(
    tmp_path: Path,
) -> None:
    path, backups = tmp_path / "state.db", tmp_path / "backups"
    async with open_state(path, backups) as state:
        # Some builds of SQLite wipe by themselves, others do not.
        await state._database.run(lambda c: c.execute("pragma secure_delete = off").fetchall())
        for number in range(40):
            await say(state.conversations, f"kept{number}", f"q{number}", "Wombat " * 300)
        await say(state.conversations, "gone", f"{MARKER} asked", f"{MARKER} " * 3000)
        await state.conversations.rename("gone", f"{MARKER} in a title")
    assert everything_in(tmp_path).count(MARKER.encode()) > 1000
    dated = next(backups.glob("state-2*.db"))
    async with open_state(path, backups) as state:
        await state._database.run(lambda c: c.execute("pragma secure_delete = off").fetchall())
        await state.conversations.rename("gone", "renamed before")
        assert MARKER.encode() in path.read_bytes()
        assert await state.conversations.delete("gone") == (f"{MARKER} asked",)
        await state.erase()
        found = everything_in(tmp_path).lower()
        assert MARKER.lower().encode() not in found
        assert found.count(b"wombat") > 40 * 300
        with pytest.raises(NotFound):
            await state.conversations.get("gone")
        assert not dated.exists()
        names = sorted(each.name for each in backups.iterdir())
        assert [name[:7] for name in names] == ["state-2", "state-l"]
    for name in names:
        with closing(sqlite3.connect(backups / name)) as copy:
            assert copy.execute("select count(*) from conversation").fetchone() == (40,)


async def test_a_deletion_that_was_killed_half_way_is_finished_by_the_next_start(
    tmp_path: Path,
) -> None:
    path, backups = tmp_path / "state.db", tmp_path / "backups"
    async with open_state(path, backups) as state:
        await say(state.conversations, "gone", MARKER, MARKER)
    async with open_state(path, backups) as state:
        await state.conversations.delete("gone")
        state.grown = False  # or a clean end would make a backup by itself
    assert MARKER.encode() in everything_in(backups)
    async with open_state(path, backups) as state:
        assert MARKER.encode() not in everything_in(tmp_path)
        assert await state.get_value("erasing") is None


async def test_a_deletion_that_cannot_be_wiped_says_so_and_can_be_done_again(
    tmp_path: Path,
) -> None:
    path, backups = tmp_path / "state.db", tmp_path / "backups"
    async with open_state(path, backups) as state:
        await say(state.conversations, "gone", MARKER, MARKER)
    away = backups.rename(tmp_path / "away")
    backups.write_text("in the way")
    async with open_state(path, backups) as state:
        await state.conversations.delete("gone")
        with pytest.raises(StorageError, match="backup"):
            await state.erase()
        backups.unlink()
        away.rename(backups)
        await state.erase()
        assert MARKER.encode() not in everything_in(tmp_path)


async def test_what_was_said_makes_no_backup_at_once_and_is_in_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, backups = tmp_path / "state.db", tmp_path / "backups"
    monkeypatch.setattr(opening, "QUIET_SECONDS", 0.0)
    async with open_state(path, backups) as state, asyncio.timeout(20):
        while not (backups / "state-latest.db").exists():  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.01)
        await say(state.conversations, "c", MARKER, "yes")
        assert (state.changed.is_set(), state.grown) == (False, True)
    assert MARKER.encode() in (backups / "state-latest.db").read_bytes()


async def test_a_daemon_that_goes_on_backs_up_what_was_said_every_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(opening, "QUIET_SECONDS", 0.0)
    latest = tmp_path / "backups" / "state-latest.db"
    async with (
        open_state(tmp_path / "state.db", tmp_path / "backups") as state,
        asyncio.timeout(20),
    ):
        await say(state.conversations, "c", MARKER, "yes")
        while not latest.exists() or MARKER.encode() not in latest.read_bytes():  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.01)
