"""More happens at once than the kernel's queue holds; nobody asks for a refresh; nothing is lost."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import NoteFigure, StartDaemon
from tests.processes import DaemonProcess
from tests.scale import Scale

PATIENCE_SECONDS = 300.0
SAMPLES = 20
pytestmark = pytest.mark.timeout(1200)
QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")

# Creates files as fast as it can; moves every fifth one and every fifth folder, and deletes every
# seventh file. Each is written in turns, since equal events in a row count as one for the kernel.
BURST = """
import os, sys
root, mark, count, turns = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
def path(n):
    return f"{root}/{mark}{n % 40}/{mark}_{n}.txt"
for n in range(40):
    os.makedirs(f"{root}/{mark}{n}", exist_ok=True)
for start in range(0, count, 20):
    some = range(start, min(count, start + 20))
    for turn in range(turns):
        for n in some:
            with open(path(n), "a") as file:
                file.write(f"{mark}word{n}\\n")
    for n in some:
        if n % 5 == 0:
            os.rename(path(n), path(n) + ".moved.txt")
        elif n % 7 == 0:
            os.unlink(path(n))
for n in range(0, 40, 5):
    os.rename(f"{root}/{mark}{n}", f"{root}/{mark}{n}_moved")
"""


def burst(root: Path, mark: str, count: int, turns: int) -> None:
    command = [sys.executable, "-c", BURST, str(root), mark, str(count), str(turns)]
    subprocess.run(command, check=True, timeout=PATIENCE_SECONDS)


def watch_folders(daemon: DaemonProcess, root: Path, mark: str) -> None:
    """Make the folders of a burst, and see that what happens in them is told."""
    for number in range(40):
        (root / f"{mark}{number}").mkdir()
        (root / f"{mark}{number}" / f"watched{number}.txt").write_text("x")
    until_equal(daemon, on_disk(root))


def indexed(daemon: DaemonProcess) -> set[str]:
    """All of /api/index, page by page."""

    def pages() -> Iterator[str]:
        after = ""
        while True:
            found = daemon.request("GET", f"/api/index?state=indexed&limit=1000&after={after}")[1]
            if not found["files"]:
                return
            yield from (file["path"] for file in found["files"])
            after = found["files"][-1]["path"]

    return set(pages())


def on_disk(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def until_equal(daemon: DaemonProcess, expected: set[str]) -> float:
    """Seconds until the index equals the disk; the last thing that happens is in it as well."""
    started = time.monotonic()
    found: set[str] = set()
    while time.monotonic() - started < PATIENCE_SECONDS:
        health = daemon.request("GET", "/health")[1]
        if not health["index"]["pending"]:
            took = time.monotonic() - started
            found = indexed(daemon)
            if found == expected:
                return took
        time.sleep(0.05)
    missing, extra = expected - found, found - expected
    raise AssertionError(f"{len(missing)} lost, such as {sorted(missing)[:3]}; {len(extra)} left")


def check_contents(daemon: DaemonProcess, paths: set[str]) -> None:
    """A few files are found by their own word and by their own name."""
    for path in random.Random(3).sample(sorted(paths), SAMPLES):
        mark, number = path.rpartition("/")[2].split(".")[0].split("_")
        hits = daemon.request("GET", f"/api/search?q={mark}word{number}")[1]["hits"]
        assert [hit["path"] for hit in hits] == [path]
        named = daemon.request("GET", f"/api/files?q={mark}_{number}.")[1]
        assert path in [hit["metadata"]["path"] for hit in named]


@pytest.mark.parametrize("asleep", [False, True], ids=["awake", "stopped"])
def test_a_burst_of_changes_loses_nothing(
    start_daemon: StartDaemon, scale: Scale, note_figure: NoteFigure, asleep: bool
) -> None:
    daemon = start_daemon(environment={"SGOPED_RECONCILE_SECONDS": "86400"})
    root = daemon.memory_dir
    burst(root, "before", 40, 1)
    until_equal(daemon, on_disk(root))
    if asleep:
        # It reads nothing meanwhile, so that the queue overflows for certain.
        watch_folders(daemon, root, "burst")
        daemon.process.send_signal(signal.SIGSTOP)
    turns = max(1, 2 * int(QUEUE.read_text()) // scale.burst_files) if asleep else 1
    burst(root, "burst", scale.burst_files, turns)
    daemon.process.send_signal(signal.SIGCONT)
    expected = on_disk(root)
    took = until_equal(daemon, expected)
    check_contents(daemon, {path for path in expected if "/burst_" in path})
    last = daemon.request("GET", "/health")[1]["watcher"]["last_trouble"]
    if asleep:
        assert last is not None
        assert "more happened at once" in last["reason"]
    # Watching goes on, also in the folders that were made and moved in the burst.
    (root / "burst0_moved" / "late_1.txt").write_text("late")
    until_equal(daemon, expected | {"burst0_moved/late_1.txt"})
    assert "Traceback" not in daemon.log()
    overflow = "overflowed" if last else "did not overflow"
    note_figure(
        f"{scale.burst_files} files at once, {len(expected)} left after moves and deletions: "
        f"0 lost, equal {took:.1f} s after the last; the queue {overflow}"
    )
