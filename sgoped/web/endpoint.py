"""What one operation of the surface is: its handler and all that the document says about it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel

from sgoped.config import Settings
from sgoped.web.parameters import Parameter
from sgoped.web.wire import MEBIBYTE, parse_json, read_bytes, refuse_repeated_names, validate

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
BodySize = Literal["small", "file", "chat"]
M = TypeVar("M", bound=BaseModel)

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
HTML = "text/html"
WEBSOCKET = "websocket"  # no media type: the operation is not HTTP any more

MAX_BODY_BYTES = web.RequestKey("max_body_bytes", int)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A handler and its description.

    Attributes:
        handler: What aiohttp calls.
        tag: The topic it is listed under.
        summary: First line of the handler's docstring.
        description: The rest of it.
        parameters: What it reads from query, path and headers.
        body: What it reads from the body.
        returns: Type of the JSON answer, or of one event of the stream.
        media_type: Of the answer.
        fails: Statuses with an error body, beside those that every operation may have.
        size: Which cap the body has.
    """

    handler: Handler
    tag: str
    summary: str
    description: str
    parameters: tuple[Parameter, ...] = ()
    body: type[BaseModel] | None = None
    returns: Any = None
    media_type: str = JSON
    fails: tuple[int, ...] = ()
    size: BodySize = "small"


def endpoint(
    tag: str,
    *,
    parameters: tuple[Parameter, ...] = (),
    body: type[BaseModel] | None = None,
    returns: Any = None,
    media_type: str = JSON,
    fails: tuple[int, ...] = (),
    size: BodySize = "small",
) -> Callable[[Handler], Endpoint]:
    """Make an Endpoint of a handler; its docstring becomes summary and description."""

    def describe(handler: Handler) -> Endpoint:
        summary, _, rest = (inspect.getdoc(handler) or "").partition("\n")
        return Endpoint(
            handler=handler,
            tag=tag,
            summary=summary.rstrip("."),
            description=rest.strip(),
            parameters=parameters,
            body=body,
            returns=returns,
            media_type=media_type,
            fails=fails,
            size=size,
        )

    return describe


def max_body_bytes(size: BodySize, settings: Settings) -> int:
    """The cap in bytes of a body of the given size class.

    A file's JSON form is larger than the file: line ends and quotes are escaped.
    """
    if size == "chat":
        return settings.upload_limit_bytes
    if size == "file":
        return settings.max_file_bytes * 5 // 4 + MEBIBYTE
    return MEBIBYTE


async def read_body(request: web.Request, model: type[M]) -> M:
    """Read, parse and validate the body of a request.

    Raises:
        TooLarge: Over the cap of the route.
        InvalidInput: Not JSON, not an object, a name twice, or not of the documented shape.
    """
    data = await read_bytes(request, request.get(MAX_BODY_BYTES, MEBIBYTE))
    value = parse_json(data)
    refuse_repeated_names(data)
    return validate(model, value)
