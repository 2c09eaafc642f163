"""P11: for how long the event loop is held up while the daemon has other things to do."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from string import ascii_lowercase
from time import sleep

from scripts.benchmarks.bench import FIRST_INDEX_SECONDS, Bench
from scripts.benchmarks.processes import Served, bench_server, child, python
from scripts.benchmarks.relaying import await_port
from scripts.benchmarks.samples import percentile
from scripts.benchmarks.table import Goal, Row
from scripts.benchmarks.tree import SCRATCH_FOLDER

LARGE_BYTES = 20_000_000
HUNG_SECONDS = 3.0
IDLE_SECONDS = 2.0
MS = 1e3
CONTEXT = "context of 20 files of 1 MB"
CONTEXT_FILES = 20
CONTEXT_BYTES = 1_000_000
MAX_CONTEXT_GAP_MS = 50
ANSWER_SECONDS = 60.0


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
        gaps[CONTEXT] = _ask_with_files(served, home)
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
        for name, measure, most in measures:
            limit = MAX_CONTEXT_GAP_MS if what == CONTEXT else most
            yield Row(
                "P11",
                f"loop held up, {what}, {name}",
                measure(samples) * MS,
                measure(idle) * MS,
                "ms",
                Goal("value", limit),
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


def _ask_with_files(served: Served, home: Path) -> list[float]:
    """Ask a model about large files; the gaps from the question to the end of the answer."""
    random = Random(1)
    words = ["".join(random.choices(ascii_lowercase, k=random.randint(2, 9))) for _ in range(5000)]
    model = "burst-10"
    with child(python("-m", "scripts.benchmarks.upstream"), home, "upstream.log"):
        url = f"http://127.0.0.1:{await_port(home)}/v1"
        config = {"name": "bench", "api_key": "", "base_url": url, "models": [model]}
        service = {"service_id": "bench", "service_type": "openai", "config": config}
        served.request("POST", "/api/services/add", service)
        for number in range(CONTEXT_FILES):
            lines = (" ".join(random.choices(words, k=12)) for _ in range(CONTEXT_BYTES // 78))
            body = {"path": _context_path(number), "content": "\n".join(lines)}
            served.request("POST", "/api/files/content", body)
        served.request("POST", "/api/refresh", seconds=FIRST_INDEX_SECONDS)
        sleep(IDLE_SECONDS)
        _gaps(served)
        named = " ".join(f"@{_context_path(number)}" for number in range(CONTEXT_FILES))
        question = {"message": f"Where are {' '.join(words[:8])} in {named}?", "attachments": []}
        _read_stream(served, {**question, "model": model, "stream_id": ""})
        return _gaps(served)


def _context_path(number: int) -> str:
    return f"{SCRATCH_FOLDER}/context_{number}.txt"


def _read_stream(served: Served, body: dict[str, object]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=ANSWER_SECONDS)
    with closing(connection):
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/api/chat/stream", json.dumps(body), headers)
        text = connection.getresponse().read()
    if b'"complete"' not in text:
        raise RuntimeError(f"the answer is not whole: {text[-300:]!r}")


@contextmanager
def _silent_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])
