"""Child processes of a benchmark: started with a clean environment, waited for, and ended."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 120.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.002
_FOREIGN = ("SGOPED_", "XDG_", "OPENAI_", "OLLAMA_", "NOTIFY_", "WATCHDOG_", "DEFAULT_MODEL")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def clean_environment(home: Path) -> dict[str, str]:
    """This process's variables without any that would change what is measured."""
    everything = os.environ  # noqa: TID251 - what a child inherits is decided here
    kept = {
        name: value
        for name, value in everything.items()
        if not name.upper().startswith(_FOREIGN) and name.lower() not in _PROXIES
    }
    return kept | {"HOME": str(home), "PYTHONPATH": str(REPOSITORY)}


def python(*arguments: str) -> list[str]:
    """A command of this interpreter that imports nothing from the current directory."""
    return [sys.executable, "-P", *arguments]


@contextmanager
def child(command: Sequence[str], home: Path, log_name: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``command`` for as long as the block lasts; what it prints goes to ``log_name`` in home."""
    with (home / log_name).open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=home,
            env=clean_environment(home),
        )
        try:
            yield process
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass(frozen=True, slots=True)
class Served:
    """A process that answers on loopback.

    Attributes:
        pid: Of the process.
        port: On 127.0.0.1.
        started_at: ``time.perf_counter()`` just before it was started.
    """

    pid: int
    port: int
    started_at: float

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def request(
        self, method: str, path: str, body: object = None, seconds: float = START_SECONDS
    ) -> Any:
        """One call on a connection of its own, answered within ``seconds``; the parsed JSON.

        Raises:
            RuntimeError: The status is not 2xx.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        with contextlib.closing(connection):
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
        if response.status // 100 != 2:
            raise RuntimeError(f"{method} {path}: {response.status} {text[:200]!r}")
        return json.loads(text)

    @staticmethod
    def query(path: str, **parameters: object) -> str:
        """``path`` with a query string."""
        return f"{path}?{urlencode(parameters)}"

    def await_index(self, seconds: float = START_SECONDS) -> float:
        """Wait until the index is known to equal the disk.

        Returns:
            Seconds since the process was started.

        Raises:
            TimeoutError: It was not within ``seconds``.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            index = self.request("GET", "/health")["index"]
            if index["verified"] and not index["pending"]:
                return time.perf_counter() - self.started_at
            # Seldom while there is much to do, so as not to hold up what is waited for.
            time.sleep(min(0.25, max(5 * POLL_SECONDS, index["pending"] / 20_000)))
        raise TimeoutError(f"the index was not ready after {seconds:.0f} s")

    def await_contents(self, seconds: float = START_SECONDS) -> float:
        """Wait, after a first indexing, until the last content can be found as well.

        Returns, raises:
            As ``await_index``.
        """
        self.await_index(seconds)
        self.request("POST", "/api/refresh", seconds=seconds)
        return time.perf_counter() - self.started_at


@contextmanager
def daemon(home: Path, memory_dir: Path) -> Iterator[Served]:
    """The daemon as a person starts it, once it answers."""
    command = python("-m", "sgoped", "serve", "--log-level", "warning")
    with _served(command, home, memory_dir) as served:
        yield served


@contextmanager
def bench_server(home: Path, memory_dir: Path, *options: str) -> Iterator[Served]:
    """The same application with bare routes beside its own; see ``server``."""
    with _served(python("-m", "scripts.benchmarks.server", *options), home, memory_dir) as served:
        yield served


@contextmanager
def _served(command: Sequence[str], home: Path, memory_dir: Path) -> Iterator[Served]:
    places = ["--home", str(home), "--memory-dir", str(memory_dir), "--port", "0"]
    server_file = home / "runtime" / "server.json"
    server_file.unlink(missing_ok=True)
    started_at = time.perf_counter()
    with child([*command, *places], home, "daemon.log") as process:
        url = _await_server_file(process, server_file, home / "daemon.log")
        yield Served(process.pid, int(url.rpartition(":")[2]), started_at)


def _await_server_file(process: subprocess.Popen[bytes], path: Path, log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            return str(json.loads(path.read_text("utf-8"))["url"])
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"the daemon did not start:\n{log.read_text('utf-8', 'replace')[-2000:]}")


def run_seconds(command: Sequence[str], home: Path) -> float:
    """Seconds that a whole process takes.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    started_at = time.perf_counter()
    subprocess.run(
        command,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        cwd=home,
        env=clean_environment(home),
    )
    return time.perf_counter() - started_at
