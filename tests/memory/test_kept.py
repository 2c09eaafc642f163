from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from sgoped.memory import deferred
from sgoped.memory.bodies import BodyIndex
from sgoped.memory.index import IndexBrokenError
from sgoped.memory.kept import KeptIndex
from sgoped.memory.pacing import (
    FIRST_PAUSE_SECONDS,
    LAST_PAUSE_SECONDS,
    LAST_RETRY_SECONDS,
    Pause,
    Retry,
)
from sgoped.memory.repairs import Repairs
from sgoped.memory.store import Store, open_store
from sgoped.memory.worker import IndexWorker


def make(tmp_path: Path, store: Store) -> IndexWorker:
    return IndexWorker(tmp_path / "root", tmp_path / "index", store, 1_000_000)


def settle(worker: IndexWorker) -> None:
    worker.begin_scan(lambda path, error: None)
    while not worker.continue_scan():
        pass
    while worker.has_work:
        worker.step()


def named(worker: IndexWorker) -> list[str]:
    return sorted(worker.table.path(pid) or "?" for pid in worker.names.pids())


def with_body(worker: IndexWorker) -> list[str]:
    return sorted(worker.table.path(pid) or "?" for pid in worker.bodies.pids())


async def lives(tmp_path: Path, *works: Callable[[Store], None]) -> None:
    async with open_store(tmp_path / "catalogue.db") as store:
        for work in works:
            await asyncio.to_thread(work, store)


async def test_a_folder_moved_away_before_a_kill_and_back_after_it_keeps_names_and_contents(
    tmp_path: Path,
) -> None:
    root = tmp_path / "root"
    (root / "sub/deep").mkdir(parents=True)
    for name in ("sub/a.txt", "sub/deep/b.txt", "c.txt"):
        (root / name).write_text("words")
    everything = ["c.txt", "sub", "sub/a.txt", "sub/deep", "sub/deep/b.txt"]

    def first_life(store: Store) -> None:
        worker = make(tmp_path, store)
        settle(worker)
        worker.close()

    def killed_before_the_catalogue_is_saved(store: Store) -> None:
        worker = make(tmp_path, store)
        (root / "sub").rename(tmp_path / "away")
        worker._save = worker._unsaved.clear  # type: ignore[method-assign]
        settle(worker)
        assert named(worker) == ["c.txt"]
        worker.names.close()
        worker.bodies.close()
        (tmp_path / "away").rename(root / "sub")

    def last_life(store: Store) -> None:
        worker = make(tmp_path, store)
        settle(worker)
        assert named(worker) == everything
        assert with_body(worker) == ["c.txt", "sub/a.txt", "sub/deep/b.txt"]
        worker.close()
        again = make(tmp_path, store)
        assert not again.has_work
        again.close()

    await lives(tmp_path, first_life, killed_before_the_catalogue_is_saved, last_life)


async def test_what_is_read_again_replaces_what_was_read(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.txt").write_text("old")

    def work(store: Store) -> None:
        worker = make(tmp_path, store)
        for text in ("old", "middle", "new", "", "again"):
            (root / "a.txt").write_text(text)
            settle(worker)
            assert worker.bodies.count == bool(text)
            assert worker.names.count == 1
        worker.close()

    await lives(tmp_path, work, work)


async def test_what_finds_the_index_broken_is_not_blamed_for_it(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "old.txt").write_text("old words")

    def work(store: Store) -> None:
        worker = make(tmp_path, store)
        settle(worker)
        worker.bodies.close()
        (root / "new.txt").write_text("innocent words")
        settle(worker)
        assert with_body(worker) == ["new.txt", "old.txt"]
        worker.close()

    await lives(tmp_path, work)


@pytest.mark.parametrize("broken", ["names", "bodies"])
async def test_an_index_that_breaks_before_its_first_commit_is_made_again(
    tmp_path: Path, broken: str
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.txt").write_text("words")

    def work(store: Store) -> None:
        worker = make(tmp_path, store)
        getattr(worker, broken).close()
        settle(worker)
        assert named(worker) == with_body(worker) == ["a.txt"]
        worker.close()

    await lives(tmp_path, work)


def test_an_index_made_again_before_its_first_commit_holds_nothing_twice(tmp_path: Path) -> None:
    index = BodyIndex(tmp_path)
    kept = KeptIndex(index, lambda: None, Repairs())
    for _ in range(2):
        kept.start_afresh()
        assert kept.put(0, lambda: index.add_text(0, "a.txt", "words"))
    assert kept.commit()
    assert index.count == 1
    index.close()


async def test_names_that_were_to_be_removed_before_a_kill_take_no_place_after_it(
    tmp_path: Path,
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for number in range(40):
        (root / f"data{number}").write_bytes(b"\0\1")
    (root / "data_of_last_year.md").write_text("words")
    (root / ".dataignore").write_text("words")

    def killed_while_names_wait(store: Store) -> None:
        worker = make(tmp_path, store)
        worker.begin_scan(lambda path, error: None)
        while not worker.continue_scan():
            pass
        last = worker._unnamed.pop()
        worker._index_names(60, urgent=True)
        worker._unnamed.append(last)
        worker._index_bodies(60)
        worker._commit()
        worker.names.close()
        worker.bodies.close()

    def next_life(store: Store) -> None:
        worker = make(tmp_path, store)
        settle(worker)
        assert named(worker) == [".dataignore", "data_of_last_year.md"]
        worker.close()

    await lives(tmp_path, killed_while_names_wait, next_life)


async def test_what_waits_is_read_though_the_names_break_again_and_again(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.txt").write_text("words")

    def work(store: Store) -> None:
        worker = make(tmp_path, store)
        worker.begin_scan(lambda path, error: None)
        while not worker.continue_scan():
            pass
        with pytest.raises(IndexBrokenError, match="again and again"):
            while True:
                worker.recover()
        settle(worker)
        assert with_body(worker) == ["a.txt"]
        worker.close()

    await lives(tmp_path, work)


async def test_similar_names_wait_for_a_big_folder_and_then_know_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name in ("kept_file.txt", "gone_file.txt"):
        (root / name).write_text("x")
    monkeypatch.setattr(deferred, "EAGER_PATHS", 0)

    def first_life(store: Store) -> None:
        worker = make(tmp_path, store)
        settle(worker)
        worker.close()

    def second_life(store: Store) -> None:
        (root / "gone_file.txt").unlink()
        (root / "late_file.txt").write_text("x")
        worker = make(tmp_path, store)
        worker.begin_scan(lambda path, error: None)
        assert worker.continue_scan()
        found = [worker.table.path(pid) for pid, _ in worker.haystack.search(["fltx"], 9)]
        assert sorted(map(str, found)) == ["kept_file.txt", "late_file.txt"]
        worker.close()

    await lives(tmp_path, first_life, second_life)


async def test_similar_names_are_found_while_the_folder_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "kept_file.txt").write_text("x")
    monkeypatch.setattr(deferred, "EAGER_PATHS", 0)

    def first_life(store: Store) -> None:
        worker = make(tmp_path, store)
        settle(worker)
        worker.close()

    def second_life(store: Store) -> None:
        worker = make(tmp_path, store)
        root.rename(tmp_path / "away")
        worker.begin_scan(lambda path, error: None)
        with pytest.raises(OSError, match="No such file"):
            worker.continue_scan()
        assert len(worker.haystack.search(["kfl"], 9)) == 1
        worker.close()

    await lives(tmp_path, first_life, second_life)


def test_an_index_is_made_again_a_few_times_only(tmp_path: Path) -> None:
    index = BodyIndex(tmp_path)
    made = []
    kept = KeptIndex(index, lambda: made.append(1), Repairs())

    def broken() -> None:
        raise IndexBrokenError("on purpose")

    assert not kept.put(0, broken)
    with pytest.raises(IndexBrokenError, match="again and again"):
        kept.put(0, broken)
    kept.note_settled()
    made.clear()
    assert not kept.put(0, broken)
    assert len(made) == 2
    index.close()


def test_pauses_grow_with_a_backlog_and_start_over_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    pause = Pause()
    lengths: list[float] = []
    for longer in (*[True] * 10, False):
        assert pause.over
        pause.begin(longer=longer)
        assert not pause.over
        begun = now
        while not pause.over:
            now += FIRST_PAUSE_SECONDS / 2
        lengths.append(now - begun)
    assert lengths[:3] == pytest.approx([0.4, 0.8, 1.6], abs=0.11)
    assert max(lengths) == pytest.approx(LAST_PAUSE_SECONDS, abs=0.11)
    assert lengths[-1] == pytest.approx(FIRST_PAUSE_SECONDS, abs=0.11)


def test_what_failed_is_tried_again_ever_later_and_at_once_when_more_fails() -> None:
    retry, now, waits = Retry(), 50.0, []
    assert retry.due(0, now) is None
    for _ in range(12):
        wait = retry.due(1, now)
        assert wait is not None
        waits.append(wait)
        now += wait
        assert retry.due(1, now) == 0
        retry.begin(now)
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == LAST_RETRY_SECONDS
    assert retry.due(2, now) == 1
    assert retry.due(0, now) is None
    assert retry.due(1, now) == 1
