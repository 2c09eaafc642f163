"""Examines the process: whether it runs and answers, what dead ones left, who has its port."""

from __future__ import annotations

import os
import re
import shlex
import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import sgoped
from sgoped.doctor.finding import Finding, Severity, Topic, few
from sgoped.doctor.instance import Daemon, Unanswered
from sgoped.doctor.subject import Subject
from sgoped.paths import unit_file

_finding = partial(Finding, Topic.DAEMON)

CONNECT_SECONDS = 2.0
_ADDRESSES = {
    "localhost": ("127.0.0.1", "::1"),
    "0.0.0.0": ("127.0.0.1",),  # noqa: S104 - where to call what listens so
    "::": ("::1",),
}
_EXECUTE = re.compile(r"^\s*ExecStart\s*=\s*[-@:+!|]*(.*)$", re.MULTILINE)


def check_daemon(subject: Subject) -> Iterator[Finding]:
    """Whether it runs, as one, in this version, and answers."""
    instance = subject.instance
    pid = instance.told.get("pid")
    if instance.daemon is None:
        if instance.held:
            yield _finding(
                "daemon_silent",
                Severity.PROBLEM,
                f"a daemon (pid {pid}) holds the data directory and does not answer",
                str(subject.paths.lock_file),
                f"look at its log; if it is not starting up, end it with: kill {pid}",
            )
        else:
            yield _finding(
                "daemon_down",
                Severity.NOTE,
                "no daemon runs; its files are examined without it",
                mend="start it with: sgoped serve",
            )
        return
    url, health = instance.daemon.url, instance.health
    yield _finding(
        "daemon_up", Severity.OK, f"sgoped {health['version']} runs, pid {health['pid']}", url
    )
    if not instance.held:
        yield _finding(
            "lock_lost",
            Severity.PROBLEM,
            "a daemon runs without its lock, so that a second one could use the same data",
            str(subject.paths.lock_file),
            "restart sgoped, and do not delete this file",
        )
    elif health["pid"] != pid:
        yield _finding(
            "two_daemons",
            Severity.PROBLEM,
            f"pid {pid} holds the data directory, and pid {health['pid']} answers",
            url,
            f"end both (kill {pid} {health['pid']}) and start one",
        )
    if health["version"] != sgoped.__version__:
        yield _finding(
            "daemon_outdated",
            Severity.WARNING,
            f"sgoped {sgoped.__version__} is installed, {health['version']} runs",
            url,
            "restart sgoped",
        )


def check_remains(subject: Subject) -> Iterator[Finding]:
    """What a daemon that was killed left in the runtime directory."""
    if subject.instance.running:
        return
    left: dict[Path, os.stat_result] = {}
    for path in (subject.paths.server_file, subject.paths.socket_file):
        with suppress(OSError):
            found = path.lstat()
            if found.st_uid == os.getuid() and not stat.S_ISDIR(found.st_mode):
                left[path] = found
    if left:
        yield _finding(
            "remains_stale",
            Severity.WARNING,
            f"left by a daemon that was killed: {few([path.name for path in left])}; clients look "
            "there for one that runs",
            str(next(iter(left))),
            "use --fix, which deletes that, or start sgoped, which replaces it",
            lambda: _remove(left),
        )


def _remove(seen: Mapping[Path, os.stat_result]) -> None:
    for path, found in seen.items():
        if os.path.samestat(path.lstat(), found):
            path.unlink()


def check_port(subject: Subject) -> Iterator[Finding]:
    """Whether the port that the next daemon will want is free."""
    port = subject.settings.port
    if subject.instance.running or not port:
        return
    host = subject.settings.host
    for address in _ADDRESSES.get(host, (host,)):
        if not _listens(address, port):
            continue
        url = f"http://{f'[{address}]' if ':' in address else address}:{port}"
        yield _finding(
            "port_taken",
            Severity.PROBLEM,
            f"port {port} is taken by {_who(subject, url)}",
            url,
            "stop it, or give sgoped another --port (0 picks a free one)",
        )
        return


def _listens(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(CONNECT_SECONDS)
            probe.connect((address, port))
    except OSError:
        return False
    return True


def _who(subject: Subject, url: str) -> str:
    try:
        health = Daemon(url, subject.connect(url)).health()
    except Unanswered:
        return "another program"
    return f"another sgoped (pid {health.get('pid')}), which uses other data"


def check_unit(subject: Subject) -> Iterator[Finding]:
    """Whether the systemd unit, where there is one, starts something that exists."""
    try:
        path = unit_file()
        text = path.read_text("utf-8", "replace")
    except (OSError, RuntimeError):
        return
    for command in _EXECUTE.findall(text):
        with suppress(ValueError, IndexError):
            program = Path(shlex.split(command)[0].replace("%h", str(Path.home())))
            if program.is_absolute() and not os.access(program, os.X_OK):
                yield _finding(
                    "unit_broken",
                    Severity.PROBLEM,
                    f"the systemd unit starts {program}, which is not there or not executable",
                    str(path),
                    "correct ExecStart= there, then: systemctl --user daemon-reload",
                )
