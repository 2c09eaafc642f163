"""Fixtures that every test has: nothing of the developer's own is read or written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import processes
from tests.processes import DaemonProcess
from tests.scale import SCALES, Scale

StartDaemon = Callable[..., DaemonProcess]
NoteFigure = Callable[[str], None]
_FIGURES = pytest.StashKey[list[str]]()
_FOLDERS = {
    "XDG_CONFIG_HOME": ".config",
    "XDG_DATA_HOME": ".local/share",
    "XDG_STATE_HOME": ".local/state",
    "XDG_CACHE_HOME": ".cache",
    "XDG_RUNTIME_DIR": "run",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--scale",
        choices=list(SCALES),
        default="small",
        help="how much of the long checks in tests/torture is done",
    )
    parser.addoption(
        "--torture-seed",
        type=int,
        default=1,
        help="what the random choices of streams, faults and floods begin with",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Hypothesis: the same few inputs each time, or many that differ, told with their seed."""
    examples = SCALES[config.getoption("--scale")].examples
    small = settings(derandomize=True, database=None, deadline=None)
    large = settings(max_examples=examples, database=None, deadline=None, print_blob=True)
    settings.register_profile("small", small)
    settings.register_profile("large", large)
    settings.load_profile(config.getoption("--scale"))


@pytest.fixture(scope="session")
def scale(request: pytest.FixtureRequest) -> Scale:
    """How much of a long check is to be done."""
    return SCALES[request.config.getoption("--scale")]


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """What a check's random choices begin with; printed, so that a failure can be had again."""
    seed: int = request.config.getoption("--torture-seed")
    print(f"--torture-seed {seed}")  # noqa: T201 - pytest shows it with a failure
    return seed


@pytest.fixture
def note_figure(request: pytest.FixtureRequest) -> NoteFigure:
    """Keeps a line, such as "1000 kills: 0 files lost", for the end of the run."""
    figures = request.config.stash.setdefault(_FIGURES, [])
    return lambda line: figures.append(f"{request.node.name}: {line}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures = terminalreporter.config.stash.get(_FIGURES, [])
    if figures:
        terminalreporter.section("figures")
        for line in figures:
            terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home of the test's own; ``SGOPED_HOME`` is ``home / "sgoped"``."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):  # noqa: TID251 - tests clear it
        if processes.is_foreign(name):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SGOPED_HOME", str(home / "sgoped"))
    for name, folder in _FOLDERS.items():
        monkeypatch.setenv(name, str(home / folder))
    (home / "run").mkdir(mode=0o700)
    return home


@pytest.fixture
def start_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartDaemon]:
    """Starts real daemons on a free port, and ends them after the test.

    ``start_daemon()`` gives a new home; ``start_daemon(home=...)`` an earlier one;
    ``arguments`` and ``environment`` are passed on. Returns once it answers requests.
    """
    started: list[DaemonProcess] = []

    def start(home: Path | None = None, **options: object) -> DaemonProcess:
        root = home or tmp_path_factory.mktemp("daemon") / "home"
        daemon = processes.start(root, **options)  # type: ignore[arg-type]
        started.append(daemon)
        return daemon

    yield start
    for daemon in started:
        daemon.kill()


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> DaemonProcess:
    """One running daemon with an empty memory folder and no service."""
    return start_daemon()
