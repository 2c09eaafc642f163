"""One daemon for all tests of the command line, with a service that is a fake."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import processes
from tests.processes import DaemonProcess

Sgoped = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A running daemon with three files and no service."""
    home = tmp_path_factory.mktemp("cli") / "home"
    memory = home / "data" / "memory" / "short_term"
    (memory / "src").mkdir(parents=True)
    (memory / "garden.md").write_text("# Garden\n\nThe tulips need water in April.\n")
    (memory / "src" / "plan.py").write_text("def plan() -> None: ...\n")
    (memory / "odd\x1b[31mname.txt").write_text("a name that steers terminals")
    daemon = processes.start(home)
    daemon.request("POST", "/api/refresh", {})
    yield daemon
    daemon.kill()


@pytest.fixture
def sgoped(served: DaemonProcess, tmp_path: Path) -> Sgoped:
    """Runs the real command against that daemon, with ``tmp_path`` as working directory."""

    def run(
        *arguments: str, given: str = "", environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "sgoped", *arguments],
            input=given,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=processes.clean_environment(served.home)
            | {"SGOPED_HOME": str(served.home)}
            | (environment or {}),
            timeout=60,
            check=False,
        )

    return run
