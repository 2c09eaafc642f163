"""Programs of other users of this machine, where the tests may start such."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

NOBODY = 65534
ANOTHER = 54321
only_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")

# The interpreter may lie where only its owner can run it, so the program becomes another user
# itself, once all is imported and before it does anything.
_BECOME = """
import encodings.idna, os, socket, sys
uid = int(sys.argv[1])
if uid >= 0:
    os.setgroups([]); os.setgid(uid); os.setuid(uid)
    assert os.getuid() == os.geteuid() == uid
"""
# Reads what comes until the end, whatever is sent meanwhile; prints it as it came.
_TALK = """
with socket.create_connection((sys.argv[2], int(sys.argv[3])), timeout=30) as client:
    try:
        client.sendall(sys.stdin.buffer.read())
    except OSError:
        pass
    while True:
        try:
            piece = client.recv(65536)
        except ConnectionResetError:
            break
        if not piece:
            break
        sys.stdout.buffer.write(piece)
"""


@dataclass(frozen=True)
class Talk:
    """What came back, the head apart."""

    head: str
    body: str

    @property
    def status(self) -> int:
        return int(self.head.split()[1])


@contextmanager
def opened(paths: Iterable[Path], mode: int) -> Iterator[None]:
    """Give ``paths`` below the temporary folder another mode, for as long as the block lasts."""
    temporary = Path(tempfile.gettempdir())
    before = {
        path: stat.S_IMODE(path.stat().st_mode)
        for path in paths
        if temporary in path.parents and path.stat().st_uid == os.getuid()
    }
    try:
        for path in before:
            path.chmod(mode)
        yield
    finally:
        for path, was in before.items():
            path.chmod(was)


def command_of(program: str, uid: int | None, *arguments: object) -> list[str]:
    """How to start ``program``, which has ``os``, ``socket`` and ``sys``, as that user."""
    given = [str(-1 if uid is None else uid), *map(str, arguments)]
    return [sys.executable, "-I", "-S", "-c", _BECOME + program, *given]


def talk(port: int, sent: bytes, *, uid: int | None = None, address: str = "127.0.0.1") -> Talk:
    """Sends as the program of another user, who has nothing of ours but the port."""
    told = subprocess.run(
        command_of(_TALK, uid, address, port),
        input=sent,
        capture_output=True,
        timeout=60,
        cwd="/",
        check=True,
    )
    head, _, body = told.stdout.decode().partition("\r\n\r\n")
    return Talk(head, body)
