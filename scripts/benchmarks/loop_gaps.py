"""P11: for how long the event loop is held up while the daemon has other things to do."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import sleep

from scripts.benchmarks.bench import FIRST_INDEX_SECONDS, Bench
from scripts.benchmarks.processes import Served, bench_server, child, python
from scripts.benchmarks.relaying import await_upstream
from scripts.benchmarks.samples import percentile
from scripts.benchmarks.table import Goal, Row
from scripts.benchmarks.tree import SCRATCH_FOLDER

LARGE_BYTES = 20_000_000
HUNG_SECONDS = 3.0
CONTEXT = "context of 20 files of 1 MB"
CONTEXT_FILES = 20
CONTEXT_BYTES = 1_000_000
MODEL = "burst-50"
IDLE_SECONDS = 2.0
ANSWER_SECONDS = 120.0
MS = 1e3


def measure_gaps(bench: Bench) -> Iterator[Row]:
    """P11: p99 and the longest of each occupation; the baseline is the same server at rest."""
    gaps: dict[str, list[float]] = {}
    home, root = bench.new_home(), bench.tree.root
    bench.say("P11: gaps of the event loop")
    with bench_server(home, root, "--sample-gaps") as served:
        served.await_contents(FIRST_INDEX_SECONDS)
        gaps["first indexing"] = _gaps(served)
        sleep(IDLE_SECONDS)
        idle = _gaps(served)
        _save_large(served)
        gaps["save of 20 MB"] = _gaps(served)
        _test_hung_service(served)
        gaps["test of a hung service"] = _gaps(served)
        with _context(bench, served) as names:
            _gaps(served)
            _ask(served, names)
            gaps[CONTEXT] = _gaps(served)
    shutil.rmtree(home / "cache" / "index")
    with bench_server(home, root, "--sample-gaps") as served:
        served.await_contents(FIRST_INDEX_SECONDS)
        gaps["rebuild of the index"] = _gaps(served)
    shutil.rmtree(bench.tree.scratch, ignore_errors=True)
    measures: tuple[tuple[str, Callable[[list[float]], float], float], ...] = (
        ("p99", lambda samples: percentile(samples, 0.99), 50),
        ("longest", max, 250),
    )
    for what, samples in gaps.items():
        for name, measure, limit in measures:
            yield Row(
                "P11",
                f"loop held up, {what}, {name}",
                measure(samples) * MS,
                measure(idle) * MS,
                "ms",
                Goal("value", 50 if what == CONTEXT else limit),
                f"{len(samples)} samples",
            )


def _gaps(served: Served) -> list[float]:
    return [float(gap) for gap in served.request("GET", "/bench/gaps")]


def _save_large(served: Served) -> None:
    line = "A line of a large file that somebody saves.\n"
    content = line * (LARGE_BYTES // len(line))
    body = {"path": f"{SCRATCH_FOLDER}/large.txt", "content": content}
    served.request("POST", "/api/files/content", body)


def _test_hung_service(served: Served) -> None:
    """Have a service tested that takes connections and says nothing."""
    with _silent_port() as port:
        config = {
            "name": "hung",
            "api_key": "",
            "base_url": f"http://127.0.0.1:{port}/v1",
            "models": [],
        }
        body = {"service_type": "openai", "config": config}
        asked = threading.Thread(
            target=served.request, args=("POST", "/api/services/test", body), daemon=True
        )
        asked.start()
        sleep(HUNG_SECONDS)
    asked.join()


@contextmanager
def _context(bench: Bench, served: Served) -> Iterator[list[str]]:
    """Files to send along, by name, and a model to send them to."""
    home = bench.new_home()
    paths = [f"{SCRATCH_FOLDER}/context {number}.md" for number in range(CONTEXT_FILES)]
    for number, path in enumerate(paths):
        lines = (
            f"## Part {at}\n\nWhat was said of {number}, {at * 7919} times.\n"
            for at in range(25_000)
        )
        file = bench.tree.root / path
        file.parent.mkdir(exist_ok=True)
        file.write_text("".join(lines)[:CONTEXT_BYTES])
    with child(python("-m", "scripts.benchmarks.upstream"), home, "upstream.log"):
        url = f"http://127.0.0.1:{await_upstream(home)}/v1"
        config = {"name": "context", "api_key": "", "base_url": url, "models": [MODEL]}
        body = {"service_id": "context", "service_type": "openai", "config": config}
        served.request("POST", "/api/services/add", body)
        served.await_contents(FIRST_INDEX_SECONDS)
        yield paths


def _ask(served: Served, paths: list[str]) -> None:
    attachments = [{"type": "file", "name": path} for path in paths]
    body = {"message": "What was said 7919 times?", "attachments": attachments, "model": MODEL}
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=ANSWER_SECONDS)
    with contextlib.closing(connection):
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/api/chat/stream", json.dumps(body), headers)
        events = connection.getresponse().read()
    if b'"type":"complete"' not in events:
        raise RuntimeError(f"the answer failed: {events[-300:]!r}")


@contextmanager
def _silent_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])
