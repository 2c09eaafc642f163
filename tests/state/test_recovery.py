from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from sgoped import database
from sgoped.errors import StartupError
from sgoped.state import ServiceRow, open_state
from sgoped.state.examination import examine
from tests.conftest import NoteFigure

SERVICE = ServiceRow("home", "ollama", "At home", enabled=True, config={"host": "h"})
ANOTHER = ServiceRow("other", "openai", "Other", enabled=False, config={})
MANY = 400


async def fill(path: Path, backups: Path) -> None:
    """A database of several pages, and backups of it."""
    async with open_state(path, backups) as state:
        await state.save_service(SERVICE)
        for number in range(MANY):
            await state.save_use(f"{number} {'x' * 200}", 1.0, 1.0)


def garble_header(path: Path) -> None:
    path.write_bytes(b"not a database, not at all" + path.read_bytes()[26:])


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def cut_within_a_page(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1000)


def garble_a_page(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(b"\xff" * 4096)


def flip_a_bit_of_a_page_header(path: Path) -> None:
    with path.open("r+b") as file:
        at = path.stat().st_size // 2 // 4096 * 4096
        file.seek(at)
        kind = file.read(1)[0]
        file.seek(at)
        file.write(bytes([kind ^ 1]))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    path.unlink()


def make_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "kept.txt").write_text("a person's own")


def garble_a_service(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("update service set config = '{\"host\": '")


def garble_a_name(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("update service set name = cast(x'ff41' as text)")


@pytest.mark.parametrize(
    "damage",
    [
        garble_header,
        cut,
        cut_within_a_page,
        garble_a_page,
        flip_a_bit_of_a_page_header,
        empty,
        remove,
        make_a_directory,
        garble_a_service,
        garble_a_name,
    ],
)
async def test_a_damaged_file_is_kept_aside_and_the_newest_backup_takes_its_place(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    path, backups = tmp_path / "state.db", tmp_path / "backups"
    await fill(path, backups)
    damage(path)
    damaged = path.read_bytes() if path.is_file() else None
    async with open_state(path, backups) as state:
        assert await state.load_services() == [SERVICE]
        assert len(await state.load_uses()) == MANY
        assert "restored state-latest.db" in state.recovery
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    aside = [file for file in tmp_path.glob("state.db.damaged-*") if file.suffix != "-shm"]
    if damaged is not None:
        assert [file.read_bytes() for file in aside] == [damaged]
    elif aside:
        assert (aside[0] / "kept.txt").exists()
    async with open_state(path, backups) as state:
        assert state.recovery == ""


async def test_twice_in_a_second_both_damaged_files_are_kept(tmp_path: Path) -> None:
    path, backups = tmp_path / "state.db", tmp_path / "backups"
    await fill(path, backups)
    for text in (b"one " * 2000, b"two " * 2000):
        path.write_bytes(text)
        async with open_state(path, backups) as state:
            assert await state.load_services() == [SERVICE]
    kept = {file.read_bytes()[:4] for file in tmp_path.glob("state.db.damaged-*")}
    assert kept == {b"one ", b"two "}


async def test_a_garbled_log_costs_at_most_what_was_in_it(tmp_path: Path) -> None:
    path, backups = tmp_path / "state.db", tmp_path / "backups"
    await fill(path, backups)
    copy = tmp_path / "killed.db"
    async with open_state(path, backups) as state:
        await state.save_service(ANOTHER)
        shutil.copy(path, copy)
        shutil.copy(f"{path}-wal", f"{copy}-wal")
    log = Path(f"{copy}-wal")
    log.write_bytes(b"\x5a" * log.stat().st_size)
    async with open_state(copy, backups) as state:
        assert SERVICE in await state.load_services()


async def test_the_log_of_a_killed_daemon_is_taken_in(tmp_path: Path) -> None:
    path, killed = tmp_path / "state.db", tmp_path / "killed" / "state.db"
    killed.parent.mkdir()
    async with open_state(path, tmp_path / "backups") as state:
        await state.save_service(ANOTHER)
        for name in ("state.db", "state.db-wal"):
            shutil.copy(tmp_path / name, killed.parent / name)
    async with open_state(killed, tmp_path / "none") as state:
        assert await state.load_services() == [ANOTHER]
        assert state.recovery == ""
    assert not list(killed.parent.glob("*.examined*"))


async def test_a_bad_backup_is_passed_over(tmp_path: Path) -> None:
    path, backups = tmp_path / "state.db", tmp_path / "backups"
    await fill(path, backups)
    (backups / "state-latest.db").write_bytes(b"garbled" * 1000)
    path.write_bytes(b"garbled" * 1000)
    async with open_state(path, backups) as state:
        assert await state.load_services() == [SERVICE]
        assert "restored state-2" in state.recovery


async def test_without_a_good_backup_it_starts_afresh(tmp_path: Path) -> None:
    path, backups = tmp_path / "state.db", tmp_path / "backups"
    backups.mkdir()
    (backups / "state-20260101-000000.db").write_bytes(b"garbled" * 1000)
    path.write_bytes(b"garbage" * 1000)
    async with open_state(path, backups) as state:
        assert await state.load_services() == []
        assert "started afresh" in state.recovery
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma quick_check").fetchone() == ("ok",)


async def test_a_first_start_is_no_recovery(tmp_path: Path) -> None:
    for content in (None, b""):
        path = tmp_path / f"{content!r}.db"
        if content is not None:
            path.write_bytes(content)
        async with open_state(path, tmp_path / f"backups of {content!r}") as state:
            assert state.recovery == ""


async def test_a_newer_file_is_refused_and_no_byte_is_changed(tmp_path: Path) -> None:
    path, newer = tmp_path / "state.db", tmp_path / "newer" / "state.db"
    newer.parent.mkdir()
    async with open_state(path, tmp_path / "backups") as state:
        await state._database.run(
            lambda c: c.execute(
                "insert into _sqlite_migrations (migration_set, name, applied_at) "
                "values ('sgoped', 'of_tomorrow', '2030-01-01')"
            )
        )
        # As a kill leaves them: the new step is in the log only.
        for name in ("state.db", "state.db-wal"):
            shutil.copy(tmp_path / name, newer.parent / name)
    before = {file: (file.read_bytes(), file.stat()) for file in newer.parent.iterdir()}
    assert len(before) == 2
    with pytest.raises(StartupError, match="newer") as failure:
        async with open_state(newer, tmp_path / "backups"):
            pass
    assert failure.value.exit_code == 78
    after = {file: (file.read_bytes(), file.stat()) for file in newer.parent.iterdir()}
    assert set(after) == set(before)
    for file, (content, status) in before.items():
        assert after[file][0] == content
        assert after[file][1].st_mtime_ns == status.st_mtime_ns


async def test_a_backup_of_a_newer_version_is_not_restored(tmp_path: Path) -> None:
    path, backups = tmp_path / "state.db", tmp_path / "backups"
    await fill(path, backups)
    with closing(sqlite3.connect(backups / "state-latest.db")) as connection, connection:
        connection.execute("update _sqlite_migrations set name = 'of_tomorrow' where id = 1")
    path.write_bytes(b"garbled" * 1000)
    async with open_state(path, backups) as state:
        assert await state.load_services() == [SERVICE]
        assert "restored state-2" in state.recovery


async def test_what_is_no_damage_is_a_clear_refusal_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    path, backups = tmp_path / "state.db", tmp_path / "backups"
    await fill(path, backups)
    before = path.read_bytes()
    with closing(sqlite3.connect(path)) as other:
        other.execute("pragma locking_mode = exclusive")
        other.execute("begin exclusive")
        with pytest.raises(StartupError, match="no other program") as failure:
            async with open_state(path, backups):
                pass
    assert failure.value.exit_code == 1
    assert str(path) in failure.value.message
    assert path.read_bytes() == before


_EXAMINE = """
import sqlite3, sys
from pathlib import Path
from sgoped.state.examination import examine
try:
    print(examine(Path(sys.argv[1]), frozenset({"create_services"})).value)
except (OSError, sqlite3.Error) as error:
    print("refused")
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("number", [2, 5, 9])
async def test_a_disk_that_fails_to_read_is_no_damaged_file(tmp_path: Path, number: int) -> None:
    """Else a good file would be moved aside for an older backup."""
    await fill(tmp_path / "state.db", tmp_path / "backups")
    failing = ("-e", "trace=pread64", "-e", f"inject=pread64:error=EIO:when={number}")
    watched = ("strace", "-f", "-o", os.devnull, "-P", str(tmp_path / "state.db"), *failing)
    program = (sys.executable, "-c", _EXAMINE, str(tmp_path / "state.db"))
    done = await asyncio.to_thread(
        subprocess.run, (*watched, *program), capture_output=True, text=True, check=False
    )
    if "PTRACE" in done.stderr:
        pytest.skip("strace may not be used here")
    assert done.stdout == "refused\n", done.stderr


def test_what_cannot_be_looked_at_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lstat(path: str | Path, **_: object) -> os.stat_result:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)

    monkeypatch.setattr(os, "lstat", lstat)
    monkeypatch.setattr(Path, "lstat", lstat)
    with pytest.raises(OSError, match=os.strerror(errno.ESTALE)):
        examine(tmp_path / "state.db", frozenset())


RECOVER_AND_DIE = """
import itertools, os, shutil, sys
from pathlib import Path
from sgoped.state.backups import Backups
from sgoped.state.recovery import recover
good, homes = map(Path, sys.argv[1:])
left = 1_000_000
def die_when_done(event, arguments):
    global left
    if event in ("open", "os.rename", "os.remove", "sqlite3.connect"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), 9)
sys.addaudithook(die_when_done)
steps = frozenset(["create_services"])
for number in itertools.count():
    home = homes / str(number)
    shutil.copytree(good, home)
    if not (child := os.fork()):
        left = number
        recover(home / "state.db", Backups(home / "backups", steps), steps)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
"""


async def test_a_kill_at_any_step_of_a_recovery_costs_nothing(
    tmp_path: Path, note_figure: NoteFigure
) -> None:
    good, homes = tmp_path / "good", tmp_path / "homes"
    good.mkdir()
    await fill(good / "state.db", good / "backups")
    (good / "state.db").write_bytes(b"garbled" * 1000)
    (good / "state.db-wal").write_bytes(b"garbled" * 1000)
    command = [sys.executable, "-c", RECOVER_AND_DIE, str(good), str(homes)]
    await asyncio.to_thread(subprocess.run, command, check=True, cwd=Path.cwd())
    killed = sorted(homes.iterdir())
    assert len(killed) > 10
    for home in killed:
        async with open_state(home / "state.db", home / "backups") as state:
            assert await state.load_services() == [SERVICE], home
        assert not [file for file in home.rglob("*") if "partial" in file.name], home
    note_figure(f"killed at each of {len(killed) - 1} steps of a recovery: nothing lost")
