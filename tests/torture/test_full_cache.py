"""A full cache directory costs no file and no suggestion, and heals by itself."""

from __future__ import annotations

import time

import pytest

from tests import processes
from tests.conftest import NoteFigure
from tests.disks import full, small_disk
from tests.processes import DaemonProcess
from tests.scale import Scale

# An index that broke several times is left alone for a minute; see ``memory.kept``.
HEALED_SECONDS = 150.0


def save(daemon: DaemonProcess, path: str, content: str) -> int:
    body = {"path": path, "content": content}
    return daemon.request("POST", "/api/files/content", body)[0]


def suggested(daemon: DaemonProcess, query: str) -> list[str]:
    return [item["label"] for item in daemon.request("GET", f"/api/files?q={query}")[1]]


def test_files_and_suggestions_go_on_while_the_cache_is_full(
    tmp_path_factory: pytest.TempPathFactory, scale: Scale, note_figure: NoteFigure
) -> None:
    home = tmp_path_factory.mktemp("cached") / "home"
    with small_disk(home / "cache", 8):
        daemon = processes.start(home)
        try:
            for number in range(20):
                assert save(daemon, f"before{number}.md", f"word{number} and more\n") == 200
            with full(home / "cache"):
                for number in range(20):
                    assert save(daemon, f"meanwhile{number}.md", f"other{number}\n" * 200) == 200
                assert suggested(daemon, "before7")[0] == "before7.md"
                assert daemon.request("GET", "/health")[0] == 200
            freed_at = time.monotonic()
            if scale.daemon_syscalls > 1:  # it takes more than a minute
                await_healed(daemon)
                note_figure(
                    f"healed {time.monotonic() - freed_at:.0f} s after there was space again"
                )
            assert daemon.stop() == 0
            # Where it was ended before it healed, the next start heals it.
            daemon = processes.start(home)
            await_healed(daemon)
            assert daemon.stop() == 0
        finally:
            daemon.kill()


def await_healed(daemon: DaemonProcess) -> None:
    deadline = time.monotonic() + HEALED_SECONDS
    while daemon.request("POST", "/api/refresh", {})[0] != 200:
        assert time.monotonic() < deadline, daemon.log()
        time.sleep(0.5)
    assert suggested(daemon, "meanwhile7")[0] == "meanwhile7.md"
    hits = daemon.request("GET", "/api/search?q=other13")[1]["hits"]
    assert hits[0]["path"] == "meanwhile13.md"
