from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing

import pytest

from tests.doctor.homes import Home
from tests.fakes.upstream import FakeUpstream
from tests.processes import DaemonProcess


def add(daemon: DaemonProcess, name: str, address: str, key: str = "") -> None:
    kind = "openai" if key else "ollama"
    where = {"base_url": address, "api_key": key} if key else {"host": address}
    body = {
        "service_id": name,
        "service_type": kind,
        "config": {"name": name, "models": ["tiny"], **where},
    }
    status, answer = daemon.request("POST", "/api/services/add", body)
    assert status == 200, answer


def test_no_service_is_no_fault(sick: Home, start: Callable[[], DaemonProcess]) -> None:
    start()
    report = sick.doctor()
    assert (report.exit_code, report.one("services_none")["severity"]) == (0, "note")


def test_a_service_that_does_not_answer_is_told_and_its_key_is_not(
    sick: Home, start: Callable[[], DaemonProcess]
) -> None:
    daemon = start()
    add(daemon, "cloud", "http://127.0.0.1:9/v1", key="sk-secret-1234")
    report = sick.doctor()
    assert report.wrong() == {"service_failed"}
    found = report.one("service_failed")
    assert "cloud" in found["what"]
    assert found["where"] == "http://127.0.0.1:9/v1"
    assert "sk-secret" not in str(report.findings)


def test_without_a_daemon_services_are_named_and_not_tested(sick: Home) -> None:
    with closing(sqlite3.connect(sick.data / "state.db")) as connection:
        connection.execute("insert into service values (1, 'mine', 'ollama', 'Mine', 1, '{}')")
        connection.commit()
    report = sick.doctor()
    assert report.exit_code == 0
    assert "1 service is not tested (mine)" in report.one("services_untested")["what"]


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    """A service that answers."""
    async with FakeUpstream() as upstream:
        yield upstream


async def test_a_service_that_answers_is_good_and_no_tokens_are_spent(
    sick: Home, start: Callable[[], DaemonProcess], upstream: FakeUpstream
) -> None:
    daemon = await asyncio.to_thread(start)
    await asyncio.to_thread(add, daemon, "local", upstream.url)
    report = await asyncio.to_thread(sick.doctor)
    assert (report.exit_code, report.wrong()) == (0, set())
    assert report.one("service_good")["what"] == "local answers"
    assert {"default_model_known", "default_model_none"} & report.codes()
    asked = {request.path for request in upstream.requests}
    assert asked <= {"/api/tags", "/api/show", "/api/version"}


async def test_a_default_model_that_nobody_has_is_told(
    sick: Home,
    start: Callable[[], DaemonProcess],
    upstream: FakeUpstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    daemon = await asyncio.to_thread(start)
    await asyncio.to_thread(add, daemon, "local", upstream.url)
    monkeypatch.setenv("DEFAULT_MODEL", "enormous")
    report = await asyncio.to_thread(sick.doctor)
    assert report.wrong() == {"default_model_unknown"}
    assert "'enormous'" in report.one("default_model_unknown")["what"]
