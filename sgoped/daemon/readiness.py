"""Telling that requests are answered: to systemd, and in ``server.json`` to clients.

The protocol is sd_notify(3): newline-separated assignments in one datagram.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sgoped.config import ServiceManager

_log = logging.getLogger(__name__)


def notify(manager: ServiceManager | None, **assignments: str) -> None:
    """Sends such as ``READY="1"`` to the service manager, if there is one.

    It never fails: a manager that does not listen is no reason to stop serving.
    """
    if manager is None:
        return
    name = manager.notify_socket
    address = f"\0{name[1:]}" if name.startswith("@") else name  # "@" is an abstract socket
    text = "\n".join(f"{key}={value}" for key, value in assignments.items())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            sender.sendto(text.encode(), address)
    except OSError as error:
        _log.warning("the service manager does not listen at %s: %s", name, error.strerror)


@contextmanager
def announced(path: Path, content: dict[str, Any]) -> Iterator[None]:
    """Keeps ``server.json`` there for as long as the block lasts; readable by its owner alone.

    Args:
        path: Where clients look.
        content: ``{pid, url, socket, version, started_at}``.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)  # of one that was killed here
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
