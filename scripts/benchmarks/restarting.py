"""P6, P10: how long a start takes, over a big folder and over a small one; and a client verb."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from scripts.benchmarks.bench import Bench
from scripts.benchmarks.processes import daemon, python, run_seconds
from scripts.benchmarks.samples import median
from scripts.benchmarks.table import Goal, Row

# What the daemon has imported when it serves.
DAEMON_IMPORTS = (
    "import sgoped.__main__, sgoped.cli.serve, sgoped.daemon, sgoped.app;"
    "import sgoped.actions.add_knowledge, sgoped.llm.ollama, sgoped.llm.openai"
)
CLIENT_IMPORTS = "import http.client, json, click"
SMALL_FILES = 20
MS = 1e3


def walk(root: Path) -> int:
    """Number of files and folders below ``root``, each looked at by stat: the bare minimum."""
    count = 0
    pending = [os.fspath(root)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                entry.stat(follow_symlinks=False)
                count += 1
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
    return count


def _walk_seconds(root: Path) -> float:
    started_at = time.perf_counter()
    walk(root)
    return time.perf_counter() - started_at


def _small_folder(bench: Bench) -> tuple[Path, Path]:
    """A home and a folder of a few notes, indexed."""
    home = bench.new_home()
    notes = home / "notes"
    notes.mkdir()
    for number in range(SMALL_FILES):
        (notes / f"note_{number}.md").write_text(f"# Note {number}\nSome words to find.\n")
    _start_seconds(home, notes)
    return home, notes


def _start_seconds(home: Path, folder: Path) -> float:
    """From the start of the process to an index that is known to equal the disk."""
    with daemon(home, folder) as served:
        return served.await_index()


def measure_restart(bench: Bench) -> Iterator[Row]:
    """P6: nothing has changed; the index must be known to be true."""
    rounds = bench.samples(7, 3)
    home, root = bench.indexed.home, bench.tree.root
    small_home, notes = _small_folder(bench)
    bench.say("P6: restarts")
    restarts, starts, walks = [], [], []
    _start_seconds(home, root)
    for _ in range(rounds):
        walks.append(_walk_seconds(root))
        restarts.append(_start_seconds(home, root))
        starts.append(_start_seconds(small_home, notes))
    goal = Goal("ratio", 1.3)
    bare = median(walks)
    note = f"{rounds} restarts"
    yield Row(
        "P6", "restart -> true index, over a bare walk", median(restarts), bare, "s", goal, note
    )
    yield Row(
        "P6",
        "the same without the start over a small folder",
        median(restarts) - median(starts),
        bare,
        "s",
        goal,
        f"such a start takes {median(starts):.2f} s",
    )


def measure_start(bench: Bench) -> Iterator[Row]:
    """P10: imports and start until healthy; the time of ``sgoped status``."""
    rounds = bench.samples(15, 4)
    home, notes = _small_folder(bench)
    bench.say("P10: starts and client verbs")
    starts, imports, verbs, clients = [], [], [], []
    status = python("-m", "sgoped", "status", "--home", str(home))
    for _ in range(rounds):
        imports.append(run_seconds(python("-c", DAEMON_IMPORTS), home))
        with daemon(home, notes) as served:
            health = served.request("GET", "/health")
            starts.append(time.perf_counter() - served.started_at)
            if health["status"] != "healthy":
                raise RuntimeError(f"not healthy: {health['watcher']}")
            clients.append(run_seconds(python("-c", CLIENT_IMPORTS), home))
            verbs.append(run_seconds(status, home))
    yield Row(
        "P10",
        "start -> healthy, over the imports alone",
        median(starts),
        median(imports),
        "s",
        Goal("value", 0.7),
        f"{rounds} starts; the goal is for an idle machine",
    )
    yield Row(
        "P10",
        "sgoped status, over click and http.client",
        median(verbs),
        median(clients),
        "s",
        Goal("value", 0.12),
        "likewise",
    )
