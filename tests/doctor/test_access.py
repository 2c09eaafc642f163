"""Who is let in."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from sgoped.doctor import access
from tests.conftest import StartDaemon
from tests.doctor.homes import Home
from tests.processes import DaemonProcess

TOKEN = "0123456789abcdefghijklmnopqrstuvwxyz"


def people(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Make these the other people of this machine."""
    monkeypatch.setattr(access, "other_people", lambda: list(names))


def settings(home: Home, text: str) -> None:
    file = home.path / "config" / "config.toml"
    file.write_text(text)
    file.chmod(0o600)


def test_a_daemon_is_reached_by_its_person_and_nobody_else(
    sick: Home, start: Callable[[], DaemonProcess]
) -> None:
    daemon = start()
    assert daemon.server["socket"] == str(sick.runtime / "sgoped.sock")
    report = sick.doctor()
    assert (report.exit_code, report.wrong()) == (0, set())
    assert "your own programs" in report.one("access_private")["what"]


def test_an_exposed_socket_is_closed(sick: Home, start: Callable[[], DaemonProcess]) -> None:
    start()
    (sick.runtime / "sgoped.sock").chmod(0o666)
    found = sick.expect("file_exposed", fixed=True)
    assert found["where"] == str(sick.runtime / "sgoped.sock")


@pytest.mark.parametrize("replaced", [False, True])
def test_a_socket_that_was_taken_away_is_found(
    sick: Home, start: Callable[[], DaemonProcess], *, replaced: bool
) -> None:
    start()
    path = sick.runtime / "sgoped.sock"
    path.unlink()
    if replaced:
        path.touch(mode=0o600)
    found = sick.expect("socket_lost", fixed=False)
    assert ("was replaced" if replaced else "is not there") in found["what"]


def test_without_a_socket_tcp_is_used(sick: Home, start: Callable[[], DaemonProcess]) -> None:
    (sick.runtime / "sgoped.sock").mkdir(mode=0o700)  # so that it cannot be made
    start()
    report = sick.doctor()
    assert (report.exit_code, report.wrong()) == (0, set())
    assert {"socket_none", "index_proven"} <= report.codes()


def test_an_announcement_that_was_taken_away_is_found(
    sick: Home, start: Callable[[], DaemonProcess]
) -> None:
    start()
    (sick.runtime / "server.json").unlink()
    sick.expect("server_file_lost", fixed=False)


def test_the_token_of_the_settings_is_used(
    sick: Home, start_daemon: StartDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(sick, f"token = {json.dumps(TOKEN)}\n")
    daemon = start_daemon(sick.path)
    assert daemon.request("GET", "/health")[0] == 401
    sent = {"Authorization": f"Bearer {TOKEN}"}
    assert daemon.request("POST", "/api/refresh", {}, sent)[0] == 200
    report = sick.doctor()
    assert (report.wrong(), TOKEN in json.dumps(report.findings)) == (set(), False)
    (sick.runtime / "sgoped.sock").unlink()
    report = sick.doctor()
    assert report.wrong() == {"socket_lost"}  # over TCP it is let in as well
    assert "daemon_up" in report.codes()


def test_a_token_that_was_changed_since_the_start_is_found(
    sick: Home, start_daemon: StartDaemon
) -> None:
    settings(sick, f"token = {json.dumps(TOKEN)}\n")
    sent = {"Authorization": f"Bearer {TOKEN}"}
    assert start_daemon(sick.path).request("POST", "/api/refresh", {}, sent)[0] == 200
    settings(sick, f"token = {json.dumps(TOKEN[::-1])}\n")
    sick.expect("tcp_refused", fixed=False)
    assert sick.doctor().one("settings_newer")["where"].endswith("config.toml")


def test_listening_beyond_this_machine_is_noted(
    sick: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SGOPED_HOST", "0.0.0.0")
    monkeypatch.setenv("SGOPED_TOKEN", TOKEN)
    report = sick.doctor()
    assert report.exit_code == 0
    assert "unencrypted" in report.one("open_to_network")["what"]
    assert "who has the token" in report.one("access_private")["what"]


def test_others_who_are_let_in_without_a_token_are_found(
    sick: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SGOPED_CHECK_PEER_UID", "false")
    people(monkeypatch, "bob", "carol")
    found = sick.expect("peers_unchecked", fixed=False)
    assert "bob, carol" in found["what"]
    people(monkeypatch)
    report = sick.doctor()
    assert (report.exit_code, report.one("peers_unchecked")["severity"]) == (0, "note")
    assert "access_private" not in report.codes()
    people(monkeypatch, "bob")
    monkeypatch.setenv("SGOPED_TOKEN", TOKEN)
    assert sick.doctor().wrong() == set()


def test_only_people_count_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    accounts = [
        SimpleNamespace(pw_name=name, pw_uid=uid, pw_shell=shell)
        for name, uid, shell in (
            ("root", 0, "/bin/bash"),
            ("www", 33, "/bin/sh"),
            ("me", 1234, "/bin/bash"),
            ("bob", 1001, "/bin/zsh"),
            ("backup", 1002, "/usr/sbin/nologin"),
            ("nobody", 65_534, "/bin/sh"),
        )
    ]
    monkeypatch.setattr(pwd, "getpwall", lambda: accounts)
    monkeypatch.setattr(os, "getuid", lambda: 1234)
    assert access.other_people() == ["bob"]
