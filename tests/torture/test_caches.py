"""Whatever is done to the caches, the answers after the next start are the same."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.conftest import NoteFigure, StartDaemon
from tests.processes import DaemonProcess
from tests.scale import Scale

PATIENCE_SECONDS = 60.0
pytestmark = pytest.mark.timeout(3600)
SEED = 20
NAMES = ("report", "notes", "budget", "会議メモ", "holiday_plan", "fooBar", "résumé", "todo.test")
NAME_QUERIES = ("report", "bud", "会議", "holi", "foobar", "resume", "d3", ".hid", "otes", "rep7")
WORD_QUERIES = ("common", "heron", "stork7", '"two words"', "東京", "word11", "path:d1 common")
Answers = dict[str, Any]


def fill(root: Path, mark: str) -> None:
    for number in range(60):
        name = f"{NAMES[number % len(NAMES)]}{number}.md"
        folder = root / f"d{number % 5}"
        folder.mkdir(parents=True, exist_ok=True)
        text = f"common {mark} word{number} stork{number % 9}\ntwo words 東京 heron\n"
        (folder / name).write_text(text * (1 + number % 7 * 20))
    (root / "d1" / "program.bin").write_bytes(b"\x7fELF\0\0")
    (root / "picture.png").write_bytes(b"\x89PNG\0")
    (root / ".hidden.conf").write_text("found by its dot")
    (root / "empty.txt").touch()


def until_whole(daemon: DaemonProcess) -> None:
    """Once the index equals the disk and all of its bytes were looked at."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    health: dict[str, Any] = {}
    while time.monotonic() < deadline:
        assert daemon.request("POST", "/api/refresh", {})[0] == 200
        health = daemon.request("GET", "/health")[1]
        index = health["index"]
        if index["verified"] and index["checked"] and not index["pending"]:
            return
        time.sleep(0.02)
    raise AssertionError(f"never whole: {health}\n{daemon.log()}")


def answers(daemon: DaemonProcess) -> Answers:
    told: Answers = {}
    for query in NAME_QUERIES:
        found = daemon.request("GET", f"/api/files?limit=100&q={quote(query)}")
        told[f"name {query}"] = sorted(hit["metadata"]["path"] for hit in found[1])
    for query in WORD_QUERIES:
        found = daemon.request("GET", f"/api/search?limit=100&q={quote(query)}")
        hits = found[1]["hits"]
        told[f"word {query}"] = sorted(
            (hit["path"], hit["line_start"], hit["line_end"]) for hit in hits
        )
    for state in ("", "indexed", "skipped"):
        told[f"index {state}"] = daemon.request("GET", f"/api/index?limit=1000&state={state}")[1]
    told["all"] = sorted(hit["id"] for hit in daemon.request("GET", "/api/files")[1])
    return told


@dataclass(frozen=True)
class World:
    """Two homes at rest: one with files, and another's caches, which are valid but wrong."""

    home: Path
    kept: Path
    others: Path
    expected: Answers

    @property
    def cache(self) -> Path:
        return self.home / "cache"


@pytest.fixture
def world(start_daemon: StartDaemon, tmp_path: Path) -> World:
    expected: Answers = {}
    for name in ("other", "own"):
        home = tmp_path / name
        root = home / "data" / "memory" / "short_term"
        root.mkdir(parents=True)
        fill(root, name)
        daemon = start_daemon(home=home)
        until_whole(daemon)
        # Changes, so that there are several segments, deletions, and rows written later.
        (root / "d2" / "added.md").write_text(f"common {name} addition")
        next((root / "d3").iterdir()).unlink()
        (root / "d4").rename(root / "d9")
        until_whole(daemon)
        expected = answers(daemon)
        daemon.kill()
        shutil.copytree(home / "cache", tmp_path / f"{name}-cache")
    assert all(expected.values())
    return World(tmp_path / "own", tmp_path / "own-cache", tmp_path / "other-cache", expected)


def flip(path: Path, choice: random.Random) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[choice.randrange(len(data))] ^= 1 << choice.randrange(8)
        path.write_bytes(data)


def replace_by_directory(path: Path, _: random.Random) -> None:
    path.unlink()
    (path / "inner").mkdir(parents=True)


def take_from_another(world: World, path: Path) -> None:
    """The same file of another home; for a segment, the one of the same kind."""
    relative = path.relative_to(world.cache)
    same = world.others / relative
    alike = sorted(same.parent.glob(f"*{path.suffix}"))
    source = same if same.is_file() else alike[0] if alike else None
    if source is not None:
        shutil.copyfile(source, path)


FILE_DAMAGES: dict[str, Callable[[Path, random.Random], object]] = {
    "deleted": lambda path, _: path.unlink(),
    "emptied": lambda path, _: os.truncate(path, 0),
    "halved": lambda path, _: os.truncate(path, path.stat().st_size // 2),
    "flipped": flip,
    "flipped elsewhere": flip,
    "flipped again": flip,
    "unreadable": lambda path, _: path.chmod(0),
    "a directory": replace_by_directory,
}


def from_the_future(world: World) -> None:
    with closing(sqlite3.connect(world.cache / "catalogue.db")) as connection, connection:
        connection.execute(
            "insert into _sqlite_migrations (migration_set, name, applied_at) values "
            "('sgoped', 'a_step_of_the_future', '2099-01-01')"
        )


def of_another_version(world: World) -> None:
    for index in (world.cache / "index").iterdir():
        index.rename(index.with_name(f"{index.name.partition('-')[0]}-99-9.9.9"))


def exchange(world: World, *names: str) -> None:
    for name in names:
        for found in list(world.cache.glob(name)):
            shutil.rmtree(found) if found.is_dir() else found.unlink()
        for found in world.others.glob(name):
            target = world.cache / found.relative_to(world.others)
            (shutil.copytree if found.is_dir() else shutil.copyfile)(found, target)


def index_is_a_file(world: World) -> None:
    shutil.rmtree(world.cache / "index")
    (world.cache / "index").write_text("no directory")


def index_forbidden(world: World) -> None:
    for index in (world.cache / "index").iterdir():
        index.chmod(0)


WHOLE_DAMAGES: dict[str, Callable[[World], object]] = {
    "all deleted": lambda world: shutil.rmtree(world.cache),
    "index deleted": lambda world: shutil.rmtree(world.cache / "index"),
    "catalogue from the future": from_the_future,
    "index of another version": of_another_version,
    "all of another home": lambda world: exchange(world, "catalogue.db*", "index"),
    "names of another home": lambda world: exchange(world, "index/names-*"),
    "bodies of another home": lambda world: exchange(world, "index/bodies-*"),
    "catalogue of another home": lambda world: exchange(world, "catalogue.db*"),
    "index a file": index_is_a_file,
    "index forbidden": index_forbidden,
}


def damages(world: World, choice: random.Random) -> Iterator[tuple[str, Callable[[], object]]]:
    for name, damage in WHOLE_DAMAGES.items():
        yield name, lambda damage=damage: damage(world)  # type: ignore[misc]
    for kept in sorted(path for path in world.kept.rglob("*") if path.is_file()):
        path = world.cache / kept.relative_to(world.kept)
        for name, spoil in FILE_DAMAGES.items():
            yield f"{path.name} {name}", lambda spoil=spoil, path=path: spoil(path, choice)  # type: ignore[misc]
        yield f"{path.name} of another home", lambda path=path: take_from_another(world, path)  # type: ignore[misc]


def restore(world: World) -> None:
    shutil.rmtree(world.cache, ignore_errors=True)
    shutil.copytree(world.kept, world.cache)


def test_damaged_caches_change_no_answer(
    world: World, start_daemon: StartDaemon, scale: Scale, note_figure: NoteFigure
) -> None:
    choice = random.Random(SEED)
    cases = list(damages(world, choice))
    choice.shuffle(cases)
    mended = 0
    for name, damage in cases[: scale.cache_damages]:
        restore(world)
        damage()
        daemon = start_daemon(home=world.home)
        # Asked before the damage was looked for, it must at least answer.
        for query in ("/api/files?q=report", "/api/search?q=common", "/api/index"):
            assert daemon.request("GET", query)[0] == 200, (name, query, daemon.log())
        until_whole(daemon)
        told = answers(daemon)
        for asked, expected in world.expected.items():
            assert told[asked] == expected, f"{name}: {asked}\n{daemon.log()}"
        mended += daemon.request("GET", "/health")[1]["index"]["last_repair"] is not None
        assert daemon.stop() == 0, name
        assert "Traceback" not in daemon.log(), f"{name}\n{daemon.log()}"
        daemon.log_file.unlink()
    count = min(len(cases), scale.cache_damages)
    note_figure(
        f"{count} of {len(cases)} damages to the caches: 0 other answers, {mended} repairs told"
    )


def test_caches_taken_away_from_a_running_daemon_are_made_again(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    fill(home / "data" / "memory" / "short_term", "own")
    daemon = start_daemon(home=home, environment={"SGOPED_RECONCILE_SECONDS": "0.5"})
    until_whole(daemon)
    expected = answers(daemon)
    shutil.rmtree(home / "cache")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        repair = daemon.request("GET", "/health")[1]["index"]["last_repair"]
        if repair and (home / "cache" / "catalogue.db").exists():
            break
        time.sleep(0.05)
    until_whole(daemon)
    assert answers(daemon) == expected
    assert daemon.stop() == 0
    made_again = sorted(
        path.name.partition("-")[0] for path in (home / "cache" / "index").iterdir()
    )
    assert made_again == ["bodies", "names"]
    again = start_daemon(home=home)
    until_whole(again)
    assert answers(again) == expected
    assert again.request("GET", "/health")[1]["index"]["last_repair"] is None
    assert json.dumps(expected)
