"""Who owns the other end of a TCP connection within this machine, as Linux tells it.

``sock_diag(7)`` answers for one connection in microseconds, however many there are. Where it is not
allowed or not built in, the same is read from ``/proc``, which takes milliseconds among thousands
of sockets.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_NLMSG_ERROR = 2
_ANY_STATE = _ANY_COOKIE = 0xFFFFFFFF
_LISTEN = 10
_HEADER = struct.Struct("=IHHII")
_REQUEST_HEAD = struct.Struct("=BBBBI")
_ENDS = struct.Struct("!HH16s16s")
_INTERFACE_AND_COOKIE = struct.Struct("=III")
_OWNER = struct.Struct("=II")
_ENDS_AT = 4
_OWNER_AT = 64
_MESSAGE_BYTES = _OWNER_AT + _OWNER.size
_RECEIVED_BYTES = 8192
_PROC_UID, _PROC_INODE = 4, 6  # counted from the state


class End(NamedTuple):
    """One end of a connection.

    Attributes:
        address: An address, without a scope.
        port: Of TCP.
    """

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a socket is.

    Attributes:
        uid: The user's number; 0 as well where nobody has the socket any more.
        inode: 0 where no process has it open any more.
    """

    uid: int
    inode: int


class UnansweredError(OSError):
    """The kernel does not tell this way."""


class SockDiag:
    """A netlink socket that is asked for single connections; for one thread.

    Raises:
        OSError: This kernel, or what confines the process, has no such sockets.
    """

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise UnansweredError("only Linux has sock_diag")
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, _netlink_protocol())
        self._sequence = 0

    def close(self) -> None:
        """Gives the socket back."""
        self._socket.close()

    def owner(self, near: End, far: End) -> Owner | None:
        """Whose socket is connected from ``near`` to ``far``; None where there is none here.

        Raises:
            OSError: The kernel does not tell.
        """
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        self._socket.send(_request(near, far, self._sequence))
        while True:
            message = self._socket.recv(_RECEIVED_BYTES)
            _, kind, _, sequence, _ = _HEADER.unpack_from(message)
            if sequence == self._sequence:
                return _parse(kind, message[_HEADER.size :], near, far)


def _netlink_protocol() -> int:
    return 4  # NETLINK_SOCK_DIAG; the socket module has no name for it


def _request(near: End, far: End, sequence: int) -> bytes:
    family = socket.AF_INET6 if ":" in near.address else socket.AF_INET
    body = _REQUEST_HEAD.pack(family, socket.IPPROTO_TCP, 0, 0, _ANY_STATE)
    body += _ENDS.pack(near.port, far.port, _padded(near.address), _padded(far.address))
    body += _INTERFACE_AND_COOKIE.pack(0, _ANY_COOKIE, _ANY_COOKIE)
    size = _HEADER.size + len(body)
    return _HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, sequence, 0) + body


def _parse(kind: int, body: bytes, near: End, far: End) -> Owner | None:
    """The kernel falls back to whoever listens on the port, so both ends are compared."""
    if kind == _NLMSG_ERROR:
        code = -struct.unpack_from("=i", body)[0]
        if code == 2:  # noqa: PLR2004 - ENOENT: no such connection
            return None
        raise UnansweredError(code, os.strerror(code))
    if kind != _SOCK_DIAG_BY_FAMILY or len(body) < _MESSAGE_BYTES:
        raise UnansweredError("an answer of an unknown form")
    family, state = body[0], body[1]
    near_port, far_port, near_address, far_address = _ENDS.unpack_from(body, _ENDS_AT)
    found = (
        End(_shown(family, near_address), near_port),
        End(_shown(family, far_address), far_port),
    )
    if state == _LISTEN or found != (near, far):
        return None
    return Owner(*_OWNER.unpack_from(body, _OWNER_AT))


def _padded(address: str) -> bytes:
    return ipaddress.ip_address(address).packed.ljust(16, b"\0")


def _shown(family: int, packed: bytes) -> str:
    if family == socket.AF_INET:
        return str(ipaddress.IPv4Address(packed[:4]))
    return plain(str(ipaddress.IPv6Address(packed)))


def plain(address: str) -> str:
    """The address without a scope, and as IPv4 where it is IPv4 in the clothes of IPv6."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def read_owner(near: End, far: End, proc: Path = Path("/proc/self/net")) -> Owner | None:
    """Like ``SockDiag.owner``, from ``/proc``; blocks for as long as that takes.

    A socket of IPv6 that speaks IPv4 stands in the table of IPv6.

    Raises:
        OSError: There is no such table.
    """
    if ":" in near.address:
        return _find_row(proc / "tcp6", near, far, "")
    mapped = _word(0) + _word(0) + _word(0x0000FFFF)
    found = _find_row(proc / "tcp", near, far, "")
    return found or _find_row(proc / "tcp6", near, far, mapped)


def _find_row(table: Path, near: End, far: End, prefix: str) -> Owner | None:
    near_column, far_column = (
        f"{prefix}{_hexadecimal(end.address)}:{end.port:04X}" for end in (near, far)
    )
    _, found, rest = table.read_text("ascii").partition(f" {near_column} {far_column} ")
    columns = rest.partition("\n")[0].split()
    if not found or int(columns[0], 16) == _LISTEN:
        return None
    return Owner(int(columns[_PROC_UID]), int(columns[_PROC_INODE]))


def _hexadecimal(address: str) -> str:
    """As the tables write it: words of 32 bits, each a number in the machine's own order."""
    packed = ipaddress.ip_address(address).packed
    return "".join(
        _word(int.from_bytes(packed[at : at + 4], "big")) for at in range(0, len(packed), 4)
    )


def _word(value: int) -> str:
    return f"{int.from_bytes(value.to_bytes(4, 'big'), sys.byteorder):08X}"
