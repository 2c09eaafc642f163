"""GET /api/index: where each file stands and why, on a real daemon."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import Any
from urllib.parse import quote

from tests.conftest import StartDaemon
from tests.processes import DaemonProcess

LIMIT_BYTES = 20_000


def listing(daemon: DaemonProcess, query: str = "") -> dict[str, Any]:
    status, answer = daemon.request("GET", f"/api/index?limit=1000{query}")
    assert status == 200
    return dict(answer)


def test_every_file_has_a_state_and_a_reason_and_the_counts_add_up(
    start_daemon: StartDaemon,
) -> None:
    daemon = start_daemon(environment={"SGOPED_MAX_INDEX_BYTES": str(LIMIT_BYTES)})
    root = daemon.memory_dir
    (root / "sub").mkdir()
    (root / "plain.txt").write_text("heron")
    (root / "sub" / "empty.md").touch()
    (root / "program").write_bytes(b"\x7fELF\0\0")
    (root / "photo.png").write_bytes(b"\x89PNG\0")
    (root / ".hidden").write_text("x")
    (root / "long.txt").write_text("stork\n" + "filler\n" * 5_000 + "crane\n")
    # Larger than what can be read or written over the API: its beginning is found all the same.
    (root / "huge.txt").write_text("egret\n" * 10)
    os.truncate(root / "huge.txt", 40 * 2**20)
    (root / "huge.log").write_bytes(b"bittern\n" * 33 * 2**17)
    assert daemon.request("POST", "/api/refresh", {})[0] == 200
    answer = listing(daemon)
    told = {file["path"]: (file["state"], file["reason"]) for file in answer["files"]}
    sizes = {name: (root / name).stat().st_size for name in ("long.txt", "huge.log")}
    assert told == {
        "plain.txt": ("indexed", ""),
        "sub/empty.md": ("indexed", ""),
        "program": ("skipped", "binary"),
        "photo.png": ("skipped", "image"),
        ".hidden": ("skipped", "hidden: found by its name only"),
        "long.txt": ("indexed", f"only the first {LIMIT_BYTES} of {sizes['long.txt']} bytes"),
        "huge.txt": ("skipped", "binary"),
        "huge.log": ("indexed", told["huge.log"][1]),
    }
    assert told["huge.log"][1].endswith(f"of {sizes['huge.log']} bytes")
    assert Counter(state for state, _ in told.values()) == +Counter(answer["counts"])
    for state, count in answer["counts"].items():
        assert len(listing(daemon, f"&state={state}")["files"]) == count
    assert [hit["path"] for hit in daemon.request("GET", "/api/search?q=stork")[1]["hits"]] == [
        "long.txt"
    ]
    assert daemon.request("GET", "/api/search?q=crane")[1]["hits"] == []


def test_pages_meet_every_file_once(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    names = sorted(f"{word}{number:02}.txt" for word in ("a", "é", "会") for number in range(7))
    for name in names:
        (daemon.memory_dir / name).write_text(name)
    assert daemon.request("POST", "/api/refresh", {})[0] == 200
    seen: list[str] = []
    while page := daemon.request("GET", f"/api/index?limit=4&after={quoted(seen)}")[1]["files"]:
        seen += [file["path"] for file in page]
    assert seen == names


def quoted(seen: list[str]) -> str:
    return quote(seen[-1]) if seen else ""


def test_a_pending_file_is_told_as_such_and_settles_by_itself(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    for number in range(3_000):
        (daemon.memory_dir / f"f{number}.txt").write_text(f"word{number}\n" * 100)
    states: Counter[str] = Counter()
    counts: dict[str, int] = {}
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        counts = listing(daemon)["counts"]
        states.update(state for state, count in counts.items() if count)
        if counts["indexed"] == 3_000:
            break
    assert states["pending"] > 0
    assert counts == {"indexed": 3_000, "pending": 0, "skipped": 0, "failed": 0}
