from __future__ import annotations

import socket

import pytest

from sgoped.daemon.sockets import listen
from sgoped.errors import StartupError


def reach(address: str, port: int) -> None:
    socket.create_connection((address, port), timeout=5).close()


def test_localhost_is_both_families_on_one_port() -> None:
    with listen("localhost", 0) as listening:
        assert listening.url == f"http://localhost:{listening.port}"
        assert len({each.getsockname()[1] for each in listening.sockets}) == 1
        for each in listening.sockets:
            reach(each.getsockname()[0], listening.port)


def test_nothing_is_bound_beyond_loopback() -> None:
    with listen("localhost", 0) as listening:
        addresses = {each.getsockname()[0] for each in listening.sockets}
    assert addresses <= {"127.0.0.1", "::1"}
    assert "127.0.0.1" in addresses


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_one_address_alone(host: str) -> None:
    with listen(host, 0) as listening:
        assert [each.getsockname()[0] for each in listening.sockets] == [host]
        shown = f"[{host}]" if ":" in host else host
        assert listening.url == f"http://{shown}:{listening.port}"


@pytest.mark.parametrize(
    ("host", "called"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("127.0.0.2", "127.0.0.2")]
)
def test_every_interface_is_called_by_its_loopback_address(host: str, called: str) -> None:
    with listen(host, 0) as listening:
        assert [each.getsockname()[0] for each in listening.sockets] == [host]
        assert listening.url == f"http://{called}:{listening.port}"
        reach(called.strip("[]"), listening.port)


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(StartupError, match=r"port \d+ of 192\.0\.2\.1"), listen("192.0.2.1", 8000):
        pass


@pytest.mark.parametrize("taken_on", ["127.0.0.1", "::1"])
def test_a_taken_port_is_named_in_either_family(taken_on: str) -> None:
    with listen(taken_on, 0) as taken:
        with pytest.raises(StartupError) as caught, listen("localhost", taken.port):
            pass
        assert caught.value.exit_code == 1
        assert f"port {taken.port} is taken on {taken_on}" in caught.value.message
        other = "::1" if taken_on == "127.0.0.1" else "127.0.0.1"
        with pytest.raises(ConnectionRefusedError):  # the other family's socket was given back
            reach(other, taken.port)


def test_a_port_taken_on_every_interface_is_taken() -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartupError, match=f"port {port} is taken"), listen("localhost", port):
            pass


def test_the_port_is_free_again_afterwards() -> None:
    with listen("localhost", 0) as listening:
        client = socket.create_connection(("127.0.0.1", listening.port))
    client.close()
    with listen("localhost", listening.port) as again:
        assert again.port == listening.port
