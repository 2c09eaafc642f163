"""What a service manager tells the process through its environment."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """How systemd, or what behaves like it, wants to hear from us.

    Attributes:
        notify_socket: Where readiness is told; a path, or an abstract name after ``@``.
        watchdog_seconds: It restarts us when it hears nothing for so long; 0: it does not.
    """

    notify_socket: str
    watchdog_seconds: float


def take_service_manager() -> ServiceManager | None:
    """Reads the variables and removes them, so that they are not passed on to a child."""
    taken = {
        name: os.environ.pop(name, "")  # noqa: TID251 - the one place for it
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
    }
    if not taken["NOTIFY_SOCKET"]:
        return None
    ours = taken["WATCHDOG_PID"] in ("", str(os.getpid()))
    usec = taken["WATCHDOG_USEC"]
    return ServiceManager(
        notify_socket=taken["NOTIFY_SOCKET"],
        watchdog_seconds=int(usec) / 1e6 if ours and usec.isdigit() else 0.0,
    )
