"""How a client verb reaches the daemon: by the unix socket it announced, else over TCP."""

from __future__ import annotations

import http.client
import os
import socket
import stat
import struct
from pathlib import Path
from urllib.parse import urlsplit

_CONNECT_SECONDS = 5.0
_UCRED = struct.Struct("=iII")


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket that was opened already."""

    def __init__(self, opened: socket.socket, timeout: float | None) -> None:
        """Takes the socket over; ``timeout`` is in seconds between bytes."""
        super().__init__("localhost", timeout=timeout)
        opened.settimeout(timeout)
        self.sock = opened

    def connect(self) -> None:
        """It is connected once, and not again.

        Raises:
            ConnectionError: It was closed.
        """
        if self.sock is None:
            raise ConnectionResetError("the connection was closed")


def open_connection(
    url: str, socket_file: Path | None, timeout: float | None
) -> http.client.HTTPConnection:
    """A connection that is about to be used; that over TCP is not open yet.

    Raises:
        ConnectionRefusedError: Nobody listens at the unix socket, so the daemon is dead: whoever has
            its port now is somebody else, who must not be sent files or a token.
    """
    if socket_file is not None:
        opened = _open_unix(socket_file)
        if opened is not None:
            return UnixConnection(opened, timeout)
    split = urlsplit(url)
    return http.client.HTTPConnection(
        split.hostname or "localhost", split.port or http.client.HTTP_PORT, timeout=timeout
    )


def _open_unix(path: Path) -> socket.socket | None:
    """None where there is no socket that could be used, or somebody else answers."""
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        found = path.lstat()
        if stat.S_ISSOCK(found.st_mode) and found.st_uid == os.getuid():
            opened.settimeout(_CONNECT_SECONDS)
            opened.connect(os.fsencode(path))
            if _is_own(opened):
                return opened
    except ConnectionRefusedError:
        opened.close()
        raise
    except OSError:
        pass
    opened.close()
    return None


def _is_own(opened: socket.socket) -> bool:
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    told = opened.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return bool(_UCRED.unpack(told)[1] == os.getuid())
