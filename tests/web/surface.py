"""Every route of the real router as requests that can be sent; a new route is here by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web  # noqa: TID251 - reads the router of the application

from sgoped.app import create_app
from sgoped.config import Settings
from sgoped.paths import resolve_paths
from sgoped.web.openapi import build_document
from sgoped.web.routes import ROUTES

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
JSON_TYPE = ("Content-Type", "application/json")
_VARIABLE = re.compile(r"{(\w+)}")


@dataclass(frozen=True, slots=True)
class Operation:
    """One route with what the document says of it.

    Attributes:
        method: As on the router.
        path: Such as ``/api/services/{service_id}``.
        described: Its entry in the document; empty for HEAD.
        schemas: The document's shapes.
    """

    method: str
    path: str
    described: dict[str, Any] = field(default_factory=dict, repr=False)
    schemas: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def takes_body(self) -> bool:
        return "requestBody" in self.described

    @property
    def is_stream(self) -> bool:
        """Whether its answer is a stream that does not end by itself."""
        return self.path in ("/api/events", "/ws/suggestions")

    @property
    def fields(self) -> dict[str, Any]:
        """The schemas of the body's fields, by name."""
        return dict(self._body_schema().get("properties", {}))

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """Where each parameter is and its name."""
        return [(each["in"], each["name"]) for each in self.described.get("parameters", ())]

    def target(self, given: dict[str, str] | None = None, **query: str) -> str:
        """An address with every variable filled in, and what is required of the query."""
        given = given or {}
        path = _VARIABLE.sub(lambda found: quote(given.get(found[1], "some"), safe=""), self.path)
        required = {
            each["name"]: "some"
            for each in self.described.get("parameters", ())
            if each["in"] == "query" and each["required"]
        }
        asked = urlencode({**required, **query})
        return f"{path}?{asked}" if asked else path

    def body(self, **given: Any) -> dict[str, Any]:
        """A body that would write, were it let in: every field with a value of its type."""
        filled = {
            name: self._value(name, schema)
            for name, schema in self.fields.items()
            if name != "attachments"
        }
        return {**filled, **given} if self.takes_body else {}

    def body_bytes(self, **given: Any) -> bytes:
        """``body`` as sent; nothing for a route that takes none."""
        return json.dumps(self.body(**given)).encode() if self.takes_body else b""

    def _value(self, name: str, schema: dict[str, Any]) -> Any:
        if "$ref" in schema:
            return {"name": "written", "host": "http://127.0.0.1:9"}
        kinds = [schema.get("type"), *(each.get("type") for each in schema.get("anyOf", ()))]
        if name == "service_type":
            return "ollama"
        if "string" in kinds or kinds == [None]:
            return f"written-{name}"
        return {"array": [], "integer": 1, "number": 1, "boolean": True}.get(str(kinds[0]), {})

    def _body_schema(self) -> dict[str, Any]:
        content = self.described.get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        if "$ref" in schema:
            schema = self.schemas[schema["$ref"].rpartition("/")[2]]
        return dict(schema)


def operations() -> list[Operation]:
    """All routes of the application as it is composed, HEAD among them."""
    app = create_app(Settings(), resolve_paths(Path("/nonexistent/home")))
    return list(_operations(app))


def _operations(app: web.Application) -> Iterator[Operation]:
    document = build_document(ROUTES)
    schemas = document["components"]["schemas"]
    for route in app.router.routes():
        assert route.resource is not None
        path = route.resource.canonical
        described = document["paths"].get(path) or {"get": document["x-websockets"].get(path)}
        yield Operation(route.method, path, described.get(route.method.lower()) or {}, schemas)


def addresses(all_operations: Sequence[Operation]) -> list[str]:
    """One concrete address for each path, and one that does not exist."""
    filled = {operation.path: operation.target() for operation in all_operations}
    return [*filled.values(), "/nowhere"]


def path_like(operation: Operation) -> Iterator[tuple[str, str]]:
    """Where a text goes that could be taken for a path: every parameter and field that is one."""
    yield from operation.parameters
    for name, schema in operation.fields.items():
        kinds = {schema.get("type"), *(each.get("type") for each in schema.get("anyOf", ()))}
        if "string" in kinds:
            yield "body", name
        if name == "attachments":
            yield "attachment", "name"
