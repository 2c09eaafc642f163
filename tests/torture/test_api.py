"""The OpenAPI document is true: generated requests meet it on a real daemon, without one 5xx."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import StartDaemon
from tests.processes import clean_environment

ROOT = Path(__file__).parents[2]
OPTIONS = (
    # an event stream never ends by itself
    "--exclude-path=/api/events",
    # which paths are safe, and which addresses can be a service, is more than a schema can say
    "--exclude-checks=positive_data_acceptance",
    "--max-examples=8",
    "--seed=1",
    "--request-timeout=20",
    "--continue-on-failure",
)


def test_generated_requests_find_no_5xx_and_no_violation(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    daemon = start_daemon(environment={"SGOPED_CONNECT_TIMEOUT_SECONDS": "1"})
    environment = clean_environment(tmp_path) | {
        "SCHEMATHESIS_HOOKS": "tests.torture.schemathesis_hooks",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{daemon.url}/openapi.json"]
    finished = subprocess.run(
        [*command, *OPTIONS],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout[-20_000:] + finished.stderr[-2_000:]
    assert " passed" in finished.stdout
    assert "Traceback" not in daemon.log()
