"""Examines who is let in: by the unix socket, over TCP, from other users and other machines."""

from __future__ import annotations

import os
import pwd
import socket
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from sgoped.config import Settings, is_loopback
from sgoped.doctor.finding import Finding, Severity, Topic, few
from sgoped.doctor.instance import Daemon, Unanswered
from sgoped.doctor.subject import Subject

_finding = partial(Finding, Topic.ACCESS)

CONNECT_SECONDS = 2.0
# Accounts below belong to the system.
_FIRST_PERSON, _NOBODY = 1000, 65_534
_NO_SHELLS = ("nologin", "false", "sync")


def check_access(subject: Subject) -> Iterator[Finding]:
    """Whether a running daemon can be reached by its own person, and by nobody else."""
    found = [*_doors(subject), *_strangers(subject)]
    yield from found
    whom = _whom(subject.settings)
    if whom and all(each.severity is Severity.NOTE for each in found):
        yield _finding("access_private", Severity.OK, f"only {whom} may ask for anything")


def _whom(settings: Settings) -> str:
    """Who is let in over TCP; empty where that is every user of this machine."""
    if settings.token is not None:
        return "who has the token"
    return "your own programs, and root's," if _knows_users(settings) else ""


def _knows_users(settings: Settings) -> bool:
    return settings.check_peer_uid and os.uname().sysname == "Linux"


def _doors(subject: Subject) -> Iterator[Finding]:
    instance = subject.instance
    if instance.daemon is None:
        return
    if instance.announced.get("pid") != instance.health["pid"]:
        yield _finding(
            "server_file_lost",
            Severity.WARNING,
            "clients cannot find the daemon: this file does not name it",
            str(subject.paths.server_file),
            "restart sgoped",
        )
        return
    yield from _socket(subject)
    url = instance.daemon.url
    try:
        Daemon(url, subject.connect(url, trusted=instance.held)).health()
    except Unanswered as error:
        yield _finding(
            "tcp_refused",
            Severity.WARNING,
            f"over TCP the daemon does not answer: {error}",
            url,
            "if its token was changed after it started, restart sgoped; else look at its log",
        )


def _socket(subject: Subject) -> Iterator[Finding]:
    told = subject.instance.announced.get("socket")
    if not isinstance(told, str):
        yield _finding(
            "socket_none",
            Severity.NOTE,
            "the daemon has no unix socket, so that clients use TCP; its log says why",
            str(subject.paths.socket_file),
        )
        return
    reason = _why_closed(Path(told))
    if reason:
        yield _finding(
            "socket_lost",
            Severity.WARNING,
            f"the unix socket that the daemon announced {reason}, so that clients use TCP",
            told,
            "restart sgoped, and leave that file alone",
        )


def _why_closed(path: Path) -> str:
    """Why a socket cannot be used; empty when somebody listens there."""
    try:
        found = path.lstat()
        if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.getuid():
            return "was replaced by something else"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(CONNECT_SECONDS)
            probe.connect(os.fsencode(path))
    except FileNotFoundError:
        return "is not there"
    except OSError as error:
        return f"does not answer ({error.strerror or error})"
    return ""


def _strangers(subject: Subject) -> Iterator[Finding]:
    settings, where = subject.settings, str(subject.paths.config_file)
    if not is_loopback(settings.host):
        yield _finding(
            "open_to_network",
            Severity.NOTE,
            f"other machines can ask at {settings.host}, if they have the token; it goes there "
            "unencrypted, as all else does",
            where,
            "where others share the network, let them come through ssh or a VPN instead",
        )
    if not _whom(settings):
        people = other_people()
        switched_off = "" if settings.check_peer_uid else "check_peer_uid is off and "
        yield _finding(
            "peers_unchecked",
            Severity.WARNING if people else Severity.NOTE,
            f"{switched_off}there is no token, so every user of this machine can read and change "
            f"your files here{f'; others are {few(people)}' if people else ''}",
            where,
            "set a token" if settings.check_peer_uid else "set a token, or check_peer_uid = true",
        )


def other_people() -> list[str]:
    """The accounts of this machine, but for our own, with which somebody can log in."""
    return sorted(
        account.pw_name
        for account in pwd.getpwall()
        if _FIRST_PERSON <= account.pw_uid < _NOBODY
        and account.pw_uid != os.getuid()
        and not account.pw_shell.endswith(_NO_SHELLS)
    )
