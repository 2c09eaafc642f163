from __future__ import annotations

import asyncio
import errno
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent, Mask, WatchDescriptor

from sgoped.memory import heartbeat, watcher
from sgoped.memory.heartbeat import FILE_NAME, Rhythm
from sgoped.memory.mounts import filesystem_of, network_filesystem
from sgoped.memory.notification import (
    Inbox,
    Observation,
    ObserverFactory,
    native_observer,
    relevant_path,
)
from sgoped.memory.polling import Poller
from sgoped.memory.watcher import WatcherStatus, open_watcher, suspended_seconds

PATIENCE_SECONDS = 30


@dataclass(frozen=True)
class Settings:
    poll_seconds: float = 0.05


@dataclass
class Seen:
    """What the watcher told, and a way to wait for it."""

    statuses: list[WatcherStatus] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    rescans: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def trouble(self) -> str:
        """What went wrong last."""
        last = self.statuses[-1].last_trouble
        return last.reason if last else ""

    def on_status(self, status: WatcherStatus) -> None:
        self.statuses.append(status)
        self.news.set()

    def on_paths(self, paths: set[str] | None) -> None:
        assert threading.current_thread() is threading.main_thread()
        if paths is None:
            self.rescans += 1
        else:
            self.paths |= paths
        self.news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                self.news.clear()
                await self.news.wait()

    async def until_seen(self, *paths: str) -> None:
        await self.until(lambda: set(paths) <= self.paths)

    async def until_state(self, state: str) -> None:
        await self.until(lambda: bool(self.statuses) and self.statuses[-1].state == state)


@asynccontextmanager
async def watching(
    root: Path,
    *,
    observer: ObserverFactory = native_observer,
    retry_seconds: float = 300.0,
    clock_of_sleep: Callable[[], float] = suspended_seconds,
    state: str = "native",
    beat_folder: Path | None = None,
    rhythm: Rhythm = Rhythm(),  # noqa: B008 - immutable
) -> AsyncIterator[Seen]:
    seen = Seen()
    async with open_watcher(
        root,
        Settings(),
        on_status=seen.on_status,
        on_paths=seen.on_paths,
        observer=observer,
        retry_seconds=retry_seconds,
        clock_of_sleep=clock_of_sleep,
        beat_folder=beat_folder,
        rhythm=rhythm,
    ):
        await seen.until_state(state)
        if state != "degraded":
            await seen.until(lambda: seen.rescans > 0)
        yield seen


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def refusing(number: int) -> ObserverFactory:
    def refuse(root: str, inbox: Inbox) -> Observation:
        raise OSError(number, os.strerror(number))

    return refuse


async def test_watching_begins_with_a_status_and_a_call_to_scan_everything(root: Path) -> None:
    async with watching(root) as seen:
        assert [status.state for status in seen.statuses] == ["native"]
        assert seen.statuses[0].reason == ""
        assert seen.statuses[0].since > 0
        assert seen.rescans == 1


async def test_files_created_changed_moved_and_deleted_are_told(root: Path) -> None:
    (root / "old.txt").write_text("old")
    async with watching(root) as seen:
        (root / "new.txt").write_text("new")
        await seen.until_seen("new.txt")
        seen.paths.clear()
        with (root / "old.txt").open("a") as file:
            file.write("more")
        await seen.until_seen("old.txt")
        seen.paths.clear()
        (root / "old.txt").rename(root / "moved.txt")
        await seen.until_seen("old.txt", "moved.txt")
        seen.paths.clear()
        (root / "moved.txt").unlink()
        await seen.until_seen("moved.txt")


async def test_changes_in_directories_made_meanwhile_are_told(root: Path) -> None:
    async with watching(root) as seen:
        (root / "a/b/c").mkdir(parents=True)
        (root / "a/b/c/file.txt").write_text("x")
        await seen.until(lambda: bool({"a", "a/b", "a/b/c", "a/b/c/file.txt"} & seen.paths))
        await seen.until(lambda: "a" in seen.paths or "a/b/c/file.txt" in seen.paths)
        seen.paths.clear()
        (root / "a/b/c/later.txt").write_text("x")
        await seen.until_seen("a/b/c/later.txt")


async def test_directories_moved_in_around_and_out_are_told(root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside/sub").mkdir(parents=True)
    (tmp_path / "outside/sub/file.txt").write_text("x")
    async with watching(root) as seen:
        (tmp_path / "outside").rename(root / "inside")
        await seen.until_seen("inside")
        (root / "inside").rename(root / "renamed")
        await seen.until_seen("inside", "renamed")
        seen.paths.clear()
        (root / "renamed/sub/new.txt").write_text("x")
        await seen.until_seen("renamed/sub/new.txt")
        (root / "renamed").rename(tmp_path / "gone")
        await seen.until_seen("renamed")


async def test_an_editor_that_saves_by_rename_makes_the_file_itself_told(root: Path) -> None:
    (root / "a.txt").write_text("old")
    async with watching(root) as seen:
        (root / ".a.txt.swp").write_text("new")
        (root / ".a.txt.swp").rename(root / "a.txt")
        await seen.until_seen("a.txt")
        assert not [path for path in seen.paths if "swp" in path]


async def test_our_own_reads_and_hidden_names_are_not_told(root: Path) -> None:
    (root / "read.txt").write_text("x")
    (root / ".git").mkdir()
    async with watching(root) as seen:
        (root / "read.txt").read_text()
        list(root.iterdir())
        (root / ".git/index").write_text("x")
        (root / ".sgoped-0123456789abcdef.tmp").write_text("x")
        (root / ".new").mkdir()
        (root / ".new/inside.txt").write_text("x")
        (root / "last.txt").write_text("x")
        await seen.until_seen("last.txt")
        assert seen.paths == {"last.txt"}


async def test_a_changed_ignore_file_concerns_its_directory(root: Path) -> None:
    (root / "sub").mkdir()
    async with watching(root) as seen:
        (root / "sub/.gitignore").write_text("*.log\n")
        await seen.until_seen("sub")
        (root / ".sgopedignore").write_text("*.log\n")
        await seen.until_seen("")


async def test_undecodable_names_are_told(root: Path) -> None:
    async with watching(root) as seen:
        os.close(os.open(os.fsencode(root) + b"/\xff.txt", os.O_CREAT | os.O_WRONLY))
        await seen.until_seen("\udcff.txt")


async def test_a_root_reached_through_a_link_is_watched(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    async with watching(tmp_path / "link") as seen:
        (root / "a.txt").write_text("x")
        await seen.until_seen("a.txt")


def touch_all(root: Path, names: set[str]) -> None:
    for name in names:
        (root / name).touch()


async def test_a_storm_arrives_whole_or_as_a_call_to_scan_everything(root: Path) -> None:
    names = {f"file{number}" for number in range(3000)}
    async with watching(root) as seen:
        before = seen.rescans
        await asyncio.to_thread(touch_all, root, names)
        await seen.until(lambda: names <= seen.paths or seen.rescans > before)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "max_user_watches"),
        (errno.EMFILE, "max_user_instances"),
        (errno.ENOSYS, "no native watching"),
    ],
)
async def test_without_native_watching_the_tree_is_polled(
    root: Path, number: int, reason: str
) -> None:
    (root / "sub").mkdir()
    async with watching(root, observer=refusing(number), state="polling") as seen:
        assert reason in seen.statuses[-1].reason
        (root / "sub/a.txt").write_text("x")
        await seen.until_seen("sub")


async def test_native_watching_is_tried_again_while_polling(root: Path) -> None:
    refusals = [errno.EMFILE, errno.EMFILE]

    def factory(path: str, inbox: Inbox) -> Observation:
        if refusals:
            raise OSError(refusals.pop(), "no")
        return native_observer(path, inbox)

    async with watching(root, observer=factory, retry_seconds=0, state="polling") as seen:
        await seen.until_state("native")
        assert seen.rescans >= 2
        (root / "a.txt").write_text("x")
        await seen.until_seen("a.txt")


async def test_running_out_of_watches_below_the_root_is_noticed(root: Path) -> None:
    def factory(path: str, inbox: Inbox) -> Observation:
        observer = native_observer(path, inbox)
        # What the kernel says for a directory below the root; watchdog itself keeps it quiet.
        inbox.alarm(out_of_watches=True)
        return observer

    async with watching(root, observer=factory, state="polling") as seen:
        assert "max_user_watches" in seen.statuses[-1].reason


async def test_a_lost_queue_means_scanning_everything(root: Path) -> None:
    made: list[Observation] = []

    def factory(path: str, inbox: Inbox) -> Observation:
        made.append(native_observer(path, inbox))
        return made[-1]

    async with watching(root, observer=factory) as seen:
        before = seen.rescans
        overflow = InotifyEvent(WatchDescriptor(-1), Mask(InotifyConstants.IN_Q_OVERFLOW), 0, b"")
        await asyncio.to_thread(made[0].inotify.handle_event, overflow)  # type: ignore[attr-defined]
        await seen.until(lambda: seen.rescans > before)
        assert "more happened at once" in seen.trouble
        (root / "after.txt").write_text("x")
        await seen.until_seen("after.txt")


async def test_a_vanished_root_is_waited_for(root: Path) -> None:
    async with watching(root) as seen:
        rescans = seen.rescans
        root.rmdir()
        await seen.until_state("degraded")
        assert "missing" in seen.statuses[-1].reason
        assert seen.rescans == rescans
        root.mkdir()
        (root / "back.txt").write_text("x")
        await seen.until_state("native")
        await seen.until(lambda: seen.rescans > rescans)
        (root / "new.txt").write_text("x")
        await seen.until_seen("new.txt")


async def test_a_replaced_root_is_watched_anew(root: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    async with watching(root) as seen:
        rescans = seen.rescans
        root.rename(tmp_path / "away")
        (tmp_path / "other").rename(root)
        await seen.until(lambda: seen.rescans > rescans)
        (root / "new.txt").write_text("x")
        await seen.until_seen("new.txt")


async def test_a_root_that_does_not_exist_yet_is_waited_for(root: Path) -> None:
    shutil.rmtree(root)
    async with watching(root, state="degraded") as seen:
        root.mkdir()
        await seen.until_state("native")


async def test_a_file_in_place_of_the_root_is_no_root(root: Path) -> None:
    root.rmdir()
    root.write_text("a file")
    async with watching(root, state="degraded"):
        assert root.read_text() == "a file"


async def test_a_dead_emitter_is_replaced(root: Path) -> None:
    made: list[Observation] = []

    def factory(path: str, inbox: Inbox) -> Observation:
        made.append(native_observer(path, inbox))
        return made[-1]

    async with watching(root, observer=factory) as seen:
        before = seen.rescans
        for emitter in set(made[0].emitters):
            emitter.stop()
        await seen.until(lambda: seen.rescans > before)
        (root / "new.txt").write_text("x")
        await seen.until_seen("new.txt")


async def test_a_dead_reader_is_replaced(root: Path) -> None:
    made: list[Observation] = []

    def factory(path: str, inbox: Inbox) -> Observation:
        made.append(native_observer(path, inbox))
        return made[-1]

    async with watching(root, observer=factory) as seen:
        before = seen.rescans
        made[0].inotify.stop()  # type: ignore[attr-defined]
        await seen.until(lambda: seen.rescans > before)
        (root / "new.txt").write_text("x")
        await seen.until_seen("new.txt")


async def test_many_directories_made_at_once_keep_being_watched(root: Path) -> None:
    async with watching(root) as seen:
        await asyncio.to_thread(make_chains, root, 300)
        seen.paths.clear()
        (root / "last").mkdir()
        await seen.until_seen("last")
        for number in (0, 150, 299):
            (root / f"d{number}/b/c/later.txt").write_text("x")
            await seen.until_seen(f"d{number}/b/c/later.txt")


def make_chains(root: Path, count: int) -> None:
    for number in range(count):
        (root / f"d{number}/b/c").mkdir(parents=True)


async def test_after_sleep_everything_is_scanned(root: Path) -> None:
    slept = [0.0]
    async with watching(root, clock_of_sleep=lambda: slept[0]) as seen:
        before = seen.rescans
        assert seen.statuses[-1].last_trouble is None
        slept[0] = 3600.0
        await seen.until(lambda: seen.rescans > before)
        assert "slept" in seen.trouble
        assert (seen.statuses[-1].state, seen.statuses[-1].since) == (
            "native",
            seen.statuses[0].since,
        )


async def test_a_network_drive_is_polled(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "network_filesystem", lambda _: "nfs4")
    (root / "sub").mkdir()
    async with watching(root, state="polling") as seen:
        assert seen.statuses[-1].reason == "the folder is on a network drive (nfs4)"
        (root / "sub/a.txt").write_text("x")
        await seen.until_seen("sub")


class Deaf:
    """Makes native observers of which no heartbeat is told while ``is_deaf``."""

    def __init__(self, *, is_deaf: bool) -> None:
        self.is_deaf = is_deaf
        self.made = 0

    def __call__(self, root: str, inbox: Inbox) -> Observation:
        self.made += 1
        tell = inbox.beat
        inbox.beat = lambda: None if self.is_deaf else tell()  # type: ignore[method-assign]
        return native_observer(root, inbox)


SHORT = Rhythm(period_seconds=0.05, patience_seconds=1.0)


async def test_a_heartbeat_that_is_not_felt_means_polling_until_it_is(
    root: Path, tmp_path: Path
) -> None:
    deaf = Deaf(is_deaf=True)
    async with watching(
        root,
        observer=deaf,
        retry_seconds=0.1,
        state="polling",
        beat_folder=tmp_path / "own" / "beats",
        rhythm=SHORT,
    ) as seen:
        assert seen.statuses[-1].reason == seen.trouble == "file notifications do not arrive"
        (root / "a.txt").write_text("x")
        await seen.until_seen("")
        deaf.is_deaf = False
        await seen.until_state("native")
        (root / "b.txt").write_text("x")
        await seen.until_seen("b.txt")


async def test_a_heartbeat_that_stops_begins_watching_anew(root: Path, tmp_path: Path) -> None:
    deaf = Deaf(is_deaf=False)
    async with watching(root, observer=deaf, beat_folder=tmp_path / "beats", rhythm=SHORT) as seen:
        assert [status.state for status in seen.statuses] == ["native"]
        deaf.is_deaf = True
        await seen.until_state("degraded")
        deaf.is_deaf = False
        await seen.until(lambda: seen.statuses[-1].state in ("native", "polling"))
        assert "do not arrive" in seen.trouble
        assert deaf.made == 2


async def test_hearts_go_on_beating_when_their_folder_is_taken_away(
    root: Path, tmp_path: Path
) -> None:
    beats = tmp_path / "beats"
    async with watching(root, beat_folder=beats, rhythm=SHORT) as seen:
        shutil.rmtree(beats)
        await seen.until(lambda: len(seen.statuses) >= 3)
        await seen.until_state("native")
        assert (beats / FILE_NAME).exists()


async def test_waiting_for_a_free_thread_is_no_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = 0.05
    monkeypatch.setattr(heartbeat, "_touch", lambda _: time.sleep(2 * patience))
    heart = heartbeat.Heartbeat(tmp_path / "beats", Rhythm(30.0, patience))
    await heart.begin()
    await heart.beat()
    late = [heart.is_late]
    await asyncio.sleep(2 * patience)
    assert [*late, heart.is_late] == [False, True]


async def test_without_a_place_for_a_heartbeat_watching_works(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    async with watching(root, beat_folder=tmp_path / "file" / "beats", rhythm=SHORT) as seen:
        (root / "a.txt").write_text("x")
        await seen.until_seen("a.txt")
        assert seen.trouble == ""


async def test_an_error_in_the_factory_does_not_end_watching(root: Path) -> None:
    failures = [ValueError("first"), ValueError("second")]

    def factory(path: str, inbox: Inbox) -> Observation:
        if failures:
            raise failures.pop()
        return native_observer(path, inbox)

    async with watching(root, observer=factory) as seen:
        (root / "a.txt").write_text("x")
        await seen.until_seen("a.txt")


async def test_closing_leaves_no_thread_and_no_descriptor_behind(root: Path) -> None:
    await asyncio.to_thread(int)
    executor = {name for name in map(str, threading.enumerate()) if "asyncio_" in name}
    others = set(threading.enumerate())
    descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
    for _ in range(5):
        async with watching(root):
            (root / "a.txt").touch()
    left = [
        thread for thread in set(threading.enumerate()) - others if "asyncio_" not in thread.name
    ]
    assert left == []
    assert executor
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) <= descriptors


async def test_closing_while_it_still_begins_leaves_nothing_running(root: Path) -> None:
    others = set(threading.enumerate())
    entered, go_on = threading.Event(), threading.Event()

    def slow(path: str, inbox: Inbox) -> Observation:
        entered.set()
        go_on.wait(PATIENCE_SECONDS)
        return native_observer(path, inbox)

    seen = Seen()
    async with open_watcher(
        root, Settings(), on_status=seen.on_status, on_paths=seen.on_paths, observer=slow
    ):
        await asyncio.to_thread(entered.wait, PATIENCE_SECONDS)
        asyncio.get_running_loop().call_later(0.01, go_on.set)
    left = [
        thread for thread in set(threading.enumerate()) - others if "asyncio_" not in thread.name
    ]
    assert left == []
    assert seen.rescans == 0


async def test_what_the_body_raises_comes_out_as_it_is(root: Path) -> None:
    with pytest.raises(ValueError, match="mine"):
        async with watching(root):
            raise ValueError("mine")


@pytest.mark.parametrize(
    ("path", "relevant"),
    [
        ("a.txt", "a.txt"),
        ("a/b", "a/b"),
        (".env", None),
        ("a/.git/index", None),
        (".editorconfig", ".editorconfig"),
        ("a/.gitignore", "a"),
        (".sgopedignore", ""),
        (".git/.gitignore", None),
        ("a/.sgoped-0123456789abcdef.tmp", None),
    ],
)
def test_only_what_a_scan_would_show_is_relevant(path: str, relevant: str | None) -> None:
    assert relevant_path(path) == relevant


def test_a_hidden_folder_is_not_relevant() -> None:
    assert relevant_path("a/.venv", is_folder=True) is None
    assert relevant_path("a/venv", is_folder=True) == "a/venv"


def test_polling_tells_directories_that_changed(root: Path) -> None:
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/file.txt").write_text("one")
    (root / "other").mkdir()
    poller = Poller(root)
    assert poller.poll(lambda: False) == set()
    assert poller.poll(lambda: False) == set()
    (root / "a/b/file.txt").write_text("other")
    assert poller.poll(lambda: False) == {"a/b"}
    (root / "a/new").mkdir()
    assert poller.poll(lambda: False) == {"a", "a/new"}
    (root / "a/b/file.txt").unlink()
    assert poller.poll(lambda: False) == {"a/b"}
    (root / ".gitignore").write_text("other\n")
    assert poller.poll(lambda: False) == {""}
    (root / "other/ignored.txt").write_text("x")
    assert poller.poll(lambda: False) == set()
    assert poller.poll(lambda: True) == set()


def test_network_drives_are_told_from_the_table_of_mounts(tmp_path: Path) -> None:
    table = (
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "30 22 0:45 / /mnt/my\\040share rw,relatime shared:1 - nfs4 server:/x rw\n"
        "31 22 0:46 / /home/me/far rw - fuse.sshfs me@far: rw\n"
        "broken line\n"
    )
    assert filesystem_of("0:45", table) == "nfs4"
    assert filesystem_of("0:46", table) == "fuse.sshfs"
    assert filesystem_of("8:1", table) == ""
    assert filesystem_of("9:9", table) == ""
    assert network_filesystem(tmp_path / "gone") == ""
    assert network_filesystem(tmp_path, tmp_path / "no table") == ""
