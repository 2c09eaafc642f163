"""A real daemon process with a home of its own, for tests that need the whole thing."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START_SECONDS = 60.0
STOP_SECONDS = 20.0
_FOREIGN = ("SGOPED_", "XDG_", "OPENAI_", "OLLAMA_", "NOTIFY_", "WATCHDOG_", "DEFAULT_MODEL")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def is_foreign(name: str) -> bool:
    """Whether a variable of the developer's own environment would change what is tested."""
    return name.upper().startswith(_FOREIGN) or name.lower() in _PROXIES


def clean_environment(home: Path) -> dict[str, str]:
    """This process's variables without any that sgoped reads, and ``home`` as HOME."""
    everything = os.environ  # noqa: TID251 - what a child inherits is decided here
    kept = {name: value for name, value in everything.items() if not is_foreign(name)}
    return kept | {"HOME": str(home)}


@dataclass
class DaemonProcess:
    """A running ``sgoped serve``.

    Attributes:
        process: The child; its standard error goes to ``log_file``.
        home: What was given as ``--home``.
        log_file: Everything it printed.
        server: The content of its ``server.json``.
    """

    process: subprocess.Popen[bytes]
    home: Path
    log_file: Path
    server: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return str(self.server["url"])

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    @property
    def memory_dir(self) -> Path:
        """The default one; a test that gives another knows it."""
        return self.home / "data" / "memory" / "short_term"

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def request(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """One call, as the front end makes it; answers with status and parsed JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            data = None if body is None else json.dumps(body)
            sent = {"Content-Type": "application/json", **(headers or {})}
            connection.request(method, path, body=data, headers=sent)
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        """Sends the signal, unless it has ended, and waits for the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        return self.process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """As a crash would."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(STOP_SECONDS)


def spawn(
    home: Path,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    *,
    port: int = 0,
    wrapper: Sequence[str] = (),
) -> DaemonProcess:
    """Starts a daemon without waiting for it; ``wrapper`` is a command that executes it."""
    home.mkdir(parents=True, exist_ok=True)
    log_file = home.parent / f"{home.name}.log"
    command = [*wrapper, sys.executable, "-m", "sgoped", "serve"]
    command += ["--home", str(home), "--port", str(port), *arguments]
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=home,
            env=clean_environment(home) | dict(environment or {}),
        )
    return DaemonProcess(process, home, log_file)


def start(
    home: Path,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    *,
    port: int = 0,
    wrapper: Sequence[str] = (),
) -> DaemonProcess:
    """Starts a daemon and returns once it has said that it answers.

    Raises:
        RuntimeError: It ended, or said nothing in time; with what it printed.
    """
    with _notify_socket() as (listener, name):
        told = {"NOTIFY_SOCKET": name, **(environment or {})}
        daemon = spawn(home, arguments, told, port=port, wrapper=wrapper)
        try:
            _await_ready(daemon, listener)
            text = (home / "runtime" / "server.json").read_text("utf-8")
            daemon.server = json.loads(text)
        except BaseException:
            daemon.kill()
            raise
    return daemon


@contextlib.contextmanager
def _notify_socket() -> Iterator[tuple[socket.socket, str]]:
    with (
        tempfile.TemporaryDirectory(prefix="sgoped-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener,
    ):
        name = f"{folder}/notify"
        listener.bind(name)
        yield listener, name


def _await_ready(daemon: DaemonProcess, listener: socket.socket) -> None:
    """Woken by the message or by the end of the process, whichever comes first."""
    deadline = time.monotonic() + START_SECONDS
    with os.fdopen(os.pidfd_open(daemon.process.pid)) as ended:
        while (left := deadline - time.monotonic()) > 0:
            readable, _, _ = select.select([listener.fileno(), ended.fileno()], [], [], left)
            if listener.fileno() in readable:
                if b"READY=1" in listener.recv(4096).split(b"\n"):
                    return
            elif readable:
                code = daemon.process.wait()
                raise RuntimeError(f"sgoped ended with {code} before it was ready:\n{daemon.log()}")
    raise RuntimeError(f"sgoped was not ready after {START_SECONDS} s:\n{daemon.log()}")
