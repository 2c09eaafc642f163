from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from sgoped.memory import beneath, reading
from sgoped.memory.document import Kind
from sgoped.memory.index import IndexBrokenError
from sgoped.memory.relevance import Concept, Plan
from sgoped.memory.store import Store, load_table, open_store
from sgoped.memory.table import FileStatus, PathTable
from sgoped.memory.worker import IndexWorker


def ignore_error(path: str, error: OSError) -> None:
    raise AssertionError(path) from error


@asynccontextmanager
async def stored(tmp_path: Path) -> AsyncGenerator[Store]:
    async with open_store(tmp_path / "catalogue.db") as store:
        yield store


def make(tmp_path: Path, store: Store) -> IndexWorker:
    (tmp_path / "root").mkdir(exist_ok=True)
    return IndexWorker(tmp_path / "root", tmp_path / "index", store, 1_000_000)


def settle(worker: IndexWorker) -> None:
    worker.begin_scan(ignore_error)
    while not worker.continue_scan():
        pass
    for _ in range(1000):
        if not worker.has_work:
            return
        worker.step()
    raise AssertionError("the worker never settles")


def bodies_with(worker: IndexWorker, word: str) -> list[str]:
    plan = Plan((Concept((word,), {word: 1.0}),))
    hits = worker.bodies.search(plan, 50, lambda _: True)
    return sorted(worker.table.path(hit.pid) or "?" for hit in hits)


async def in_thread(work: Callable[[], object]) -> None:
    await asyncio.to_thread(work)


async def test_a_kill_between_the_index_commit_and_the_catalogue_loses_nothing(
    tmp_path: Path,
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name in ("kept.txt", "changed.txt", "removed.txt"):
        (root / name).write_text(f"old words of {name}")

    async with stored(tmp_path) as store:

        def work() -> None:
            first = make(tmp_path, store)
            settle(first)
            first.close()
            # The second life commits its index, and dies before the catalogue is saved.
            second = make(tmp_path, store)
            (root / "changed.txt").write_text("fresh content")
            (root / "added.txt").write_text("fresh file")
            (root / "removed.txt").unlink()
            second._save = second._unsaved.clear  # type: ignore[method-assign]
            settle(second)
            second.names.close()
            second.bodies.close()
            # Meanwhile the folder changes again.
            (root / "removed.txt").write_text("back again")
            (root / "added.txt").unlink()
            (root / "other.txt").write_text("other fresh")
            third = make(tmp_path, store)
            settle(third)
            assert bodies_with(third, "fresh") == ["changed.txt", "other.txt"]
            assert bodies_with(third, "old") == ["kept.txt"]
            assert bodies_with(third, "again") == ["removed.txt"]
            for name in ("kept", "changed", "removed", "other"):
                assert len(third.names.by_start(name, 5)) == 1, name
            assert third.names.by_start("added", 5) == []
            assert third.names.count == 4
            assert third.bodies.count == 4
            third.close()

        await in_thread(work)


async def test_a_scan_that_is_only_begun_asks_the_disk_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is begun on the event loop, and a network drive may not answer for minutes."""
    (tmp_path / "root").mkdir()

    async with stored(tmp_path) as store:
        worker = await asyncio.to_thread(make, tmp_path, store)
        with monkeypatch.context() as patch:
            for name in ("stat", "lstat", "open", "scandir"):
                patch.setattr(os, name, lambda *_, **__: pytest.fail("the disk was asked"))
            worker.begin_scan(lambda *_: None)
        await asyncio.to_thread(settle, worker)
        await asyncio.to_thread(worker.close)


async def test_a_name_that_waits_is_pending_though_its_content_is_indexed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "one.txt").write_text("words")
    async with stored(tmp_path) as store:

        def work() -> None:
            first = make(tmp_path, store)
            first.look_at(["one.txt"])
            first.step(0.0, urgent=True)  # no time for its name
            first._index_bodies(1.0)
            first._commit()
            first.names.close()
            first.bodies.close()
            second = make(tmp_path, store)
            assert second.table.statuses[0] == FileStatus.INDEXED
            assert second.names.by_start("one", 5) == []
            assert second.pending == 1
            settle(second)
            assert second.names.by_start("one", 5) == [0]
            assert second.pending == 0
            second.close()

        await in_thread(work)


async def test_churn_makes_the_table_no_longer_over_restarts(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    async with stored(tmp_path) as store:

        def work() -> None:
            rows = []
            for life in range(6):
                worker = make(tmp_path, store)
                settle(worker)
                for number in range(30):
                    (root / f"life{life}n{number}.txt").write_text(f"words of life{life}")
                settle(worker)
                assert len(bodies_with(worker, f"life{life}")) == 30
                for file in root.glob(f"life{life - 1}n*.txt"):
                    file.unlink()
                settle(worker)
                assert len(worker.names.by_start(f"life{life}", 100)) == 30
                assert worker.names.by_start(f"life{life - 1}", 100) == []
                assert worker.names.count == worker.bodies.count == 30
                rows.append(worker.table.next_pid)
                worker.close()
            assert rows == [30, 60, 60, 60, 60, 60]

        await in_thread(work)


async def test_no_power_cut_brings_back_a_path_whose_pid_is_used_again(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name in ("kept.txt", "gone.txt"):
        (root / name).write_text(f"old words of {name}")
    async with stored(tmp_path) as store:

        def work() -> None:
            first = make(tmp_path, store)
            settle(first)
            store.flush()
            (root / "gone.txt").unlink()
            settle(first)
            first.names.close()  # and it is killed: its last words are in SQLite's log only
            first.bodies.close()
            second = make(tmp_path, store)
            second.close()
            left = tmp_path / "left by a power cut.db"
            shutil.copyfile(tmp_path / "catalogue.db", left)
            with closing(sqlite3.connect(left)) as connection:
                load_table(connection, table := PathTable())
            assert table.find("kept.txt") is not None
            assert table.find("gone.txt") is None

        await in_thread(work)


async def test_a_kill_after_pids_were_used_again_mixes_nothing_up(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name in ("kept.txt", "gone.txt"):
        (root / name).write_text(f"old words of {name}")
    async with stored(tmp_path) as store:

        def work() -> None:
            first = make(tmp_path, store)
            settle(first)
            (root / "gone.txt").unlink()
            settle(first)
            first.close()
            second = make(tmp_path, store)
            (root / "again.txt").write_text("fresh content")
            second._save = second._unsaved.clear  # type: ignore[method-assign]
            settle(second)
            assert second.table.next_pid == 2
            second.names.close()
            second.bodies.close()
            (root / "again.txt").rename(root / "other.txt")
            third = make(tmp_path, store)
            settle(third)
            assert bodies_with(third, "fresh") == ["other.txt"]
            assert bodies_with(third, "old") == ["kept.txt"]
            assert third.names.by_start("again", 5) == []
            assert third.names.by_start("gone", 5) == []
            assert len(third.names.by_start("other", 5)) == 1
            assert third.names.count == third.bodies.count == 2
            third.close()

        await in_thread(work)


async def test_pending_files_are_read_after_a_restart(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for i in range(50):
        (root / f"f{i}.txt").write_text("unread words")
    async with stored(tmp_path) as store:

        def work() -> None:
            first = make(tmp_path, store)
            first.begin_scan(ignore_error)
            first.continue_scan()
            first._index_names(5, urgent=False)
            first.close()
            second = make(tmp_path, store)
            assert second.pending == 50
            settle(second)
            assert len(bodies_with(second, "unread")) == 50
            second.close()

        await in_thread(work)


async def test_a_broken_writer_means_a_rebuild_and_then_the_same_answers(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for i in range(20):
        (root / f"f{i}.txt").write_text("steady words")
    async with stored(tmp_path) as store:

        def work() -> None:
            worker = make(tmp_path, store)
            settle(worker)
            for index in (worker.names, worker.bodies):
                index.close()
                (root / "f1.txt").write_text(f"steady words again {type(index).__name__}")
                (root / f"{type(index).__name__}.txt").write_text("steady words")
                settle(worker)
            assert len(bodies_with(worker, "steady")) == 22
            assert len(worker.names.by_start("f", 50)) == 20
            worker.close()

        await in_thread(work)


async def test_an_index_that_breaks_for_ever_is_given_up_on(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    for i in range(10):
        (tmp_path / "root" / f"{i}.txt").write_text("x")
    async with stored(tmp_path) as store:

        def work() -> None:
            worker = make(tmp_path, store)

            def broken(*_: object) -> None:
                raise IndexBrokenError("on purpose")

            worker.bodies.add = broken  # type: ignore[method-assign, assignment]
            with pytest.raises(IndexBrokenError, match="again and again"):
                settle(worker)
            worker.close()

        await in_thread(work)


async def test_a_text_that_cannot_be_indexed_costs_only_itself(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    for name in ("good", "poison", "other"):
        (tmp_path / "root" / f"{name}.txt").write_text(f"{name} words")
    async with stored(tmp_path) as store:

        def work() -> None:
            worker = make(tmp_path, store)
            add_text = worker.bodies.add_text

            def choosy(pid: int, path: str, text: str) -> None:
                if "poison" in text:
                    raise IndexBrokenError("on purpose")
                add_text(pid, path, text)

            worker.bodies.add_text = choosy  # type: ignore[method-assign]
            settle(worker)
            assert bodies_with(worker, "words") == ["good.txt", "other.txt"]
            assert worker.pending == 0
            worker.close()

        await in_thread(work)


async def test_a_stop_before_all_names_were_indexed_loses_none(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for i in range(60):
        (root / f"name{i}.txt").write_text("x")
    async with stored(tmp_path) as store:

        def work() -> None:
            first = make(tmp_path, store)
            first.begin_scan(ignore_error)
            first.continue_scan()
            late = list(first._unnamed)[10:]
            for _ in late:
                first._unnamed.pop()
            first._index_names(5, urgent=False)
            first._unnamed.extend(late)
            first.close()
            second = make(tmp_path, store)
            settle(second)
            assert second.names.count == 60
            second.close()

        await in_thread(work)


async def test_a_stop_while_contents_are_indexed_again_loses_none(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for i in range(30):
        (root / f"d{i % 3}").mkdir(parents=True, exist_ok=True)
        (root / f"d{i % 3}/f{i}.txt").write_text("steady words")
    async with stored(tmp_path) as store:

        def work() -> None:
            first = make(tmp_path, store)
            settle(first)
            first.close()
            for index in (tmp_path / "index").glob("bodies-*"):
                shutil.rmtree(index)
            second = make(tmp_path, store)
            second._index_bodies(0)
            second.close()
            third = make(tmp_path, store)
            settle(third)
            assert len(bodies_with(third, "steady")) == 30
            third.close()

        await in_thread(work)


async def test_what_could_not_be_read_for_a_while_is_read_later(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    for i in range(10):
        (root / f"sub/f{i}.txt").write_text("patient words")
    async with stored(tmp_path) as store:

        def work() -> None:
            worker = make(tmp_path, store)
            worker.begin_scan(ignore_error)
            worker.continue_scan()
            (root / "sub").rename(tmp_path / "away")
            while worker.has_work:
                worker.step()
            (tmp_path / "away").rename(root / "sub")
            settle(worker)
            assert len(bodies_with(worker, "patient")) == 10
            worker.begin_scan(ignore_error)
            root.rename(tmp_path / "away")
            for i in range(10):
                (tmp_path / f"away/sub/f{i}.txt").write_text("newer words")
            (tmp_path / "away").rename(root)
            worker.continue_scan()
            root.rename(tmp_path / "away")
            with pytest.raises(OSError, match="away"):
                worker.step()
            (tmp_path / "away").rename(root)
            settle(worker)
            assert len(bodies_with(worker, "newer")) == 10
            worker.close()

        await in_thread(work)


async def test_a_saved_file_does_not_wait_for_the_backlog(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for i in range(3000):
        (root / f"f{i}.txt").write_text("filler")
    async with stored(tmp_path) as store:

        def work() -> None:
            worker = make(tmp_path, store)
            worker.begin_scan(ignore_error)
            worker.continue_scan()
            (root / "fresh.txt").write_text("quokka")
            worker.look_at(["fresh.txt"])
            worker.step(0.005, urgent=True)
            assert worker.pending > 1000
            assert len(worker.names.by_start("fresh", 5)) == 1
            assert bodies_with(worker, "quokka") == ["fresh.txt"]
            worker.close()

        await in_thread(work)


async def test_what_a_file_is_follows_its_content(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "data.bin").write_bytes(b"\0\1\2\3")
    (root / "notes.pdf").write_text("plain text after all")
    (root / "unreadable").write_bytes(b"\x7fELF\0")
    async with stored(tmp_path) as store:

        def work() -> None:
            worker = make(tmp_path, store)
            settle(worker)
            kinds = {worker.table.path(pid): worker.table.kind(pid) for pid in worker.table.pids()}
            assert kinds == {
                "data.bin": Kind.BINARY,
                "notes.pdf": Kind.TEXT,
                "unreadable": Kind.BINARY,
            }
            assert len(worker.names.by_start("notes", 5)) == 1
            assert worker.names.by_start("unreadable", 5) == []
            (root / "unreadable").write_text("now text")
            (root / "notes.pdf").write_bytes(b"%PDF-1.4\0\0")
            settle(worker)
            assert len(worker.names.by_start("unreadable", 5)) == 1
            assert worker.names.by_start("notes", 5) == []
            worker.close()

        await in_thread(work)


async def test_a_long_text_is_indexed_as_far_as_the_limit_and_says_so(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "long.txt").write_text("early\n" + "filler line\n" * 200_000 + "late\n")
    async with stored(tmp_path) as store:

        def work() -> None:
            worker = make(tmp_path, store)
            settle(worker)
            assert bodies_with(worker, "early") == ["long.txt"]
            assert bodies_with(worker, "late") == []
            [pid] = worker.table.pids()
            assert worker.table.statuses[pid] == FileStatus.INDEXED
            assert "only the first" in worker.table.reasons[pid]
            worker.close()

        await in_thread(work)


async def test_a_fifo_is_never_opened_and_a_link_never_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    os.mkfifo(root / "pipe")
    (tmp_path / "secret").write_text("canary")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "linked_folder").symlink_to(tmp_path)
    (root / "real.txt").write_text("real")
    async with stored(tmp_path) as store:

        def work() -> None:
            worker = make(tmp_path, store)
            settle(worker)
            assert [worker.table.path(pid) for pid in worker.table.pids()] == ["real.txt"]
            assert bodies_with(worker, "canary") == []
            worker.close()

        await in_thread(work)


async def test_a_file_that_fails_to_be_read_for_a_moment_is_read_when_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "broken.txt").write_text("heron")
    (root / "whole.txt").write_text("stork")
    failures = [errno.EIO, errno.EIO, errno.EACCES]
    open_file = beneath.open_file

    def moody(name: str, fd: int) -> tuple[int, os.stat_result]:
        if name == "broken.txt" and failures:
            raise OSError(failures[0], os.strerror(failures.pop(0)))
        return open_file(name, fd)

    monkeypatch.setattr(reading, "open_file", moody)
    async with stored(tmp_path) as store:

        def work() -> None:
            worker = make(tmp_path, store)
            settle(worker)
            pid = worker.table.find("broken.txt")
            assert pid is not None
            told, reasons, generations = [], [worker.table.reasons.get(pid)], [worker.generation]
            for _ in range(3):
                worker.retry_failed()
                while worker.has_work:
                    told += worker.step().indexed
                reasons.append(worker.table.reasons.get(pid))
                generations.append(worker.generation)
            assert reasons == [
                "cannot be read: Input/output error",
                "cannot be read: Input/output error",
                "cannot be read: Permission denied",
                None,
            ]
            # The same failure again changes nothing that could be seen.
            assert generations[0] == generations[1] < generations[2]
            assert told == ["broken.txt"]
            assert bodies_with(worker, "heron") == ["broken.txt"]
            worker.retry_failed()
            assert not worker.has_work
            worker.close()

        await in_thread(work)
