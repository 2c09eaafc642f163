"""What every request passes, in this order: gate, errors, limits; and the headers of every answer.

The gate is outermost and answers preflights without touching anything, since the front end sends
one before each key stroke's look-up. Headers are added when a response is prepared, because that
alone reaches event streams and errors too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from sgoped.web.bearer import judge_subprotocols, judge_token
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
from sgoped.web.wire import (
    MEBIBYTE,
    BodyTimedOut,
    InvalidShape,
    error_reply,
    refuse_oversized,
    reply,
)

USUAL_HOSTS = ("localhost", "127.0.0.1", "::1")
MAX_POLICIES = 16
ALLOWED_ORIGIN = web.RequestKey("allowed_origin", str)

EXPOSED_HEADERS = "ETag, X-Run-Id, X-Total-Count"

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
        "body_timeout": HTTPStatus.REQUEST_TIMEOUT,
    }
)


def make_gate(settings: Settings) -> Middleware:
    """Build the outermost layer: Host, target, Origin, token, content type, preflight."""
    policies: dict[tuple[int, str | None], Policy] = {}
    usual = settings.host in USUAL_HOSTS
    token = settings.token.get_secret_value() if settings.token is not None else None

    def policy_of(request: web.Request) -> Policy:
        key = (request.app[BOUND].port, None if usual else _own_address(request))
        if key not in policies:
            if len(policies) >= MAX_POLICIES:
                policies.clear()
            policies[key] = make_policy(
                key[0], settings.allowed_hosts, settings.allowed_origins, key[1]
            )
        return policies[key]

    @web.middleware
    async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = _judge(request, policy_of(request), token)
        if refusal is not None:
            return _refuse(request, refusal)
        if request.method == hdrs.METH_OPTIONS:
            return _answer_preflight(request)
        return await handler(request)

    return gate


def _judge(request: web.Request, policy: Policy, token: str | None) -> Refusal | None:
    headers = request.headers
    hosts = headers.getall(hdrs.HOST, ())
    by_unix_socket = _came_by_unix_socket(request)
    refusal = policy.judge_host(hosts, request.raw_path)
    if refusal is not None and not (by_unix_socket and _names_no_port(request, hosts)):
        return refusal
    return (
        _judge_origin(request, policy)
        or _judge_token(request, None if by_unix_socket else token)
        or _judge_content_type(request)
    )


def _judge_origin(request: web.Request, policy: Policy) -> Refusal | None:
    headers = request.headers
    origins = headers.getall(hdrs.ORIGIN, ())
    sites = headers.getall("Sec-Fetch-Site", ())
    if origins or sites:
        refusal = policy.judge_origin(origins, sites)
        if refusal is not None:
            return refusal
        if origins:
            request[ALLOWED_ORIGIN] = origins[0]
    return None


def _judge_token(request: web.Request, token: str | None) -> Refusal | None:
    headers = request.headers
    subprotocols = headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, ())
    if subprotocols:
        refusal = judge_subprotocols(subprotocols)
        if refusal is not None:
            return refusal
    # A preflight cannot carry it, and touches nothing.
    if token is None or request.method == hdrs.METH_OPTIONS:
        return None
    return judge_token(token, headers.getall(hdrs.AUTHORIZATION, ()), subprotocols)


def _judge_content_type(request: web.Request) -> Refusal | None:
    if not _needs_json(request):
        return None
    headers = request.headers
    return judge_content_type(
        headers.getall(hdrs.CONTENT_TYPE, ()), headers.getall(hdrs.CONTENT_ENCODING, ())
    )


def _came_by_unix_socket(request: web.Request) -> bool:
    """Which only the person's own programs can open, and no browser can reach."""
    transport = request.transport
    return transport is not None and isinstance(transport.get_extra_info("sockname"), str)


def _names_no_port(request: web.Request, hosts: Sequence[str]) -> bool:
    """A unix socket has no port that its Host could name."""
    return len(hosts) == 1 and hosts[0].lower() == "localhost" and request.raw_path[:1] == "/"


def _own_address(request: web.Request) -> str | None:
    """Where the request came to: the daemon's own end of the connection."""
    name = request.transport.get_extra_info("sockname") if request.transport is not None else None
    return str(name[0]).partition("%")[0] if isinstance(name, tuple) else None


def _needs_json(request: web.Request) -> bool:
    if request.method == hdrs.METH_OPTIONS:
        return False
    headers = request.headers
    from_browser = hdrs.ORIGIN in headers or "Sec-Fetch-Site" in headers
    if from_browser and request.method in WRITING_METHODS:
        return True
    return headers.get(hdrs.CONTENT_LENGTH, "0") != "0" or hdrs.TRANSFER_ENCODING in headers


def _refuse(request: web.Request, refusal: Refusal) -> web.Response:
    response = error_reply(refusal.status, refusal.code, refusal.message)
    if refusal.status == HTTPStatus.UNAUTHORIZED:
        response.headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
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
        if isinstance(error, TooLarge | BodyTimedOut):
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
