"""The same with the whole daemon: killed at system calls of a request, and flushed in order."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import processes
from tests.conftest import NoteFigure, StartDaemon
from tests.processes import DaemonProcess
from tests.scale import Scale
from tests.torture.durability import ForgetfulDisk
from tests.tracing import CHANGING, Call, read_calls, straced

OLDER, OLD, NEW = (f"{age} content\n" * 300 for age in ("older", "old", "new"))
LEARNT = "Storks clatter, herons do not. " * 30
HEALTHY_SECONDS = 30.0
Answer = tuple[int, Any]
Request = Callable[[DaemonProcess], Answer]
Contents = dict[str, str]


def post(daemon: DaemonProcess, address: str, **body: object) -> Answer:
    return daemon.request("POST", address, body)


def restore(daemon: DaemonProcess) -> Answer:
    sidecars = (daemon.home / "data/versions").rglob("*.json")
    versions = [json.loads(sidecar.read_text()) for sidecar in sidecars]
    oldest = min(one["version"] for one in versions if one["path"] == "a.md")
    return post(daemon, "/api/files/restore", path="a.md", version=oldest)


def learn(daemon: DaemonProcess) -> Answer:
    return post(
        daemon,
        "/api/actions/execute",
        action_id="add_knowledge",
        user_input=LEARNT,
        knowledge_filename="birds",
    )


def add_service(daemon: DaemonProcess) -> Answer:
    config = {"name": "S", "host": "http://127.0.0.1:9", "models": ["m"]}
    address = "/api/services/add"
    return post(daemon, address, service_id="s", service_type="ollama", config=config)


REQUESTS: dict[str, Request] = {
    "overwrite": lambda daemon: post(daemon, "/api/files/content", path="a.md", content=NEW),
    "create": lambda daemon: post(daemon, "/api/files/content", path="x/y/b.md", content=NEW),
    "delete": lambda daemon: daemon.request("DELETE", "/api/files/content?path=a.md"),
    "rename_file": lambda daemon: post(daemon, "/api/files/rename", path="a.md", to="new/b.md"),
    "rename_folder": lambda daemon: post(daemon, "/api/files/rename", path="sub", to="new/sub"),
    "restore": restore,
    "add_knowledge": learn,
    "add_service": add_service,
}
# Those that are killed in a short run, too.
OFTEN = ("overwrite", "delete", "add_service")
BEFORE: Contents = {"a.md": OLD, "sub/in.md": OLD}
AFTER: dict[str, Contents] = {
    "overwrite": {"a.md": NEW, "sub/in.md": OLD},
    "create": {**BEFORE, "x/y/b.md": NEW},
    "delete": {"sub/in.md": OLD},
    "rename_file": {"new/b.md": OLD, "sub/in.md": OLD},
    "rename_folder": {"a.md": OLD, "new/sub/in.md": OLD},
    "restore": {"a.md": OLDER, "sub/in.md": OLD},
    "add_knowledge": BEFORE,
    "add_service": BEFORE,
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two files and their history, indexed and cleanly closed."""
    home = tmp_path_factory.mktemp("template") / "home"
    daemon = processes.start(home)
    try:
        for path in BEFORE:
            for content in (OLDER, OLD):
                assert post(daemon, "/api/files/content", path=path, content=content)[0] == 200
        assert post(daemon, "/api/refresh")[0] == 200
        assert daemon.stop() == 0
    finally:
        daemon.kill()
    return home


@pytest.fixture
def start_copy(
    template: Path, tmp_path: Path, start_daemon: StartDaemon
) -> Callable[[], DaemonProcess]:
    """Starts a daemon on a fresh copy of that home."""
    numbers = iter(range(10**6))

    def start() -> DaemonProcess:
        home = tmp_path / f"home{next(numbers)}"
        shutil.copytree(template, home)
        return start_daemon(home)

    return start


def record(daemon: DaemonProcess, request: Request, output: Path) -> list[Call]:
    traced = f"trace={','.join((*CHANGING, 'sendto'))}"
    with straced(daemon.process.pid, "-y", "-s", "64", "-e", traced, output=output):
        status, answer = request(daemon)
        settle(daemon)
    assert status == 200, answer
    return list(read_calls(output))


def settle(daemon: DaemonProcess) -> None:
    """Returns when the index is up to date and written, too."""
    assert post(daemon, "/api/refresh")[0] == 200


def flushes(disk: tuple[str, str], calls: list[Call]) -> dict[str, int]:
    """How often each path that matters was flushed before the answer."""
    found: Counter[str] = Counter()
    for call in calls:
        if call.name == "sendto" and '"HTTP/1.1 200' in call.arguments:
            break
        path = call.arguments.partition("<")[2].rstrip(">")
        if call.name in ("fsync", "fdatasync") and path.startswith(disk):
            found[path] += 1
    return found


def without(calls: list[Call], path: str) -> list[Call]:
    return [
        call
        for call in calls
        if not (call.name in ("fsync", "fdatasync") and f"<{path}>" in call.arguments)
    ]


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_flushes_in_order_and_killed_at_any_call_loses_nothing(
    start_copy: Callable[[], DaemonProcess],
    tmp_path: Path,
    scale: Scale,
    note_figure: NoteFigure,
    name: str,
) -> None:
    daemon = start_copy()
    calls = record(daemon, REQUESTS[name], tmp_path / "calls")
    disk = (str(daemon.memory_dir), str(daemon.home / "data"))
    daemon.kill()
    needed = check_order(disk, calls, [str(path) for path in folders_in(daemon)])
    note_figure(f"{needed} flushed files and directories, each needed, in order")
    points = points_of(calls)
    chosen = spread(
        points, scale.daemon_syscalls if name in OFTEN or scale.daemon_syscalls > 1 else 0
    )
    results = [killed_at(start_copy(), name, call, nth) for call, nth in chosen]
    kills, acknowledged = map(sum, zip(*results, strict=True)) if results else (0, 0)
    note_figure(
        f"{kills} kills at {len(points)} points, {acknowledged} after the answer: none lost"
    )


def check_order(disk: tuple[str, str], calls: list[Call], folders: list[str]) -> int:
    """All is flushed before it is relied upon, and no flush is idle; how many there are."""
    model = ForgetfulDisk(*disk)
    assert model.run(calls) == []
    assert model.answered
    flushed = flushes(disk, calls)
    needed = [path for path in flushed if ForgetfulDisk(*disk).run(without(calls, path))]
    assert needed, "the model sees what a missing flush would mean"
    # A directory of versions that is there already is flushed once in the life of a process,
    # because whoever made it may have been killed before; nothing of this one depends on it. Nor
    # does anything depend on the data of an empty file, which a rename is recorded by.
    idle = {path for path in set(flushed) - set(needed) if not path.endswith(".blob.tmp")}
    assert idle <= {disk[1], f"{disk[1]}/versions", *folders}
    return len(needed)


def folders_in(daemon: DaemonProcess) -> Iterator[Path]:
    yield daemon.memory_dir
    yield from (path for path in daemon.memory_dir.rglob("*") if path.is_dir())


def points_of(calls: list[Call]) -> list[tuple[str, int]]:
    """Calls to be killed at: those of the thread that saves, in order, then those of all others.

    Each thread counts for itself; the first that comes to the number is the one.
    """
    counts: Counter[tuple[str, str]] = Counter()
    found: dict[str, list[tuple[str, int]]] = {}
    for call in calls:
        if call.name in CHANGING:
            counts[call.thread, call.name] += 1
            point = call.name, counts[call.thread, call.name]
            found.setdefault(call.thread, []).append(point)
    flushing = Counter(call.thread for call in calls if call.name in ("fsync", "fdatasync"))
    saving = next(
        (call.thread for call in calls if call.name == "fsync"), flushing.most_common(1)[0][0]
    )
    rest = [point for thread in found for point in found[thread] if thread != saving]
    return list(dict.fromkeys([*found[saving], *rest]))


def spread(points: list[tuple[str, int]], count: int) -> list[tuple[str, int]]:
    """At most ``count`` of them; of few, those in the midst of the save."""
    if count >= len(points):
        return points
    return points[len(points) // 8 :: max(1, len(points) // 2 // max(1, count))][:count]


def killed_at(daemon: DaemonProcess, name: str, call: str, nth: int) -> tuple[bool, bool]:
    """Whether it was killed there, and whether it had answered; all is checked."""
    done = survived = False
    with (
        contextlib.suppress(OSError, http.client.HTTPException),
        straced(daemon.process.pid, "-e", f"inject={call}:signal=KILL:when={nth}"),
    ):
        done = REQUESTS[name](daemon)[0] == 200
        settle(daemon)
        survived = True
    if survived:
        daemon.kill()
    assert daemon.process.wait(processes.STOP_SECONDS) == -signal.SIGKILL
    again = processes.start(daemon.home)
    try:
        check(again, name, done=done)
    finally:
        again.kill()
    return not survived, done and not survived


def check(daemon: DaemonProcess, name: str, *, done: bool) -> None:
    """All is whole after a start, the index equals the disk, and nothing is left lying about."""
    verified(daemon)
    root = daemon.memory_dir
    assert listed(daemon) == on_disk(root)
    found = {str(path.relative_to(root)): path.read_text() for path in files_in(root)}
    learnt = {path: text for path, text in found.items() if LEARNT.strip() in text}
    services = daemon.request("GET", "/api/services")[1]
    rest = {path: text for path, text in found.items() if path not in learnt}
    assert rest == AFTER[name] if done else rest in (BEFORE, AFTER[name])
    if done and name == "add_knowledge":
        assert list(learnt) == ["birds.md"]
    if done and name == "add_service":
        assert list(services) == ["s"]
    if "a.md" not in rest or rest["a.md"] != OLD:
        assert OLD in kept(daemon) | set(rest.values())
    assert OLDER in kept(daemon) | set(rest.values())
    assert post(daemon, "/api/refresh")[0] == 200
    assert listed(daemon) == on_disk(root)
    left = [path for path in (daemon.home / "data").rglob("*") if path.name.endswith(".tmp")]
    assert not left


def verified(daemon: DaemonProcess) -> None:
    """Waits until the index was compared with the disk, and what a kill left is cleaned up."""
    deadline = time.monotonic() + HEALTHY_SECONDS
    while time.monotonic() < deadline:
        health = daemon.request("GET", "/health")[1]
        # Watching begins when all else of a start is done.
        watching = health["watcher"]["state"] == "native"
        if watching and health["index"]["verified"] and not health["index"]["pending"]:
            return
        time.sleep(0.02)
    pytest.fail(f"not verified after {HEALTHY_SECONDS} s: {daemon.log()}")


def listed(daemon: DaemonProcess) -> set[str]:
    return {item["metadata"]["path"] for item in daemon.request("GET", "/api/files")[1]}


def on_disk(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.name[0] != "."}


def files_in(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_file())


def kept(daemon: DaemonProcess) -> set[str]:
    sidecars = (daemon.home / "data/versions").rglob("*.json")
    blobs = [path.with_suffix(".blob") for path in sidecars if json.loads(path.read_text())["size"]]
    return {blob.read_text() for blob in blobs}
