"""The document has every route, and every claim in it resolves."""

from __future__ import annotations

import json
import re
from typing import Any

from sgoped.web.endpoint import WEBSOCKET
from sgoped.web.openapi import build_document
from sgoped.web.routes import ROUTES
from tests.web.conftest import Client


def document() -> dict[str, Any]:
    return build_document(ROUTES)


def plain(path: str) -> str:
    return re.sub(r":[^}]*}", "}", path)


def test_every_route_is_in_the_document_and_nothing_else() -> None:
    built = document()
    shown = {(method.upper(), path) for path, item in built["paths"].items() for method in item} | {
        ("GET", path) for path in built["x-websockets"]
    }
    assert shown == {(route.method, plain(route.path)) for route in ROUTES}


async def test_the_table_is_the_router(client: Client) -> None:
    app = client.server.app  # type: ignore[attr-defined]  # a TestServer has one
    on_router = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.method != "HEAD"
    }
    assert on_router == {(route.method, plain(route.path)) for route in ROUTES}


def test_every_reference_resolves() -> None:
    built = document()
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(built)))
    assert references
    assert references <= set(built["components"]["schemas"])


def test_every_operation_is_described_and_has_errors_and_bounds() -> None:
    built = document()
    ids = []
    for path, item in built["paths"].items():
        for method, operation in item.items():
            ids.append(operation["operationId"])
            assert operation["summary"], (method, path)
            assert "403" in operation["responses"]
            if "requestBody" in operation:
                assert {"400", "413", "415", "422"} <= set(operation["responses"])
            for parameter in operation.get("parameters", ()):
                assert parameter["description"]
                assert {"maxLength", "maximum"} & set(parameter["schema"])
            named = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))
    assert len(ids) == len(set(ids))


def test_answers_have_shapes() -> None:
    for route in ROUTES:
        if route.path.startswith("/api") and route.path != "/api/actions/execute":
            assert route.endpoint.returns is not None, route.path
    sockets = [route.path for route in ROUTES if route.endpoint.media_type == WEBSOCKET]
    assert sockets == ["/ws/suggestions"]


async def test_the_document_is_served(client: Client) -> None:
    async with client.get("/openapi.json") as response:
        assert response.content_type == "application/json"
        served = await response.json()
    assert served["openapi"].startswith("3.1")
    assert served == json.loads(json.dumps(document()))
