"""What every request passes, in this order: gate, errors, limits; and the headers of every answer.

The gate is outermost and answers preflights without touching anything, since the front end sends
one before each key stroke's look-up. Headers are added when a response is prepared, because that
alone reaches event streams and errors too.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from sgoped.config import Settings
from sgoped.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    NotText,
    ServiceError,
    SgopedError,
    StorageError,
    TooLarge,
)
from sgoped.unexpected import log_unexpected
from sgoped.web.endpoint import MAX_BODY_BYTES
from sgoped.web.expecting import Unexpected, invite_body
from sgoped.web.gate import (
    WRITING_METHODS,
    Policy,
    Refusal,
    judge_content_type,
    make_policy,
    preflight_headers,
)
from sgoped.web.headers import add_security_headers
from sgoped.web.keys import BOUND, REDACTOR
from sgoped.web.live import TooManyConnections
from sgoped.web.wire import MEBIBYTE, InvalidShape, error_reply, refuse_oversized, reply

ALLOWED_ORIGIN = web.RequestKey("allowed_origin", str)

EXPOSED_HEADERS = "ETag, X-Total-Count"

STATUS_OF_CLASS: Mapping[type[SgopedError], HTTPStatus] = MappingProxyType(
    {
        InvalidShape: HTTPStatus.UNPROCESSABLE_ENTITY,
        Unexpected: HTTPStatus.EXPECTATION_FAILED,
        InvalidInput: HTTPStatus.BAD_REQUEST,
        NotFound: HTTPStatus.NOT_FOUND,
        Conflict: HTTPStatus.CONFLICT,
        NotText: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        StorageError: HTTPStatus.INTERNAL_SERVER_ERROR,
        ServiceError: HTTPStatus.BAD_GATEWAY,
        TooManyConnections: HTTPStatus.SERVICE_UNAVAILABLE,
    }
)
STATUS_OF_CODE: Mapping[str, HTTPStatus] = MappingProxyType(
    {
        "storage_full": HTTPStatus.INSUFFICIENT_STORAGE,
        "read_only": HTTPStatus.FORBIDDEN,
    }
)


def make_gate(settings: Settings) -> Middleware:
    """Build the outermost layer: Host, target, Origin, content type, preflight."""
    policies: dict[int, Policy] = {}

    def policy_of(port: int) -> Policy:
        if port not in policies:
            policies.clear()
            policies[port] = make_policy(port, settings.allowed_hosts, settings.allowed_origins)
        return policies[port]

    @web.middleware
    async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = _judge(request, policy_of(request.app[BOUND].port))
        if refusal is not None:
            return _refuse(request, refusal)
        if request.method == hdrs.METH_OPTIONS:
            return _answer_preflight(request)
        return await handler(request)

    return gate


def _judge(request: web.Request, policy: Policy) -> Refusal | None:
    headers = request.headers
    hosts = headers.getall(hdrs.HOST, ())
    refusal = policy.judge_host(hosts, request.raw_path)
    if refusal is not None and not _came_by_unix_socket(request, hosts):
        return refusal
    origins = headers.getall(hdrs.ORIGIN, ())
    sites = headers.getall("Sec-Fetch-Site", ())
    if origins or sites:
        refusal = policy.judge_origin(origins, sites)
        if refusal is not None:
            return refusal
        if origins:
            request[ALLOWED_ORIGIN] = origins[0]
    if _needs_json(request, from_browser=bool(origins or sites)):
        return judge_content_type(
            headers.getall(hdrs.CONTENT_TYPE, ()), headers.getall(hdrs.CONTENT_ENCODING, ())
        )
    return None


def _came_by_unix_socket(request: web.Request, hosts: tuple[str, ...] | list[str]) -> bool:
    """No browser can reach a unix socket, and its Host has no port to compare."""
    transport = request.transport
    by_socket = transport is not None and isinstance(transport.get_extra_info("sockname"), str)
    return by_socket and list(hosts) == ["localhost"] and request.raw_path[:1] == "/"


def _needs_json(request: web.Request, *, from_browser: bool) -> bool:
    if request.method == hdrs.METH_OPTIONS:
        return False
    if from_browser and request.method in WRITING_METHODS:
        return True
    headers = request.headers
    return headers.get(hdrs.CONTENT_LENGTH, "0") != "0" or hdrs.TRANSFER_ENCODING in headers


def _refuse(request: web.Request, refusal: Refusal) -> web.Response:
    response = error_reply(refusal.status, refusal.code, refusal.message)
    if request.body_exists:
        response.force_close()  # the body of a stranger is not worth reading
    return response


def _answer_preflight(request: web.Request) -> web.Response:
    response = reply({}, headers=preflight_headers())
    if request.headers.get("Access-Control-Request-Private-Network") == "true":
        response.headers["Access-Control-Allow-Private-Network"] = "true"
    return response


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every failure into a status and ``{"detail", "code"}``, in this one place."""
    try:
        return await handler(request)
    except SgopedError as error:
        message = request.app[REDACTOR].redact(error.message)
        response = error_reply(status_of(error), error.code, message)
        if isinstance(error, TooLarge):
            response.force_close()
        return response
    except web.HTTPException as error:
        return _from_http_exception(request, error)
    except Exception as error:  # noqa: BLE001 - the edge: logged without what may be content
        log_unexpected(f"{request.method} {request.match_info.route.name or ''}", error)
        return error_reply(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "internal_error",
            "something unexpected went wrong; the log says where",
        )


def status_of(error: SgopedError) -> HTTPStatus:
    """The status of an expected failure: by its code, else by the nearest class of its tree."""
    if error.code in STATUS_OF_CODE:
        return STATUS_OF_CODE[error.code]
    for base in type(error).__mro__:
        if base in STATUS_OF_CLASS:
            return STATUS_OF_CLASS[base]
    return HTTPStatus.INTERNAL_SERVER_ERROR


def _from_http_exception(request: web.Request, error: web.HTTPException) -> web.Response:
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return error_reply(
            error.status,
            "method_not_allowed",
            f"this address takes {allowed}",
            headers={"Allow": allowed},
        )
    if error.status == HTTPStatus.NOT_FOUND:
        message = "there is nothing at this address; see /docs for what there is"
        return error_reply(error.status, "unknown_route", message)
    return error_reply(error.status, HTTPStatus(error.status).name.lower(), error.reason)


def make_limits(caps: Mapping[object, int]) -> Middleware:
    """Build the layer that caps bodies: ``caps`` is bytes by handler, 1 MiB for all others."""

    @web.middleware
    async def limits(request: web.Request, handler: Handler) -> web.StreamResponse:
        cap = caps.get(request.match_info.handler, MEBIBYTE)
        refuse_oversized(request, cap)
        request[MAX_BODY_BYTES] = cap
        await invite_body(request)
        return await handler(request)

    return limits


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Give every answer, streams and errors too, its CORS and security headers."""
    headers = response.headers
    add_security_headers(headers)
    origin = request.get(ALLOWED_ORIGIN)
    if origin is not None:
        headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED_HEADERS
