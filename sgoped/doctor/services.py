"""Examines the LLM services: each configured one is tested, which spends no tokens."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from sgoped.database import reading
from sgoped.doctor.finding import Finding, Severity, Topic, counted
from sgoped.doctor.instance import Daemon, Unanswered
from sgoped.doctor.subject import Subject

_finding = partial(Finding, Topic.SERVICES)

TEST_SECONDS = 15.0


def check_services(subject: Subject) -> Iterator[Finding]:
    """Test every service, all at once."""
    daemon = subject.instance.daemon
    if daemon is None:
        yield from _untested(subject)
        return
    services: dict[str, Any] = daemon.get("/api/services")
    outcomes = _test_all(daemon, services)
    for name, service in services.items():
        yield _judge(name, service, outcomes.get(name, "timeout: no answer in time"))
    yield from _default_model(subject, daemon, services)


def _untested(subject: Subject) -> Iterator[Finding]:
    path = subject.paths.state_db
    try:
        with reading(path, live=subject.instance.running) as connection:
            names = [row[0] for row in connection.execute("select id from service")]
    except (OSError, sqlite3.Error):
        return
    if names:
        yield _finding(
            "services_untested",
            Severity.NOTE,
            f"{counted(len(names), 'service is', 'services are')} not tested ({', '.join(names)}): "
            "no daemon runs",
        )


def _test_all(daemon: Daemon, services: Mapping[str, Any]) -> dict[str, str]:
    """An error by service; empty for good ones."""
    outcomes: dict[str, str] = {}

    def test(name: str, service: Mapping[str, Any]) -> None:
        body = {"service_type": service["type"], "config": service["config"]}
        try:
            answer = daemon.post("/api/services/test", body, TEST_SECONDS)
        except Unanswered as error:
            outcomes[name] = str(error)
        else:
            outcomes[name] = "" if answer["success"] else str(answer["error"])

    threads = [
        threading.Thread(target=test, args=(name, service), name="service-test", daemon=True)
        for name, service in services.items()
        if service["enabled"]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TEST_SECONDS)
    return dict(outcomes)


def _judge(name: str, service: Mapping[str, Any], error: str) -> Finding:
    where = str(service["config"].get("host") or service["config"].get("base_url") or "")
    if not service["enabled"]:
        return _finding("service_off", Severity.NOTE, f"{name} is switched off", where)
    if error:
        return _finding(
            "service_failed",
            Severity.WARNING,
            f"{name} does not answer: {error}",
            where,
            f"start it, or correct its address and key; sgoped services test {json.dumps(name)}",
        )
    return _finding("service_good", Severity.OK, f"{name} answers", where)


def _default_model(
    subject: Subject, daemon: Daemon, services: Mapping[str, Any]
) -> Iterator[Finding]:
    if not services:
        yield _finding(
            "services_none",
            Severity.NOTE,
            "no service is configured; all that needs no model works",
        )
        return
    answer = daemon.get("/api/models")
    wanted, default = subject.settings.default_model, answer["default_model"]
    known = {model[field] for model in answer["all_models"] for field in ("id", "name")}
    if wanted and wanted not in known:
        yield _finding(
            "default_model_unknown",
            Severity.WARNING,
            f"DEFAULT_MODEL is {wanted!r}, which no service has",
            daemon.url,
            "choose one of: sgoped models",
        )
    elif default:
        yield _finding("default_model_known", Severity.OK, f"the default model is {default}")
    else:
        yield _finding(
            "default_model_none",
            Severity.NOTE,
            "no default model: a question must name its model, or is answered from the files alone",
            daemon.url,
            "choose one with: sgoped models default ID",
        )
