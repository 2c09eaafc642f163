"""Killed at each system call of a save, nothing acknowledged is lost and nothing is torn.

First one change is made under strace, which tells its system calls; then the same change is made
again and again, and killed at the first, the second, ... call of each sort.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sgoped.errors import NotFound
from tests.conftest import NoteFigure
from tests.processes import clean_environment
from tests.scale import Scale
from tests.torture.saver import CHANGES, NEW, OLD, open_files
from tests.tracing import CHANGING, read_calls, straced

ROOT = Path(__file__).parents[2]
INSIDE = b"inside a folder\n"
OLDER = b"older content\n" * 500
GONE = b"deleted long ago\n"
Contents = dict[str, bytes]


@dataclass
class Saver:
    """A running ``saver``."""

    process: subprocess.Popen[str]

    def say(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def change(self, place: Path, change: str, *options: str, output: Path | None = None) -> bool:
        """Makes a change under strace; whether it was reported as done."""
        self.say(f"{place / 'root'}\t{place / 'versions'}\t{change}")
        pid = int(self.hear())
        with straced(pid, *options, output=output):
            self.say("go")
            told = self.hear()
            done = told == "done"
            ended = self.hear() if done else told
        assert ended == "ended 0" if done else ended == "ended -9", ended
        return done


@pytest.fixture(scope="module")
def saver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Saver]:
    command = [sys.executable, "-m", "tests.torture.saver"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=clean_environment(tmp_path_factory.mktemp("saver")) | {"PYTHONPATH": str(ROOT)},
    ) as process:
        yield Saver(process)
        process.kill()


def prepare(place: Path) -> None:
    """A folder with history."""
    (place / "root" / "sub").mkdir(parents=True)
    files, _ = open_files(place / "root", place / "versions")
    for path, content in (
        ("a.md", OLDER),
        ("a.md", OLD),
        ("sub/in.md", OLDER),
        ("sub/in.md", INSIDE),
        ("gone.md", GONE),
    ):
        files.write(path, content)
    files.delete("gone.md")


def contents(root: Path) -> Contents:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


BEFORE: Contents = {"a.md": OLD, "sub/in.md": INSIDE}
AFTER: dict[str, Contents] = {
    "overwrite": {"a.md": NEW, "sub/in.md": INSIDE},
    "create": {"a.md": OLD, "sub/in.md": INSIDE, "new/folder/b.md": NEW},
    "create_unique": {"a.md": OLD, "sub/in.md": INSIDE, "a_2.md": NEW},
    "delete": {"sub/in.md": INSIDE},
    "rename_file": {"sub/b.md": OLD, "sub/in.md": INSIDE},
    "rename_folder": {"a.md": OLD, "other/sub/in.md": INSIDE},
    "restore": {"a.md": OLDER, "sub/in.md": INSIDE},
    "restore_deleted": {"a.md": OLD, "sub/in.md": INSIDE, "gone.md": GONE},
}


def check(place: Path, change: str, *, done: bool) -> None:
    """What a start after the kill finds, once it has cleaned up."""
    root = place / "root"
    time.sleep(0.01)  # a file is stale when it is older than the start, as the disk's clock ticks
    files, versions = open_files(root, place / "versions")
    files.sweep_temporary_files()
    versions.prune()
    found = contents(root)
    assert found == AFTER[change] if done else found in (BEFORE, AFTER[change]), found.keys()
    kept = {versions.read(one.path, one.version) for one in versions.newest(99)}
    lost = set(BEFORE.values()) - set(found.values()) - kept
    assert not lost, "what is gone from the folder is a version"
    assert {OLDER, GONE} <= kept, "the history is whole"
    left = [path for path in (place / "versions").rglob("*") if path.suffix not in (".blob", "")]
    assert all(path.suffix == ".json" for path in left), left
    check_that_it_goes_on(place, change, found)


def check_that_it_goes_on(place: Path, change: str, found: Contents) -> None:
    files, versions = open_files(place / "root", place / "versions")
    if found == BEFORE:
        try:
            CHANGES[change](files, versions)
        except NotFound:
            pytest.fail("what can be restored cannot be restored any more")
        assert contents(place / "root") == AFTER[change]
    newest = versions.newest(1)
    assert newest
    assert versions.find(newest[0].path, newest[0].version) == newest[0]


def spread(points: list[tuple[str, int]], count: int) -> list[tuple[str, int]]:
    """At most ``count`` of them, from everywhere."""
    step = max(1.0, len(points) / count)
    return [points[int(index * step)] for index in range(min(count, len(points)))]


@pytest.mark.parametrize("change", CHANGES)
def test_a_kill_at_each_system_call_of_a_change_leaves_old_or_new_whole(
    saver: Saver, tmp_path: Path, scale: Scale, note_figure: NoteFigure, change: str
) -> None:
    prepare(tmp_path / "recorded")
    record = tmp_path / "calls"
    traced = f"trace={','.join(CHANGING)}"
    assert saver.change(tmp_path / "recorded", change, "-e", traced, output=record)
    check(tmp_path / "recorded", change, done=True)
    counts = Counter(call.name for call in read_calls(record))
    assert counts["fsync"] >= 2, counts
    points = [(name, nth) for name in counts for nth in range(1, counts[name] + 1)]
    chosen = spread(points, scale.syscalls)
    killed = 0
    for number, (name, nth) in enumerate(chosen):
        place = tmp_path / str(number)
        prepare(place)
        done = saver.change(place, change, "-e", f"inject={name}:signal=KILL:when={nth}")
        check(place, change, done=done)
        killed += not done
    assert killed >= len(chosen) - 1, "the last call comes after the report"
    note_figure(f"{killed} kills at {len(points)} system calls: nothing lost or torn")
