"""A daemon at work is killed at any moment, again and again: nothing acknowledged is lost."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests import processes
from tests.conftest import NoteFigure
from tests.processes import DaemonProcess
from tests.scale import Scale
from tests.torture.storm import (
    Administrator,
    Connection,
    Editor,
    FileWorker,
    Learner,
    LostError,
    Reader,
    Worker,
)

SEED = 20_26
MAX_WORK_SECONDS = 0.3
MAX_STOP_SECONDS = 0.2
MAX_START_SECONDS = 0.6
SETTLE_SECONDS = 60.0
SAMPLE = 3
FULL_CHECK_EVERY = 50
PAGE = 1000


@dataclass
class Storm:
    """All workers of one home, and the daemon they work on.

    Attributes:
        longest_start: Seconds from the start of a process to a ready daemon.
        longest_settling: Seconds from then until the index equalled the disk.
    """

    home: Path
    rng: random.Random
    workers: list[Worker]
    longest_start: float = 0.0
    longest_settling: float = 0.0
    starts: int = 0

    @property
    def root(self) -> Path:
        return self.home / "data" / "memory" / "short_term"

    def start(self) -> DaemonProcess:
        """A daemon that is ready; sometimes an earlier one was killed while it started."""
        if self.rng.random() < 0.15:
            early = processes.spawn(self.home)
            time.sleep(self.rng.uniform(0, MAX_START_SECONDS))
            early.kill()
        began = time.monotonic()
        daemon = processes.start(self.home)
        self.longest_start = max(self.longest_start, time.monotonic() - began)
        self.starts += 1
        return daemon

    def work_and_kill(self, daemon: DaemonProcess) -> None:
        """Let everybody work for a moment; then the daemon is no more."""
        stop = threading.Event()
        threads = [
            threading.Thread(target=worker.run, args=(daemon.port, stop)) for worker in self.workers
        ]
        for worker in self.workers:
            worker.ended = False
        for thread in threads:
            thread.start()
        time.sleep(self.rng.uniform(0, MAX_WORK_SECONDS))
        if self.rng.random() < 0.15:
            for worker in self.workers:
                worker.ended = True
            daemon.process.send_signal(signal.SIGTERM)
            time.sleep(self.rng.uniform(0, MAX_STOP_SECONDS))
        daemon.kill()
        stop.set()
        for thread in threads:
            thread.join()
        for worker in self.workers:
            if worker.problem is not None:
                raise worker.problem

    def check_disk(self) -> None:
        """Before anything of ours runs again."""
        for worker in self.workers:
            if isinstance(worker, FileWorker | Learner):
                worker.check_disk()

    def check(self, daemon: DaemonProcess, *, full: bool) -> None:
        """Everything acknowledged is there, nothing is left over, the index equals the disk."""
        connection = Connection(daemon.port)
        try:
            self._settle(connection)
            self._check_leftovers()
            for worker in self.workers:
                if isinstance(worker, Administrator):
                    worker.check(connection)
            paths = disk_paths(self.root)
            # The sweep takes a second link from a file whose save was cut off after its first: it
            # is read once more, because its change time is another.
            while not (listed := listed_states(connection)).all_indexed:
                self._settle(connection)
            assert listed.paths == paths
            some = paths if full else self.rng.sample(sorted(paths), min(SAMPLE, len(paths)))
            for path in some:
                check_found(connection, self.root, path)
            self._check_versions(connection, full=full)
        finally:
            connection.close()

    def _settle(self, connection: Connection) -> None:
        """Wait until the daemon itself says that it knows the disk."""
        began = time.monotonic()
        while True:
            _, health = connection.ask("GET", "/health")
            index, watching = health["index"], health["watcher"]["state"] == "native"
            if index["verified"] and not index["pending"] and watching:
                break
            assert time.monotonic() < began + SETTLE_SECONDS, health
            time.sleep(0.005)
        self.longest_settling = max(self.longest_settling, time.monotonic() - began)

    def _check_leftovers(self) -> None:
        # The daemon's own folders hold none of their unfinished writes either.
        left = [
            str(file)
            for file in self.home.rglob("*")
            if file.name.endswith((".tmp", ".partial")) or file.name.startswith(".server.json")
        ]
        assert left == [], left

    def _check_versions(self, connection: Connection, *, full: bool) -> None:
        for worker in self.workers:
            if isinstance(worker, FileWorker):
                paths = sorted(worker.files.versions)
                some = paths if full else self.rng.sample(paths, min(1, len(paths)))
                worker.check_versions(connection, some)


def disk_paths(root: Path) -> set[str]:
    """Every file below the memory folder, walked by ourselves."""
    return {
        Path(folder, name).relative_to(root).as_posix()
        for folder, _, names in os.walk(root)
        for name in names
    }


@dataclass
class Listed:
    """What the daemon says it has indexed."""

    paths: set[str]
    all_indexed: bool


def listed_states(connection: Connection) -> Listed:
    """The whole listing, page by page."""
    states = {file["path"]: file["state"] for file in _listed(connection)}
    assert set(states.values()) <= {"indexed", "pending"}, states
    return Listed(set(states), "pending" not in states.values())


def _listed(connection: Connection) -> Iterator[dict[str, str]]:
    after = ""
    while True:
        address = f"/api/index?limit={PAGE}&after={quote(after)}"
        _, answer = connection.ask("GET", address)
        yield from answer["files"]
        if len(answer["files"]) < PAGE:
            return
        after = answer["files"][-1]["path"]


def suggested_paths(connection: Connection, typed: str) -> list[str]:
    _, suggested = connection.ask("GET", f"/api/files?q={typed}")
    return [item["metadata"]["path"] for item in suggested]


def check_found(connection: Connection, root: Path, path: str) -> None:
    """A file is suggested by its name, and found by a word that only it holds."""
    stem = Path(path).stem.rpartition("_")[2]
    if path not in (suggested := suggested_paths(connection, stem)):
        time.sleep(2)
        later = path in suggested_paths(connection, stem)
        raise LostError(f"{path} is not in {suggested}; 2 s later: {later}")
    head = (root / path).read_bytes()[:5_000].decode(errors="ignore").split()
    word = next(word for word in head if word.startswith("zo") and word.endswith("o"))
    _, found = connection.ask("GET", f"/api/search?q={word}")
    assert path in [hit["path"] for hit in found["hits"]], (path, word)


def test_a_storm_of_kills_loses_and_tears_nothing(
    tmp_path: Path, scale: Scale, note_figure: NoteFigure
) -> None:
    home = tmp_path / "home"
    root = home / "data" / "memory" / "short_term"
    workers: list[Worker] = [FileWorker(f"w{number}", SEED, root) for number in range(3)]
    workers += [Learner("k", SEED, root), Administrator("services", SEED, root)]
    workers += [Editor("disk", SEED, root), Reader("reader", SEED, root)]
    storm = Storm(home, random.Random(SEED), workers)
    began = time.monotonic()
    for number in range(1, scale.kills + 1):
        daemon = storm.start()
        try:
            storm.check(daemon, full=number % FULL_CHECK_EVERY == 0)
            storm.work_and_kill(daemon)
        finally:
            daemon.kill()
        storm.check_disk()
    daemon = storm.start()
    try:
        storm.check(daemon, full=True)
    finally:
        daemon.kill()
    tallies = [worker.tally for worker in workers]
    acknowledged = sum(tally.acknowledged for tally in tallies)
    doubtful = sum(tally.doubtful for tally in tallies)
    happened = sum(tally.happened for tally in tallies)
    note_figure(
        f"{scale.kills} kills in {time.monotonic() - began:.0f} s, seed {SEED}: {acknowledged} "
        f"changes acknowledged, 0 lost, 0 torn; {doubtful} cut off, {happened} of them done; "
        f"longest start {storm.longest_start:.2f} s, index true {storm.longest_settling:.2f} s later"
    )
    assert acknowledged > scale.kills
    assert "Traceback" not in daemon.log()
