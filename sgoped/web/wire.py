"""JSON in and JSON out: one strict reader of bodies, one encoder of answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json, to_json

from sgoped.errors import InvalidInput, TooLarge

MEBIBYTE = 1 << 20
MAX_SHOWN_PROBLEMS = 5
MAX_COMPARED_BYTES = 64 * 1024

M = TypeVar("M", bound=BaseModel)


class InvalidShape(InvalidInput):
    """Well-formed JSON or parameters that do not have the documented shape."""

    code = "invalid_shape"


class BodyTimedOut(InvalidInput):
    """A body that stopped coming in the middle."""

    code = "body_timeout"


def encode(value: Any) -> bytes:
    """Return ``value`` as UTF-8 JSON that every parser accepts.

    Lone surrogates become ``?`` and non-finite numbers ``null``: an answer never fails over a
    strange file name.
    """
    try:
        return to_json(value, inf_nan_mode="null")
    except ValueError:
        return json.dumps(value, ensure_ascii=False).encode("utf-8", errors="replace")


def reply(
    value: Any, *, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Answer with ``value`` as JSON."""
    return reply_encoded(encode(value), status=status, headers=headers)


def reply_encoded(
    text: bytes, *, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Answer with ``text``, which is JSON already."""
    response = web.Response(body=text, status=status, headers=headers)
    response.headers["Content-Type"] = "application/json"
    return response


def error_reply(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Answer with the one shape that every failure has: ``{"detail", "code"}``."""
    return reply({"detail": message, "code": code}, status=status, headers=headers)


def parse_json(data: bytes | str) -> Any:
    """Parse one JSON text.

    Stricter than the standard library: no NaN or Infinity, no lone surrogates, at most 200
    levels and 4,300 digits, UTF-8 only.

    Raises:
        InvalidInput: With code ``invalid_json``; the message says where, never what.
    """
    try:
        return from_json(data, allow_inf_nan=False, cache_strings="keys")
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the body is not valid JSON: {error}", code="invalid_json") from None


def refuse_repeated_names(data: bytes) -> None:
    """Raise InvalidInput when an object in ``data``, which is JSON, has two members of one name.

    Of two, one reader takes the first and another the last. Bodies over ``MAX_COMPARED_BYTES`` are
    not read a second time on the loop: of what they repeat, the last counts.
    """
    if len(data) <= MAX_COMPARED_BYTES:
        json.loads(data, object_pairs_hook=_distinct)


def _distinct(members: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in members}) != len(members):
        raise InvalidInput("the body names a member twice", code="invalid_json")


async def read_bytes(request: web.Request, max_bytes: int) -> bytes:
    """Read the whole body.

    Raises:
        TooLarge: Over ``max_bytes``, told before reading where the client says so.
        InvalidInput: The transfer is broken, or stopped in the middle.
    """
    refuse_oversized(request, max_bytes)
    chunks = bytearray()
    try:
        async for chunk in request.content.iter_any():
            chunks += chunk
            if len(chunks) > max_bytes:
                raise _too_large(max_bytes)
    except (web.RequestPayloadError, ClientPayloadError, HttpProcessingError) as error:
        raise InvalidInput("the body's transfer is broken", code="invalid_body") from error
    return bytes(chunks)


def refuse_oversized(request: web.Request, max_bytes: int) -> None:
    """Raise TooLarge when the announced length is over ``max_bytes``."""
    if (request.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"the body is over {max_bytes} bytes", code="body_too_large")


def validate(model: type[M], value: Any) -> M:
    """Return ``value`` as a ``model``.

    Raises:
        InvalidInput: It is not a JSON object.
        InvalidShape: It lacks something or has something of a wrong type; says what and where.
    """
    if not isinstance(value, dict):
        raise InvalidInput("the body must be a JSON object", code="not_an_object")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise InvalidShape(describe(error)) from None


def describe(error: ValidationError) -> str:
    """Say what is wrong and where, without repeating what was sent."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    shown = [_describe_one(problem) for problem in problems[:MAX_SHOWN_PROBLEMS]]
    if len(problems) > MAX_SHOWN_PROBLEMS:
        shown.append(f"and {len(problems) - MAX_SHOWN_PROBLEMS} more")
    return "; ".join(shown)


def _describe_one(problem: ErrorDetails) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {problem['msg']}" if where else problem["msg"]
