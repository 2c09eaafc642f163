"""The OpenAPI document is true: generated requests meet it on a real daemon, without one 5xx.

Once over an empty daemon, with requests valid and invalid, and sequences of them; once over one
that has files, versions and a service, so that most answers are 2xx. ``/api/events`` never ends:
``tests/web/test_events.py`` and ``test_sse.py`` speak to it instead.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import NoteFigure, StartDaemon
from tests.processes import DaemonProcess, clean_environment
from tests.scale import SCALES, Scale

ROOT = Path(__file__).parents[2]
OPTIONS = (
    "--exclude-path=/api/events",
    # Which paths are safe, which addresses can be a service and which ids are known is more than
    # a schema can say, so a request that fits the schema may still be refused (400, 403, 404).
    "--exclude-checks=positive_data_acceptance",
    "--request-timeout=30",
    "--continue-on-failure",
    # Two threads trip over each other in this Python's parser (SystemError in ast.parse).
    "--workers=1",
    "--no-color",
)
SECRET = "the canary sings outside of the cage"
SECONDS_FOR_EACH = 4.0


def run_schemathesis(
    daemon: DaemonProcess, scale: Scale, folder: Path, told: Mapping[str, Any], *options: str
) -> tuple[str, dict[str, Any]]:
    """Run the command; returns what it printed and what its hooks counted."""
    seed = 1 if scale == SCALES["small"] else random.SystemRandom().randrange(2**32)
    world = folder / "world.json"
    world.write_text(json.dumps({"report": str(folder / "report.json"), "secret": SECRET, **told}))
    environment = clean_environment(folder) | {
        "SCHEMATHESIS_HOOKS": "tests.torture.schemathesis_hooks",
        "SGOPED_TEST_WORLD": str(world),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{daemon.url}/openapi.json"]
    sizes = [f"--max-examples={scale.api_examples}", f"--seed={seed}"]
    finished = subprocess.run(
        [*command, *OPTIONS, *sizes, *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110 + scale.api_examples * SECONDS_FOR_EACH,
        check=False,
    )
    told_all = f"--seed={seed}\n{finished.stdout[-20_000:]}{finished.stderr[-2_000:]}"
    assert finished.returncode == 0, told_all
    return finished.stdout, json.loads((folder / "report.json").read_text())


def figures_of(printed: str) -> str:
    seed = re.search(r"Seed: (\d+)", printed)
    operations = re.search(r"Tested: (\d+)", printed)
    cases = re.search(r"(\d+) generated, (\d+) passed", printed)
    assert seed is not None
    assert operations is not None
    assert cases is not None
    failed = int(cases[1]) - int(cases[2])
    return f"{operations[1]} operations, {cases[1]} cases, {failed} failures (seed {seed[1]})"


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


@contextlib.contextmanager
def unharmed(daemon: DaemonProcess) -> Iterator[None]:
    """Whatever is asked meanwhile: nothing outside is touched, nothing is left over, all is well."""
    neighbours = daemon.memory_dir.parent
    for outside in (neighbours / "short_term-evil", neighbours / "outside", daemon.home.parent):
        outside.mkdir(exist_ok=True)
        (outside / "canary.txt").write_text(SECRET)
    (daemon.memory_dir / "link.txt").symlink_to(neighbours / "outside" / "canary.txt")
    (daemon.memory_dir / "linked").symlink_to(neighbours / "outside")
    folders = (neighbours / "short_term-evil", neighbours / "outside")
    before = [snapshot(folder) for folder in folders]
    around = {path.name for path in (*daemon.home.parent.iterdir(), *neighbours.iterdir())}
    yield
    assert [snapshot(folder) for folder in folders] == before
    assert (daemon.home.parent / "canary.txt").read_text() == SECRET
    left = {path.name for path in (*daemon.home.parent.iterdir(), *neighbours.iterdir())}
    assert left - {"world.json", "report.json", ".hypothesis"} == around
    assert not list(daemon.memory_dir.rglob(".sgoped-*"))
    assert daemon.request("POST", "/api/refresh")[0] == 200
    status, health = daemon.request("GET", "/health")
    assert (status, health["status"]) == (200, "healthy"), health
    log = daemon.log()
    for sign in ("Traceback", "unexpected"):
        assert sign not in log, log[max(0, log.find(sign) - 500) :][:5_000]


def test_generated_requests_find_no_5xx_and_no_violation(
    start_daemon: StartDaemon, tmp_path: Path, scale: Scale, note_figure: NoteFigure
) -> None:
    daemon = start_daemon(environment={"SGOPED_CONNECT_TIMEOUT_SECONDS": "1"})
    with unharmed(daemon):
        printed, report = run_schemathesis(daemon, scale, tmp_path, {})
    note_figure(figures_of(printed))
    assert not report["leaks"]


@pytest.fixture
def upstream() -> Iterator[str]:
    """The address of a service that answers."""
    command = [sys.executable, "-m", "tests.fakes.upstream", "--port=0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


# These need no luck: over a daemon with something in it, all that is asked well succeeds.
ALWAYS = 0.99
SHARES = {
    "DELETE /api/conversations/{conversation_id}": 0.3,
    "DELETE /api/enrichments/{enrichment_id}": 0.3,
    "DELETE /api/files/content": 0.3,
    "DELETE /api/runs/{run_id}": 0.3,
    "DELETE /api/services/{service_id}": 0.3,
    "GET /api/conversations/{conversation_id}": 0.3,
    "GET /api/files/content": 0.3,
    "GET /api/files/versions": 0.3,
    "GET /api/models/{model_id}/health": 0.3,
    "PATCH /api/conversations/{conversation_id}": 0.3,
    "GET /api/runs/{run_id}": 0.3,
    "GET /api/runs/{run_id}/events": 0.3,
    "POST /api/actions/execute": 0.3,
    "POST /api/conversations/{conversation_id}/export": 0.2,
    "POST /api/conversations/{conversation_id}/fork": 0.3,
    # A local model takes the place of one that is gone, and is done before anybody can retry.
    "POST /api/enrichments/{enrichment_id}/retry": 0.0,
    "POST /api/files/content": 0.3,
    "POST /api/files/rename": 0.2,
    "POST /api/files/restore": 0.2,
    "POST /api/models/default": 0.3,
    "POST /api/runs/{run_id}/stop": 0.3,
    "POST /api/services/add": 0.3,
    "PUT /api/services/{service_id}": 0.3,
}


def test_requests_that_mean_something_succeed_and_fit_the_document(
    start_daemon: StartDaemon,
    tmp_path: Path,
    scale: Scale,
    note_figure: NoteFigure,
    upstream: str,
) -> None:
    daemon = start_daemon(environment={"SGOPED_CONNECT_TIMEOUT_SECONDS": "1"})
    for number in range(60):
        body = {"path": f"notes/{number}.md", "content": f"# Note {number}\nabout bread and water"}
        assert daemon.request("POST", "/api/files/content", body)[0] == 200
    for kind, config in (
        ("ollama", {"name": "Own", "host": upstream}),
        ("openai", {"name": "Far", "base_url": f"{upstream}/v1", "api_key": "sk-1"}),
    ):
        service = {"service_id": kind, "service_type": kind, "config": config}
        assert daemon.request("POST", "/api/services/add", service)[0] == 200
    with unharmed(daemon):
        told = {
            "url": daemon.url,
            "memory_dir": str(daemon.memory_dir),
            "upstream": upstream,
            "traps": [
                "../outside/canary.txt",
                "link.txt",
                "linked/canary.txt",
                ".f:..%2Foutside/canary.txt",
                "notes/../../short_term-evil/canary.txt",
                str(daemon.memory_dir.parent / "outside" / "canary.txt"),
                "../../../../canary.txt",
            ],
        }
        options = ("--mode=positive", "--phases=examples,fuzzing")
        printed, report = run_schemathesis(daemon, scale, tmp_path, told, *options)
    note_figure(figures_of(printed))
    assert not report["leaks"]
    shares = dict(sorted(success(report["statuses"])))
    told_shares = ", ".join(f"{label} {share:.0%}" for label, share in shares.items())
    note_figure(f"answered with 2xx: {told_shares}")
    low = {label: share for label, share in shares.items() if share < SHARES.get(label, ALWAYS)}
    assert not low, report["statuses"]
    assert len(shares) > 30


def success(statuses: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[str, float]]:
    """The share of 2xx among the answers of each operation."""
    for label, counts in statuses.items():
        yield (
            label,
            sum(n for status, n in counts.items() if status[0] == "2") / sum(counts.values()),
        )
