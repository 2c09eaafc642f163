"""Hooks for the schemathesis command.

No generated endpoint leads off this machine. What every answer said is counted by operation, for
the report at the end. Over a daemon with something in it (``SGOPED_TEST_WORLD`` names a file of
JSON that tells what), most of the generated values that can only be meaningful by luck, such as
paths and ids, are exchanged for ones that mean something there.
"""

from __future__ import annotations

import atexit
import http.client
import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import schemathesis

NOBODY_LISTENS = "http://127.0.0.1:9"
AS_GENERATED = 5  # one of so many requests stays as it is
TRAPS = 4  # one of so many paths tries to lead out
POOL = 40


class World:
    """A daemon with files, versions, a link that leads out, and a service that answers."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._url = urlsplit(told["url"])
        self._folder = Path(told["memory_dir"])
        self._upstream = told["upstream"]
        self._traps = tuple(told["traps"])
        self._numbers: Counter[str] = Counter()
        self._fill: dict[str, Callable[[Any, int], None]] = {
            "GET /api/files/content": self._name_in_query,
            "DELETE /api/files/content": self._name_in_query,
            "GET /api/files/versions": self._name_in_query,
            "POST /api/files/content": self._name_in_body,
            "POST /api/files/rename": self._rename,
            "POST /api/files/restore": self._restore,
            "POST /api/services/test": self._configure,
            "POST /api/services/add": self._configure,
            "PUT /api/services/{service_id}": self._configure,
            "DELETE /api/services/{service_id}": self._remove_service,
            "POST /api/models/default": self._choose_model,
            "GET /api/models/{model_id}/health": self._ask_model,
            "POST /api/actions/execute": self._execute,
            "GET /api/conversations/{conversation_id}": self._talk,
            "PATCH /api/conversations/{conversation_id}": self._talk,
            "DELETE /api/conversations/{conversation_id}": self._talk,
            "POST /api/conversations/{conversation_id}/fork": self._fork,
            "POST /api/conversations/{conversation_id}/export": self._export,
            "DELETE /api/enrichments/{enrichment_id}": self._name_what_waits,
            "POST /api/enrichments/{enrichment_id}/retry": self._name_what_waits,
            "GET /api/runs/{run_id}": self._name_run,
            "DELETE /api/runs/{run_id}": self._name_run,
            "GET /api/runs/{run_id}/events": self._name_run,
            "POST /api/runs/{run_id}/stop": self._name_run,
        }

    def fill(self, case: Any) -> None:
        """Give ``case`` values that mean something, or that try to lead out."""
        label = case.operation.label
        self._numbers[label] += 1
        fill = self._fill.get(label)
        if fill is not None and self._numbers[label] % AS_GENERATED:
            fill(case, self._numbers[label])

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        return json.loads(self._send(method, path, body))

    def _send(self, method: str, path: str, body: object = None) -> bytes:
        connection = http.client.HTTPConnection(str(self._url.hostname), self._url.port, timeout=30)
        try:
            headers = {"Content-Type": "application/json"}
            data = None if body is None else json.dumps(body)
            connection.request(method, path, body=data, headers=headers)
            return connection.getresponse().read()
        finally:
            connection.close()

    def _path(self, number: int) -> str:
        """One of a few files, made anew where an earlier request removed it; or a trap."""
        if number % TRAPS == 0:
            return str(self._traps[number // TRAPS % len(self._traps)])
        path = f"pool/file {number % POOL}.txt"
        file = self._folder / path
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"text {number}")
        return path if number % 3 else f".f:{quote(path)}"

    def _name_in_query(self, case: Any, number: int) -> None:
        case.query = {**(case.query or {}), "path": self._path(number)}
        case.headers.pop("If-Match", None)

    def _name_in_body(self, case: Any, number: int) -> None:
        if isinstance(case.body, dict):
            case.body["path"] = self._path(number)
            case.headers.pop("If-Match", None)

    def _rename(self, case: Any, number: int) -> None:
        self._name_in_body(case, number)
        if isinstance(case.body, dict) and number % 4:
            case.body["to"] = f"renamed/{number}.txt"

    def _restore(self, case: Any, number: int) -> None:
        self._name_in_body(case, number)
        if not isinstance(case.body, dict):
            return
        asked = f"/api/files/versions?path={quote(case.body['path'])}"
        for text in ("one", "two"):
            found = self._ask("GET", asked)
            if found and isinstance(found, list):
                case.body["version"] = found[-1]["version"]
                return
            self._ask("POST", "/api/files/content", {"path": case.body["path"], "content": text})

    def _configure(self, case: Any, number: int) -> None:
        if isinstance(case.body, dict):
            kind = ("ollama", "openai")[number % 2]
            models = ["beta"] if number % 4 == 0 else []
            case.body["service_type"] = kind
            case.body["config"] = {
                "name": case.body.get("config", {}).get("name"),
                "models": models,
                "host": self._upstream,
                "base_url": f"{self._upstream}/v1",
            }

    def _remove_service(self, case: Any, number: int) -> None:
        service_id = f"passing-{number % 3}"
        self._add_service(service_id)
        case.path_parameters = {"service_id": service_id}

    def _add_service(self, service_id: str) -> None:
        config = {"name": "Passing", "host": self._upstream, "models": ["beta"]}
        body = {"service_id": service_id, "service_type": "ollama", "config": config}
        self._ask("POST", "/api/services/add", body)

    def _model(self, number: int) -> str:
        models = self._ask("GET", "/api/models")["all_models"]
        return str(models[number % len(models)]["id"]) if models else "none"

    def _choose_model(self, case: Any, number: int) -> None:
        case.body = {"model": self._model(number)}

    def _ask_model(self, case: Any, number: int) -> None:
        case.path_parameters = {"model_id": self._model(number)}

    def _name_what_waits(self, case: Any, number: int) -> None:
        """A summary that waits for a model which there is not."""
        words = "what no model can summarise " * 5
        body = {"message": words, "model": "nobody/m", "selected_action": "add_knowledge"}
        self._send("POST", "/api/chat/stream", body)
        waiting = self._ask("GET", "/api/enrichments")
        case.path_parameters = {"enrichment_id": waiting[-1]["id"] if waiting else "none"}

    def _name_run(self, case: Any, number: int) -> None:
        """One that was made just now."""
        connection = http.client.HTTPConnection(str(self._url.hostname), self._url.port, timeout=30)
        try:
            headers = {"Content-Type": "application/json"}
            body = json.dumps({"message": "hello"})
            connection.request("POST", "/api/chat/stream", body=body, headers=headers)
            response = connection.getresponse()
            response.read()
            case.path_parameters = {"run_id": response.headers["X-Run-Id"]}
        finally:
            connection.close()

    def _execute(self, case: Any, number: int) -> None:
        if isinstance(case.body, dict):
            case.body["action_id"] = ("add_knowledge", "/add_knowledge")[number % 2]
            case.body["user_input"] = str(case.body.get("user_input", "")) + " words to keep"
            case.body["attachments"] = []

    def _talk(self, case: Any, number: int) -> None:
        conversation_id = f"talk-{number % 3}"
        body = {"message": f"question {number}", "conversation_id": conversation_id}
        self._send("POST", "/api/chat/stream", body)
        case.path_parameters = {"conversation_id": conversation_id}

    def _fork(self, case: Any, number: int) -> None:
        self._talk(case, number)
        case.body = {"at": 1 + number % 2}

    def _export(self, case: Any, number: int) -> None:
        self._talk(case, number)
        case.body = {"path": self._path(number)} if number % 2 else {}


class Report:
    """How often each operation was answered with which status, and what should never be."""

    def __init__(self, file: Path, secret: str) -> None:
        self._file = file
        self._secret = secret.encode()
        self._lock = threading.Lock()
        self._statuses: dict[str, Counter[int]] = {}
        self._leaks: list[str] = []
        atexit.register(self.write)

    def note(self, label: str, status: int, content: bytes) -> None:
        with self._lock:
            self._statuses.setdefault(label, Counter())[status] += 1
            if self._secret and self._secret in content:
                self._leaks.append(label)

    def write(self) -> None:
        told = {"statuses": self._statuses, "leaks": self._leaks}
        self._file.write_text(json.dumps(told))


def _told() -> dict[str, Any]:
    file = os.environ.get("SGOPED_TEST_WORLD", "")  # noqa: TID251 - the only way into the command
    return dict(json.loads(Path(file).read_text())) if file else {}


def _reports(told: dict[str, Any]) -> Iterator[Report]:
    if "report" in told:
        yield Report(Path(told["report"]), told.get("secret", ""))


TOLD = _told()
WORLD = World(TOLD) if "memory_dir" in TOLD else None
REPORTS = tuple(_reports(TOLD))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Point every service that is tried or saved at a closed loopback port, or at the fake."""
    config = case.body.get("config") if isinstance(case.body, dict) else None
    if isinstance(config, dict):
        config.update(host=NOBODY_LISTENS, base_url=NOBODY_LISTENS)
    if WORLD is not None:
        WORLD.fill(case)


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Count the answer."""
    for report in REPORTS:
        report.note(case.operation.label, response.status_code, response.content)
