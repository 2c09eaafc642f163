"""Listening sockets of TCP: on loopback both families on one port, or one other address."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from sgoped.errors import StartupError

_LOCALHOST = ("127.0.0.1", "::1")
_CALLED = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to call what listens so
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)
_BACKLOG = 128
_ATTEMPTS = 50


@dataclass(frozen=True, slots=True)
class Listening:
    """Where requests come in.

    Attributes:
        sockets: Bound and listening; connections wait in them until they are served.
        port: The same for all.
        url: What a person types on this machine.
    """

    sockets: tuple[socket.socket, ...]
    port: int
    url: str


@contextmanager
def listen(host: str, port: int) -> Iterator[Listening]:
    """Binds ``host``, an address or ``localhost``, which is two; port 0 finds one free on both.

    A machine without IPv6 is served on 127.0.0.1 alone. The sockets listen at once, so that two
    processes cannot both believe to have the port.

    Raises:
        StartupError: Naming the port: it is taken, or may not be used.
    """
    addresses = _LOCALHOST if host == "localhost" else (host,)
    with ExitStack() as stack:
        sockets = _bind_all(addresses, port) if port else _bind_free(addresses)
        for each in sockets:
            stack.enter_context(each)
        bound = int(sockets[0].getsockname()[1])
        called = _CALLED.get(host, host)
        shown = f"[{called}]" if ":" in called else called
        yield Listening(tuple(sockets), bound, f"http://{shown}:{bound}")


def _bind_free(addresses: tuple[str, ...]) -> list[socket.socket]:
    for _ in range(_ATTEMPTS):
        first = _bind(addresses[0], 0)
        port = int(first.getsockname()[1])
        try:
            return [first, *_bind_all(addresses[1:], port)]
        except StartupError:  # taken in the other family: another try gets another port
            first.close()
    raise StartupError(f"no port is free on {' and '.join(addresses)}", code="port_taken")


def _bind_all(addresses: tuple[str, ...], port: int) -> list[socket.socket]:
    bound: list[socket.socket] = []
    try:
        for address in addresses:
            try:
                bound.append(_bind(address, port))
            except OSError as error:
                if error.errno in _NO_IPV6 and bound:
                    continue
                raise _refused(address, port, error) from error
    except BaseException:
        for each in bound:
            each.close()
        raise
    return bound


def _bind(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.setblocking(False)
        bound.bind((address, port))
        bound.listen(_BACKLOG)
    except BaseException:
        bound.close()
        raise
    return bound


def _refused(address: str, port: int, error: OSError) -> StartupError:
    if error.errno == errno.EADDRINUSE:
        return StartupError(
            f"port {port} is taken on {address}; stop what listens there, or give another "
            "--port (0 picks a free one)",
            code="port_taken",
        )
    reason = error.strerror or str(error)
    return StartupError(f"cannot listen on port {port} of {address}: {reason}", code="port_refused")
