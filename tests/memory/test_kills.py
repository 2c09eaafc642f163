"""Killed at any step of any commit, and with the disk changed before and after: nothing is lost."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sgoped.memory.document import Kind
from sgoped.memory.store import Store, open_store
from sgoped.memory.worker import IndexWorker

SEEDS = 8
LIVES = 4
CHANGES = 5
# Stands for the slash in the name of what was moved out.
SLASH = "~"


class KilledError(BaseException):
    """The process is gone."""


def make(tmp_path: Path, store: Store) -> IndexWorker:
    return IndexWorker(tmp_path / "root", tmp_path / "index", store, 1_000_000)


def settle(worker: IndexWorker) -> None:
    worker.begin_scan(lambda path, error: None)
    while not worker.continue_scan():
        pass
    while worker.has_work:
        worker.step()


def change(root: Path, away: Path, choice: random.Random) -> None:
    """One thing that a person may do, also with whole folders, to and from the outside."""
    folders = [path for path in root.rglob("*") if path.is_dir()]
    folders = [
        path for path in folders if not (away / SLASH.join(path.relative_to(root).parts)).exists()
    ]
    files = [path for path in root.rglob("*") if path.is_file()]
    number = choice.randrange(10_000)
    folder = choice.choice([root, *folders])
    kinds: list[Callable[[], object]] = [
        lambda: (folder / f"n{number}.txt").write_text(f"common w{number}"),
        lambda: (folder / f".h{number}").write_text("hidden"),
        (folder / f"f{number}").mkdir,
    ]
    if files:
        file = choice.choice(files)
        kinds += [
            file.unlink,
            lambda: file.write_text(f"common again {number}"),
            lambda: file.write_bytes(b"\0\1"),
            lambda: file.rename(folder / f"m{number}.txt"),
        ]
    if folders:
        moved = choice.choice(folders)
        kinds += [lambda: moved.rename(away / SLASH.join(moved.relative_to(root).parts))] * 3
    if any(away.iterdir()):
        kinds += [lambda: bring_back(root, away)] * 3
    choice.choice(kinds)()


def kill_at(worker: IndexWorker, moment: int) -> None:
    """Have the process end before or after the ``moment``-th commit of an index or the catalogue."""
    passed = [0]

    def mortal(work: Callable[[], object]) -> Callable[[], None]:
        def step() -> None:
            for act in (lambda: None, work):
                act()
                passed[0] += 1
                if passed[0] == moment:
                    raise KilledError

        return step

    worker.names.commit = mortal(worker.names.commit)  # type: ignore[method-assign]
    worker.bodies.commit = mortal(worker.bodies.commit)  # type: ignore[method-assign]
    worker._save = mortal(worker._save)  # type: ignore[method-assign]


def live(tmp_path: Path, store: Store, choice: random.Random) -> None:
    root, away = tmp_path / "root", tmp_path / "away"
    worker = make(tmp_path, store)
    kill_at(worker, choice.randrange(1, 14))
    try:
        settle(worker)
        for _ in range(CHANGES):
            change(root, away, choice)
            settle(worker)
    except KilledError:
        pass
    worker.names.close()
    worker.bodies.close()
    if choice.randrange(2):
        bring_back(root, away)
    for _ in range(choice.randrange(3)):
        change(root, away, choice)


def bring_back(root: Path, away: Path) -> None:
    """Everything to where it was, with the same times and inodes as before."""
    for gone in sorted(away.iterdir()):
        place = root.joinpath(*gone.name.split(SLASH))
        if place.parent.is_dir() and not place.exists():
            gone.rename(place)


def told(worker: IndexWorker) -> tuple[list[str], list[str], list[str]]:
    def paths(pids: set[int]) -> list[str]:
        return sorted(worker.table.path(pid) or f"nothing {pid}" for pid in pids)

    seen = [pid for pid in worker.table.pids() if worker.table.kind(pid) is not Kind.BINARY]
    return paths(set(seen)), paths(worker.names.pids()), paths(worker.bodies.pids())


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_kills_at_any_commit_lose_nothing(tmp_path: Path, seed: int) -> None:
    choice = random.Random(seed)
    root, away = tmp_path / "root", tmp_path / "away"
    (root / "sub" / "deep").mkdir(parents=True)
    away.mkdir()
    for path in ("a.txt", "sub/b.txt", "sub/deep/c.txt", "sub/.dot"):
        (root / path).write_text(f"common {path}")

    def work(store: Store) -> None:
        for _ in range(LIVES):
            live(tmp_path, store, choice)
        last = make(tmp_path, store)
        settle(last)
        mended = told(last)
        last.close()
        again = make(tmp_path, store)
        assert not again.has_work
        assert told(again) == mended
        again.close()
        shutil.rmtree(tmp_path / "index")
        store.clear()
        fresh = make(tmp_path, store)
        settle(fresh)
        assert mended == told(fresh)
        fresh.close()

    async with open_store(tmp_path / "catalogue.db") as store:
        await asyncio.to_thread(work, store)
