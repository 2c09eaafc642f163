"""Each trouble that watching can have, made for real: told in /health, mended, nothing lost."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartDaemon
from tests.processes import DaemonProcess

PATIENCE_SECONDS = 60.0
QUICK = {"SGOPED_POLL_SECONDS": "0.1"}
ALL_EVENTS = 0xFFF
NONBLOCKING = os.O_NONBLOCK
STRACE = shutil.which("strace")
needs_strace = pytest.mark.skipif(STRACE is None, reason="strace makes the faults")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may")
SILENT = "file notifications do not arrive"


def until(daemon: DaemonProcess, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The health that fulfils ``condition``."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    health: dict[str, Any] = {}
    while time.monotonic() < deadline:
        health = daemon.request("GET", "/health")[1]
        if condition(health):
            return health
        time.sleep(0.01)
    raise AssertionError(f"never so: {health}\n{daemon.log()}")


def settled(health: dict[str, Any]) -> bool:
    index = health["index"]
    return (
        bool(health["watcher"]["state"] != "degraded" and index["verified"])
        and not index["pending"]
    )


def until_found(daemon: DaemonProcess, name: str) -> None:
    """Nobody asks for a refresh: the daemon must notice by itself."""

    def is_found(_: object) -> bool:
        hits = daemon.request("GET", f"/api/files?q={name}")[1]
        return name in [hit["label"] for hit in hits]

    until(daemon, is_found)


def trouble(health: dict[str, Any]) -> str:
    last = health["watcher"]["last_trouble"]
    return str(last["reason"]) if last else ""


def reader_thread(daemon: DaemonProcess) -> int:
    """The thread that waits for file notifications: the only one in a poll(2) without an end."""
    tasks = Path(f"/proc/{daemon.process.pid}/task")
    number = {"x86_64": "7"}.get(os.uname().machine)
    if number is None:
        pytest.skip("the number of poll(2) is known for x86_64 only")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for task in tasks.iterdir():
            if (task / "syscall").read_text().split(" ")[0] == number:
                return int(task.name)
    raise AssertionError("no thread reads file notifications")


@contextlib.contextmanager
def faulty(thread: int, *injection: str) -> Iterator[None]:
    """While inside, strace changes the system calls of a thread."""
    command = [str(STRACE), "-q", "-p", str(thread), "-o", "/dev/null", *injection]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as tracing:
        try:
            status = Path(f"/proc/{thread}/status")
            deadline = time.monotonic() + PATIENCE_SECONDS
            while "TracerPid:\t0" in status.read_text():
                if tracing.poll() is not None or time.monotonic() > deadline:
                    pytest.skip("strace may not attach here")
            yield
        finally:
            if tracing.poll() is None:
                tracing.terminate()


@contextlib.contextmanager
def every_event(folder: Path) -> Iterator[Callable[[], bytes]]:
    """An inotify of the test's own on all of ``folder``; read it for what happened."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(NONBLOCKING)
    try:
        for path in (folder, *(path for path in folder.rglob("*"))):
            assert libc.inotify_add_watch(fd, os.fsencode(path), ALL_EVENTS) >= 0

        def happened() -> bytes:
            try:
                return os.read(fd, 65536)
            except BlockingIOError:
                return b""

        yield happened
    finally:
        os.close(fd)


def test_heartbeats_touch_nothing_in_the_folder(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(environment=QUICK)
    root = daemon.memory_dir
    (root / "sub").mkdir()
    (root / "sub" / "file.txt").write_text("still")
    until_found(daemon, "file.txt")
    until(daemon, settled)
    beat = daemon.home / "runtime" / "heartbeat" / "beat"

    def stats() -> list[tuple[int, ...]]:
        found = [path.stat() for path in (root, *sorted(root.rglob("*")))]
        return [(s.st_ino, s.st_size, s.st_atime_ns, s.st_mtime_ns, s.st_ctime_ns) for s in found]

    with every_event(root) as happened:
        before, beats = stats(), {beat.stat().st_mtime_ns}
        happened()  # what the test itself did

        def several_beats(_: object) -> bool:
            beats.add(beat.stat().st_mtime_ns)
            return len(beats) > 3

        until(daemon, several_beats)
        assert happened() == b""
    assert stats() == before
    health = daemon.request("GET", "/health")[1]
    assert (health["watcher"]["state"], health["watcher"]["last_trouble"]) == ("native", None)


@needs_strace
def test_a_reader_that_lives_and_hears_nothing_is_replaced(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(environment=QUICK)
    before = until(daemon, settled)
    deaf = ["-e", "trace=poll", "-e", "inject=poll:retval=0"]
    with faulty(reader_thread(daemon), *deaf):
        health = until(daemon, lambda health: trouble(health) == SILENT)
        assert health["watcher"]["last_trouble"]["at"] >= before["watcher"]["since"]
        health = until(daemon, lambda health: health["watcher"]["state"] == "native")
        assert health["watcher"]["since"] > before["watcher"]["since"]
    (daemon.memory_dir / "heard.txt").write_text("x")
    until_found(daemon, "heard.txt")
    assert daemon.log().count(SILENT) == 1


@needs_strace
def test_a_reader_that_dies_is_replaced(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(environment=QUICK)
    until(daemon, settled)
    with faulty(reader_thread(daemon), "-e", "trace=poll,read", "-e", "inject=poll,read:error=EIO"):
        (daemon.memory_dir / "lost.txt").write_text("x")
        until(daemon, lambda health: "thread" in trouble(health))
    until(daemon, lambda health: health["watcher"]["state"] == "native")
    until_found(daemon, "lost.txt")
    (daemon.memory_dir / "heard.txt").write_text("x")
    until_found(daemon, "heard.txt")


@needs_strace
@pytest.mark.parametrize(
    ("calls", "fault", "reason"),
    [
        ("inotify_add_watch", "error=ENOSPC:when=4+", "max_user_watches"),
        ("inotify_init,inotify_init1", "error=EMFILE", "max_user_instances"),
        ("inotify_add_watch", "retval=77", SILENT),
    ],
)
def test_where_the_system_refuses_to_tell_the_folder_is_polled(
    start_daemon: StartDaemon, tmp_path: Path, calls: str, fault: str, reason: str
) -> None:
    folder = tmp_path / "folder"
    for number in range(6):
        (folder / f"d{number}").mkdir(parents=True)
    injection = ["-e", f"trace={calls}", "-e", f"inject={calls}:{fault}"]
    daemon = start_daemon(
        arguments=["--memory-dir", str(folder)],
        environment=QUICK,
        wrapper=[str(STRACE), "-D", "-f", "--seccomp-bpf", "-o", "/dev/null", *injection],
    )
    health = until(daemon, lambda health: health["watcher"]["state"] == "polling")
    assert reason in health["watcher"]["reason"]
    assert health["watcher"]["since"] > 0
    assert health["status"] == "healthy"
    (folder / "d5" / "polled.txt").write_text("x")
    until_found(daemon, "polled.txt")


def replaced_by_a_link(root: Path, spare: Path) -> None:
    root.rename(spare / "old")
    shutil.copytree(spare / "old", spare / "linked")
    root.symlink_to(spare / "linked")


def replaced_by_another(root: Path, spare: Path) -> None:
    shutil.copytree(root, spare / "copy")
    root.rename(spare / "old")
    (spare / "copy").rename(root)


@pytest.mark.parametrize("replace", [replaced_by_another, replaced_by_a_link])
def test_a_replaced_folder_is_told_and_watched(
    start_daemon: StartDaemon, tmp_path: Path, replace: Callable[[Path, Path], None]
) -> None:
    root, spare = tmp_path / "folder", tmp_path / "spare"
    spare.mkdir()
    root.mkdir()
    (root / "kept.txt").write_text("x")
    daemon = start_daemon(arguments=["--memory-dir", str(root)], environment=QUICK)
    until_found(daemon, "kept.txt")
    until(daemon, settled)
    replace(root, spare)
    until(daemon, lambda health: "replaced" in trouble(health) or "missing" in trouble(health))
    until(daemon, lambda health: health["watcher"]["state"] == "native")
    (root / "new.txt").write_text("x")
    until_found(daemon, "new.txt")
    until_found(daemon, "kept.txt")


def test_a_missing_folder_is_told_and_waited_for(start_daemon: StartDaemon, tmp_path: Path) -> None:
    root = tmp_path / "folder"
    root.mkdir()
    (root / "kept.txt").write_text("x")
    daemon = start_daemon(arguments=["--memory-dir", str(root)], environment=QUICK)
    until_found(daemon, "kept.txt")
    until(daemon, settled)
    root.rename(tmp_path / "away")
    health = until(daemon, lambda health: health["watcher"]["state"] == "degraded")
    assert "missing" in health["watcher"]["reason"]
    assert health["status"] == "degraded"
    until_found(daemon, "kept.txt")
    root.mkdir()
    until(daemon, lambda health: health["status"] == "healthy" and settled(health))
    (root / "new.txt").write_text("x")
    until_found(daemon, "new.txt")


@contextlib.contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """A drive of its own at ``folder``."""
    tried = subprocess.run(
        ["mount", "-t", "tmpfs", "none", str(folder)], capture_output=True, check=False
    )
    if tried.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@needs_root
def test_an_unplugged_drive_is_no_emptied_folder(start_daemon: StartDaemon, tmp_path: Path) -> None:
    root, home = tmp_path / "folder", tmp_path / "home"
    root.mkdir()
    options: dict[str, Any] = {
        "home": home,
        "arguments": ["--memory-dir", str(root)],
        "environment": QUICK,
    }
    with mounted(root):
        (root / "kept.txt").write_text("x")
        daemon = start_daemon(**options)
        until_found(daemon, "kept.txt")
        until(daemon, settled)
    until(daemon, lambda health: "not mounted" in health["index"]["problem"])
    assert daemon.request("POST", "/api/refresh", {})[0] == 500
    save = {"path": "lost.txt", "content": "under the drive"}
    status, answer = daemon.request("POST", "/api/files/content", save)
    assert (status, "not mounted" in answer["detail"]) == (500, True)
    assert list(root.iterdir()) == []
    until_found(daemon, "kept.txt")
    daemon.stop()
    daemon = start_daemon(**options)
    health = until(daemon, lambda health: "not mounted" in health["index"]["problem"])
    assert health["status"] == "degraded"
    assert health["index"]["problem_since"] > 0
    until_found(daemon, "kept.txt")
    with mounted(root):
        (root / "new.txt").write_text("x")
        until_found(daemon, "new.txt")
        until(daemon, lambda health: health["status"] == "healthy")
        daemon.kill()


@needs_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="root may read everything")
def test_what_cannot_be_read_is_told_and_read_once_it_can_be(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    root = tmp_path / "folder"
    (root / "closed").mkdir(parents=True)
    (root / "closed" / "inner.txt").write_text("x")
    (root / "secret.txt").write_text("heron")
    (root / "secret.txt").chmod(0)
    (root / "closed").chmod(0)
    daemon = start_daemon(
        arguments=["--memory-dir", str(root)],
        environment=QUICK,
        wrapper=["setpriv", "--bounding-set=-dac_override,-dac_read_search"],
    )
    health = until(daemon, lambda health: settled(health) and health["index"]["problem"])
    assert health["index"]["problem"] == (
        "1 folder cannot be read, such as closed: Permission denied"
    )
    states = daemon.request("GET", "/api/index?state=failed")[1]
    assert states["files"] == [
        {"path": "secret.txt", "state": "failed", "reason": "cannot be read: Permission denied"}
    ]
    (root / "secret.txt").chmod(0o600)
    until(daemon, lambda _: daemon.request("GET", "/api/search?q=heron")[1]["hits"])
    (root / "closed").chmod(0o700)
    until_found(daemon, "inner.txt")
    until(daemon, lambda health: health["status"] == "healthy")
    (root / "closed" / "later.txt").write_text("x")
    until_found(daemon, "later.txt")
    assert daemon.request("GET", "/api/index")[1]["counts"]["failed"] == 0
