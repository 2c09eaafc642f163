"""Whether the program at the other end of a connection is one of the person's own.

Every program of this machine can reach a loopback port, so the kernel is asked whose the other end
is. The person's own user passes, and root, who can read every file and become anybody: to refuse it
would protect nothing. Who cannot be told does not pass.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import struct
import sys
import time
from dataclasses import dataclass
from typing import Literal

from sgoped.daemon.socket_tables import End, Owner, SockDiag, plain, read_owner

Transport = Literal["unix", "tcp"]
_ROOT = 0
_ESTABLISHED, _CLOSE_WAIT = 1, 8
_UCRED = struct.Struct("=iII")
_QUIET_SECONDS = 60.0
_HOW_TO_ALLOW = (
    "`check_peer_uid = false` in the settings lets every user of this machine in; "
    "set a `token` with it"
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a connection is not served; ``message`` is fit to show."""

    message: str


UNKNOWN_PEER = Refused(
    "cannot tell which user the program that asks belongs to, so it is not answered; "
    + _HOW_TO_ALLOW
)
FOREIGN_PEER = Refused(
    "the program that asks belongs to another user of this machine; only the programs of the "
    f"user who started sgoped are answered; {_HOW_TO_ALLOW}"
)


class Peers:
    """Judges accepted connections; for the loop's thread, except ``judge_slowly``."""

    def __init__(self, *, check_uid: bool) -> None:
        """Opens what the kernel is asked through; without it the slow way is left.

        Args:
            check_uid: Whether TCP is judged at all; a unix socket always is.
        """
        self._checks = check_uid and sys.platform == "linux"
        self._uid = os.getuid()
        self._diag = _open_diag() if self._checks else None
        self._told: dict[int | None, float] = {}
        if not check_uid:
            _log.warning("check_peer_uid is off: every user of this machine can connect")

    def close(self) -> None:
        """Gives back what it holds."""
        if self._diag is not None:
            self._diag.close()
            self._diag = None

    def judge(self, accepted: socket.socket) -> Refused | Literal["later"] | None:
        """None: it may come in. ``"later"``: only ``judge_slowly`` can tell."""
        if accepted.family == socket.AF_UNIX:
            return self._judge_unix(accepted)
        if not self._checks:
            return None
        if self._diag is None:
            return "later"
        ends = _ends(accepted)
        if ends is None:
            return UNKNOWN_PEER
        try:
            owner = self._diag.owner(*ends)
        except OSError as error:
            _log.warning("sock_diag does not answer (%s); /proc is read instead", error)
            self.close()
            return "later"
        return self._verdict(accepted, ends, owner)

    def judge_slowly(self, accepted: socket.socket) -> Refused | None:
        """The same from ``/proc``, which blocks for milliseconds: not for the loop's thread."""
        ends = _ends(accepted)
        if ends is None:
            return UNKNOWN_PEER
        try:
            owner = read_owner(*ends)
        except (OSError, ValueError, IndexError):  # no table, or one of another form
            owner = None
        return self._verdict(accepted, ends, owner)

    def _judge_unix(self, accepted: socket.socket) -> Refused | None:
        """The file's mode lets in nobody else; this is for where it does not."""
        if not hasattr(socket, "SO_PEERCRED"):
            return None
        told = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        return self._judge_uid(_UCRED.unpack(told)[1])

    def _verdict(
        self, accepted: socket.socket, ends: tuple[End, End], owner: Owner | None
    ) -> Refused | None:
        """Somebody who has hung up is unknown: the kernel shows them as uid 0 and inode 0.

        Nor does it matter then whose the two ends are now.
        """
        if not _is_open(accepted) or (owner is not None and owner.inode == 0):
            return UNKNOWN_PEER
        if owner is None:
            return None if _is_remote(*ends) else self._refuse(UNKNOWN_PEER, None)
        return self._judge_uid(owner.uid)

    def _judge_uid(self, uid: int) -> Refused | None:
        return None if uid in (self._uid, _ROOT) else self._refuse(FOREIGN_PEER, uid)

    def _refuse(self, refused: Refused, uid: int | None) -> Refused:
        """Logged at most once a minute for each user, who might fill the disk otherwise."""
        now = time.monotonic()
        if now - self._told.get(uid, -_QUIET_SECONDS) >= _QUIET_SECONDS:
            self._told[uid] = now
            whose = "an unknown user" if uid is None else f"uid {uid}"
            _log.warning("refused a connection of %s: %s", whose, refused.message)
        return refused


def _open_diag() -> SockDiag | None:
    """None where it cannot tell even whose a connection of our own is."""
    try:
        diag = SockDiag()
    except OSError as error:
        _log.info("no sock_diag here (%s); /proc is read instead", error)
        return None
    try:
        if _knows_ourselves(diag):
            return diag
        _log.info("sock_diag tells nothing here; /proc is read instead")
    except OSError as error:
        _log.info("sock_diag does not answer here (%s); /proc is read instead", error)
    diag.close()
    return None


def _knows_ourselves(diag: SockDiag) -> bool:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()[:2]) as client,
    ):
        owner = diag.owner(End(*client.getsockname()[:2]), End(*server.getsockname()[:2]))
        return owner == Owner(os.getuid(), os.fstat(client.fileno()).st_ino)


def _ends(accepted: socket.socket) -> tuple[End, End] | None:
    """The peer's end and ours; None where it has hung up."""
    try:
        near, far = accepted.getpeername(), accepted.getsockname()
    except OSError:
        return None
    return End(plain(near[0]), near[1]), End(plain(far[0]), far[1])


def _is_remote(near: End, far: End) -> bool:
    """A peer on another machine; those are judged by the token, which was made a condition.

    Nobody there reaches an address of loopback. What comes to one from another address is a program
    here that has bound it, or is forwarded by one.
    """
    ends = (ipaddress.ip_address(end.address) for end in (near, far))
    return near.address != far.address and not any(address.is_loopback for address in ends)


def _is_open(accepted: socket.socket) -> bool:
    """Whether the connection still was what it is when the kernel was asked about it."""
    state: int = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state in (_ESTABLISHED, _CLOSE_WAIT)
