"""Whether a daemon runs on this data directory: its lock, its announcement, its answer.

Looking takes no lock that a starting daemon would meet, but for an instant.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

from sgoped.paths import Paths

_MAX_BYTES = 65_536
HEALTH_SECONDS = 5.0
READ_SECONDS = 10.0


class Unanswered(Exception):  # noqa: N818 - reads as the fact it reports
    """The daemon does not answer, or refuses."""


class Asked(Protocol):
    """One address that can be asked."""

    def __call__(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, timeout: float
    ) -> Any:
        """Send one request, and wait for so many seconds.

        Raises:
            Unanswered: Nothing, or an error, came back.
        """
        ...


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running daemon, asked over HTTP; every call may raise ``Unanswered``.

    Attributes:
        url: Where it listens.
        ask: Sends a request there.
    """

    url: str
    ask: Asked

    def get(self, path: str, /, **query: object) -> Any:
        """Read."""
        asked = f"{path}?{urlencode(query)}" if query else path
        return self.ask("GET", asked, timeout=READ_SECONDS)

    def health(self) -> dict[str, Any]:
        """How it is."""
        health = self.ask("GET", "/health", timeout=HEALTH_SECONDS)
        if not isinstance(health, dict) or "watcher" not in health:
            raise Unanswered("it is not sgoped")
        return health

    def post(self, path: str, body: Mapping[str, Any], seconds: float) -> Any:
        """Send."""
        return self.ask("POST", path, body, timeout=seconds)


class Connect(Protocol):
    """Makes one address askable."""

    def __call__(
        self, url: str, socket_file: Path | None = None, *, trusted: bool = False
    ) -> Asked:
        """Ask there.

        Args:
            url: Where it listens on TCP.
            socket_file: Its unix socket, which is tried first.
            trusted: Whether it is the daemon, and no other program that has its port.
        """
        ...


@dataclass(frozen=True, slots=True)
class Instance:
    """What there is of a daemon.

    Attributes:
        held: Whether its lock is held.
        told: What the lock's file says: ``{pid, url, memory_dir}`` of the present or last holder.
        announced: What ``server.json`` says; empty when there is none or it is not ours.
        daemon: To ask it, when it answers.
        health: What it answered.
        memory_dir: The folder it watches, or the last one did, as far as it has told.
    """

    held: bool = False
    told: Mapping[str, Any] = field(default_factory=dict)
    announced: Mapping[str, Any] = field(default_factory=dict)
    daemon: Daemon | None = None
    health: Mapping[str, Any] = field(default_factory=dict)
    memory_dir: Path | None = None

    @property
    def running(self) -> bool:
        """Whether a daemon uses the data, so that nobody else may change it."""
        return self.held or self.daemon is not None


def find_instance(paths: Paths, connect: Connect) -> Instance:
    """Look for a daemon on this data directory."""
    held, told = is_held(paths.lock_file), read_object(paths.lock_file)
    announced = read_object(paths.server_file)
    folder = told.get("memory_dir")
    watched = paths.data_dir / folder if isinstance(folder, str) and folder else None
    listening = announced.get("socket")
    socket_file = Path(listening) if isinstance(listening, str) else None
    urls = [announced.get("url"), told.get("url") if held else None]
    for url in dict.fromkeys(urls):
        if isinstance(url, str) and url:
            beside = socket_file if url == urls[0] else None
            daemon = Daemon(url, connect(url, beside, trusted=held))
            with suppress(Unanswered):
                health = daemon.health()
                # Without the lock, whoever answers there may serve other data.
                if held or health.get("pid") == announced.get("pid"):
                    return Instance(held, told, announced, daemon, health, watched)
    return Instance(held, told, announced, memory_dir=watched)


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a regular file of our own; empty when it is not there or none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, encoding="utf-8") as file:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid():
                return {}
            content = json.loads(file.read(_MAX_BYTES))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
