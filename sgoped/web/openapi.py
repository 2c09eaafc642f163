"""The OpenAPI 3.1 document, made from the route table and the wire's types."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from aiohttp import web
from pydantic import TypeAdapter

import sgoped
from sgoped.web.endpoint import EVENT_STREAM, JSON, WEBSOCKET, Endpoint, endpoint
from sgoped.web.parameters import Parameter
from sgoped.web.replies import ErrorReply
from sgoped.web.wire import reply

ERROR_REF = "#/components/schemas/ErrorReply"
DESCRIPTION = (
    "Suggestions while a person types, and chat over their files and the models they choose. "
    "The Host header must name the daemon (the loopback interface, unless it was told to listen "
    "elsewhere), and a browser's Origin must be the front end's or the daemon's own. Where a token "
    "is set, all that comes over TCP must carry it. Failures are "
    '`{"detail", "code"}`.'
)

Described = tuple[str, str, Endpoint]


class Document:
    """The document as bytes, made once, when somebody first asks."""

    def __init__(self, described: Sequence[Described]) -> None:
        self._described = described
        self._lock = asyncio.Lock()
        self._document: dict[str, Any] | None = None

    async def get(self) -> dict[str, Any]:
        """Return the document."""
        async with self._lock:
            if self._document is None:
                self._document = await asyncio.to_thread(build_document, self._described)
            return self._document


DOCUMENT = web.AppKey("document", Document)


def build_document(described: Sequence[Described]) -> dict[str, Any]:
    """Describe every operation: ``described`` is method, path and endpoint of each."""
    schemas = _Schemas(operation for _, _, operation in described)
    paths: dict[str, dict[str, Any]] = {}
    sockets: dict[str, dict[str, Any]] = {}
    for method, path, operation in described:
        entry = _operation(operation, schemas)
        entry["operationId"] = _operation_id(operation, path)
        if operation.media_type == WEBSOCKET:
            sockets[path] = entry
        else:
            paths.setdefault(_plain(path), {})[method.lower()] = entry
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "sgoped",
            "version": sgoped.__version__,
            "description": DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "x-websockets": sockets,  # OpenAPI has no place for them
        "components": {
            "schemas": schemas.definitions,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _plain(path: str) -> str:
    """``/api/models/{id:.+}/health`` without aiohttp's patterns."""
    plain, rest = "", path
    while "{" in rest:
        before, _, rest = rest.partition("{")
        name, _, rest = rest.partition("}")
        plain += before + "{" + name.partition(":")[0] + "}"
    return plain + rest


def _operation_id(operation: Endpoint, path: str) -> str:
    """The handler's name; with the path's where one handler has several addresses."""
    name = getattr(operation.handler, "__name__", "operation")
    return f"{name}_api" if path == "/api/health" else str(name)


class _Schemas:
    """The JSON schemas of all types that the operations use."""

    def __init__(self, operations: Iterable[Endpoint]) -> None:
        wanted: dict[Any, None] = {ErrorReply: None}
        for operation in operations:
            wanted.update({kind: None for kind in (operation.body, operation.returns) if kind})
        adapters = [(str(kind), "validation", TypeAdapter(kind)) for kind in wanted]
        found, definitions = TypeAdapter.json_schemas(
            adapters,  # type: ignore[arg-type]  # the mode is a Literal that mypy widens to str
            ref_template="#/components/schemas/{model}",
        )
        self._found: Mapping[tuple[str, str], Any] = found  # type: ignore[assignment]  # as above
        self.definitions: dict[str, Any] = definitions["$defs"]

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of one type; ``{}`` (anything) for ``None``."""
        return dict(self._found[(str(kind), "validation")]) if kind else {"type": "object"}


def _operation(operation: Endpoint, schemas: _Schemas) -> dict[str, Any]:
    entry: dict[str, Any] = {"tags": [operation.tag], "summary": operation.summary}
    if operation.description:
        entry["description"] = operation.description
    if operation.parameters:
        entry["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body is not None:
        schema = schemas.of(operation.body)
        entry["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
    entry["responses"] = _responses(operation, schemas)
    return entry


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.description,
        "required": parameter.required,
        "schema": parameter.schema(),
    }


def _responses(operation: Endpoint, schemas: _Schemas) -> dict[str, Any]:
    answers = {str(status): _failure(status) for status in _failures(operation)}
    if operation.media_type == WEBSOCKET:
        return {"101": {"description": "The socket is open."}} | answers
    content: dict[str, Any] = {"schema": {"type": "string"}}
    if operation.media_type == JSON:
        content["schema"] = schemas.of(operation.returns)
    elif operation.media_type == EVENT_STREAM:
        content = {"itemSchema": _stream_item(schemas.of(operation.returns))}
    good = {"description": "Done.", "content": {operation.media_type: content}}
    return {"200": good} | answers


def _stream_item(data: dict[str, Any]) -> dict[str, Any]:
    """One server-sent event, as OpenAPI 3.2 describes them."""
    as_json = {"type": "string", "contentMediaType": JSON, "contentSchema": data}
    properties = {"data": as_json, "id": {"type": "string"}, "event": {"type": "string"}}
    return {"type": "object", "required": ["data"], "properties": properties}


def _failures(operation: Endpoint) -> list[int]:
    """Every status with an error body: those of the gate and of reading, and the operation's."""
    statuses = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, *operation.fails}
    if operation.parameters:
        statuses.add(HTTPStatus.UNPROCESSABLE_ENTITY)
    if operation.body is not None:
        statuses |= {
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.REQUEST_TIMEOUT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            HTTPStatus.UNPROCESSABLE_ENTITY,
        }
    return sorted(int(status) for status in statuses)


def _failure(status: int) -> dict[str, Any]:
    return {
        "description": HTTPStatus(status).phrase,
        "content": {JSON: {"schema": {"$ref": ERROR_REF}}},
    }


@endpoint("pages")
async def show_document(request: web.Request) -> web.StreamResponse:
    """The OpenAPI 3.1 document of this surface."""
    return reply(await request.app[DOCUMENT].get())
