"""Programs of other users of the machine are not answered, whatever they ask."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pytest

from sgoped.daemon.connection import Deadlines
from sgoped.daemon.entrance import _Door
from sgoped.daemon.peers import FOREIGN_PEER, UNKNOWN_PEER, Peers
from sgoped.daemon.socket_tables import End, Owner, SockDiag, plain, read_owner
from tests.conftest import StartDaemon
from tests.daemon.people import ANOTHER, NOBODY, command_of, only_root, talk
from tests.processes import DaemonProcess

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
KINDS = ("127.0.0.1", "::1", "::ffff:127.0.0.1")


@contextmanager
def connected(address: str = "127.0.0.1") -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client and the accepted end of its connection."""
    family = socket.AF_INET6 if address == "::1" else socket.AF_INET
    bound = "::1" if address == "::1" else "127.0.0.1"
    with socket.create_server((bound, 0), family=family) as server:
        client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        client.connect((address, server.getsockname()[1]))
        accepted, _ = server.accept()
        with client, accepted:
            yield client, accepted


def ends(accepted: socket.socket) -> tuple[End, End]:
    near, far = accepted.getpeername(), accepted.getsockname()
    return End(plain(near[0]), near[1]), End(plain(far[0]), far[1])


def ours(client: socket.socket) -> Owner:
    return Owner(os.getuid(), os.fstat(client.fileno()).st_ino)


@linux
@pytest.mark.parametrize("address", KINDS)
def test_both_ways_of_asking_tell_the_same(address: str) -> None:
    with closing(SockDiag()) as diag, connected(address) as (client, accepted):
        assert diag.owner(*ends(accepted)) == read_owner(*ends(accepted)) == ours(client)
        asked = ends(accepted)
        client.close()
        for owner in (diag.owner(*asked), read_owner(*asked)):
            assert owner is not None
            assert owner.inode == 0


@linux
def test_a_listener_on_the_port_is_not_taken_for_the_peer() -> None:
    """The kernel names it where the connection asked for is gone."""
    with (
        closing(SockDiag()) as diag,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_server(("127.0.0.1", 0), reuse_port=True) as listener,
        socket.socket() as client,
    ):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        client.bind(listener.getsockname())
        client.connect(server.getsockname())
        asked = End(*client.getsockname()), End(*server.getsockname())
        assert diag.owner(*asked) == read_owner(*asked) == ours(client)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        assert diag.owner(*asked) is None
        assert read_owner(*asked) is None


@linux
def test_a_table_of_the_kernel_is_read_in_the_order_of_the_machine(tmp_path: Path) -> None:
    row = (
        "   0: 0100007F:C350 0100007F:1F40 01 00000000:00000000 00:00000000 00000000"
        "  1000        0 4711 1 0000000000000000 20 4 30 10 -1"
    )
    (tmp_path / "tcp").write_text(f"  sl  local_address rem_address\n{row}\n")
    (tmp_path / "tcp6").write_text("  sl  local_address rem_address\n")
    if sys.byteorder == "little":
        near, far = End("127.0.0.1", 50000), End("127.0.0.1", 8000)
        assert read_owner(near, far, tmp_path) == Owner(1000, 4711)
        assert read_owner(far, near, tmp_path) is None


@pytest.mark.parametrize("address", KINDS)
def test_ones_own_programs_pass(address: str) -> None:
    peers = Peers(check_uid=True)
    with connected(address) as (_, accepted):
        assert peers.judge(accepted) is None
        assert peers.judge_slowly(accepted) is None
    peers.close()


@linux
def test_who_has_hung_up_is_unknown() -> None:
    peers = Peers(check_uid=True)
    with connected() as (client, accepted):
        client.close()
        assert peers.judge(accepted) is UNKNOWN_PEER
        assert peers.judge_slowly(accepted) is UNKNOWN_PEER
    with connected() as (client, accepted):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        assert peers.judge_slowly(accepted) is UNKNOWN_PEER
    peers.close()


@linux
def test_who_has_hung_up_does_not_pass_as_whoever_has_its_port_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    peers = Peers(check_uid=True)
    monkeypatch.setattr(SockDiag, "owner", lambda *_: Owner(os.getuid(), 4711))
    with connected() as (client, accepted):
        assert peers.judge(accepted) is None
        asked = ends(accepted)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        monkeypatch.setattr("sgoped.daemon.peers._ends", lambda _: asked)
        assert peers.judge(accepted) is UNKNOWN_PEER
    peers.close()


@linux
@pytest.mark.parametrize(
    ("owner", "verdict"),
    [
        (Owner(os.getuid(), 4711), None),
        (Owner(0, 4711), None),
        (Owner(0, 0), UNKNOWN_PEER),
        (Owner(os.getuid(), 0), UNKNOWN_PEER),
        (Owner(os.getuid() + 1, 4711), FOREIGN_PEER),
        (None, UNKNOWN_PEER),
    ],
)
def test_the_user_decides(
    monkeypatch: pytest.MonkeyPatch, owner: Owner | None, verdict: object
) -> None:
    peers = Peers(check_uid=True)
    monkeypatch.setattr(SockDiag, "owner", lambda *_: owner)
    with connected() as (_, accepted):
        assert peers.judge(accepted) is verdict
    peers.close()


@linux
@pytest.mark.parametrize("far", ["127.0.0.1", "127.0.0.2", "::1"])
def test_who_reached_loopback_is_on_this_machine_whatever_address_it_has(
    monkeypatch: pytest.MonkeyPatch, far: str
) -> None:
    """Bound to another address of the machine, asked, hung up, and forgotten by the kernel.

    Or forwarded to here from a container. No token is asked for on loopback.
    """
    near = "2001:db8::1" if ":" in far else "192.0.2.1"
    asked = End(near, 50000), End(far, 8000)
    monkeypatch.setattr("sgoped.daemon.peers._ends", lambda _: asked)
    monkeypatch.setattr("sgoped.daemon.peers.read_owner", lambda *_: None)
    monkeypatch.setattr(SockDiag, "owner", lambda *_: None)
    with connected() as (_, accepted), closing(Peers(check_uid=True)) as peers:
        assert peers.judge_slowly(accepted) is UNKNOWN_PEER
        monkeypatch.setattr("sgoped.daemon.peers._ends", lambda _: (End(near, 1), End(near, 2)))
        assert peers.judge_slowly(accepted) is UNKNOWN_PEER
        other = End(near, 1), End("2001:db8::2" if ":" in far else "192.0.2.2", 2)
        monkeypatch.setattr("sgoped.daemon.peers._ends", lambda _: other)
        assert peers.judge_slowly(accepted) is None, "from another machine"


@linux
@only_root
@pytest.mark.parametrize("address", KINDS)
def test_another_user_is_known_by_both_ways(address: str) -> None:
    program = "with socket.create_connection((sys.argv[2], int(sys.argv[3]))): sys.stdin.read()"
    family, bound = (socket.AF_INET6, "::1") if address == "::1" else (socket.AF_INET, "127.0.0.1")
    with (
        closing(Peers(check_uid=True)) as peers,
        socket.create_server((bound, 0), family=family) as server,
        subprocess.Popen(
            command_of(program, ANOTHER, address, server.getsockname()[1]), stdin=subprocess.PIPE
        ) as other,
    ):
        accepted, _ = server.accept()
        with accepted:
            assert peers.judge(accepted) is FOREIGN_PEER
            assert peers.judge_slowly(accepted) is FOREIGN_PEER
            other.communicate()


@linux
def test_without_sock_diag_the_slow_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("not here")

    peers = Peers(check_uid=True)
    monkeypatch.setattr(SockDiag, "owner", broken)
    with connected() as (_, accepted):
        assert peers.judge(accepted) == "later"
        assert peers.judge_slowly(accepted) is None
        assert peers.judge(accepted) == "later"
    monkeypatch.setattr(SockDiag, "owner", lambda *_: None)  # a kernel without tcp_diag
    with connected() as (_, accepted):
        assert Peers(check_uid=True).judge(accepted) == "later"


@linux
def test_a_table_of_another_form_tells_nothing_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a task of the entrance raises would be the end of the daemon."""
    with connected() as (_, accepted), closing(Peers(check_uid=True)) as peers:
        near, far = (f"0100007F:{end.port:04X}" for end in ends(accepted))
        (tmp_path / "tcp").write_text(f"   0: {near} {far} 01 00000000:00000000\n")
        (tmp_path / "tcp6").write_text("")
        read = partial(read_owner, proc=tmp_path)
        monkeypatch.setattr("sgoped.daemon.peers.read_owner", read)
        assert peers.judge_slowly(accepted) is UNKNOWN_PEER


def test_the_check_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SockDiag, "owner", lambda *_: Owner(os.getuid() + 1, 4711))
    peers = Peers(check_uid=False)
    with connected() as (_, accepted):
        assert peers.judge(accepted) is None


def get(daemon: DaemonProcess, target: str = "/health", *more: str) -> bytes:
    lines = [f"GET {target} HTTP/1.1", f"Host: localhost:{daemon.port}", *more, "", ""]
    return "\r\n".join(lines).encode()


@linux
@only_root
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_another_user_is_refused_over_http(daemon: DaemonProcess, address: str) -> None:
    own = talk(daemon.port, get(daemon, "/health", "Connection: close"), address=address)
    assert own.status == 200
    other = talk(daemon.port, get(daemon), uid=NOBODY, address=address)
    assert other.status == 403
    answer = json.loads(other.body)
    assert set(answer) == {"detail", "code"}
    assert answer["code"] == "peer_refused"
    assert "check_peer_uid" in answer["detail"]
    assert f"uid {NOBODY}" in daemon.log()


@linux
@only_root
def test_another_user_is_refused_a_socket_and_writes_nothing(daemon: DaemonProcess) -> None:
    upgrade = (
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    assert talk(daemon.port, get(daemon, "/ws/suggestions", *upgrade), uid=ANOTHER).status == 403
    body = json.dumps({"path": "evil.md", "content": "x" * 1_000_000}).encode()
    sent = (
        f"POST /api/files/content HTTP/1.1\r\nHost: localhost:{daemon.port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    assert talk(daemon.port, sent.encode() + body, uid=ANOTHER).status == 403
    assert list(daemon.memory_dir.iterdir()) == []
    assert daemon.request("GET", "/health")[0] == 200


@linux
@only_root
def test_many_of_another_user_hold_no_room(daemon: DaemonProcess) -> None:
    """They are refused before they count, and only so many are told why at a time."""
    program = (
        "held = [socket.create_connection(('127.0.0.1', int(sys.argv[2]))) for _ in range(300)]\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    command = command_of(program, NOBODY, daemon.port)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as crowd:
        assert crowd.stdout is not None
        assert crowd.stdout.readline() == b"held\n"
        assert daemon.request("GET", "/health")[0] == 200
        open_files = len(list(Path(f"/proc/{daemon.process.pid}/fd").iterdir()))
        crowd.communicate()
    assert open_files < 200
    assert daemon.log().count("refused a connection") == 1


@linux
@only_root
def test_every_user_passes_where_the_check_is_off(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(environment={"SGOPED_CHECK_PEER_UID": "false"})
    asked = get(daemon, "/health", "Connection: close")
    assert talk(daemon.port, asked, uid=NOBODY).status == 200
    assert "check_peer_uid" in daemon.log()


async def test_who_comes_while_it_closes_is_hung_up_on() -> None:
    """A connection may be accepted in the very turn of the loop in which listening ends."""
    async with asyncio.TaskGroup() as tasks:
        door = _Door(Mock(), Mock(), tasks, Deadlines(1, 1, 1), 10)
        door.close()
    transport = Mock(spec=asyncio.Transport)
    door.receive(transport)
    transport.abort.assert_called_once_with()
