"""How aiohttp's server is to run the application, in the daemon and in tests alike.

What never becomes a request (a request line of 66 kB, a method that is none, a broken chunk) is
answered by aiohttp itself, outside of every middleware. ``HttpConnection`` gives these answers the
shape and the headers of all others; ``Runner`` makes a server of such connections.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web
from aiohttp.http_exceptions import BadHttpMethod, LineTooLong

from sgoped.web.headers import add_security_headers
from sgoped.web.wire import encode

MAX_LINE_BYTES = 64 * 1024

LOG = "sgoped.web.server"

_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class WithoutWhatWasSent(logging.Filter):
    """Keeps the kind of a server error, drops its text: it quotes request lines and headers."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, in short."""
        if record.exc_info and record.exc_info[1] is not None:
            record.msg = f"{record.msg}: {type(record.exc_info[1]).__name__}"
            record.exc_info = None
        return True


class ServerAnswer(web.Response):
    """An answer of the server itself, for which no application can add or remove a header."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall(hdrs.SERVER, None)  # aiohttp has just added it


def refuse(status: int, code: str, detail: str) -> ServerAnswer:
    """Such an answer; the connection is closed after it."""
    response = ServerAnswer(body=encode({"detail": detail, "code": code}), status=status)
    response.headers[hdrs.CONTENT_TYPE] = "application/json"
    add_security_headers(response.headers)
    response.force_close()
    return response


class HttpConnection(web.RequestHandler):
    """One client's connection; the daemon's own class of connections may build upon it."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Log the error and answer it as every other, without repeating what was sent.

        What a client got wrong is no error of ours, and could fill a log: it is told at DEBUG.

        Raises:
            ConnectionError: An answer has begun already.
        """
        if status != HTTPStatus.BAD_REQUEST:
            super().handle_error(request, status, exc, message)
        else:
            self.logger.debug("refused what is no request: %s", type(exc).__name__)
            if request.writer.output_size > 0:
                raise ConnectionError("an answer has begun already")
        return refuse(status, *_told(status, exc))


class Server(web.Server):
    """Makes an ``HttpConnection`` for each client.

    Args:
        made: What aiohttp has made of the application.
    """

    def __init__(self, made: web.Server) -> None:
        super().__init__(
            _without_quotes(made.request_handler),
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            loop=made._loop,  # noqa: SLF001 - a copy of what aiohttp has made
            **made._kwargs,  # noqa: SLF001 - as above
        )

    def __call__(self) -> web.RequestHandler:
        """A connection for a client that has just come."""
        return HttpConnection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs an application on a ``Server``; to be used with ``runner_options()``."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        return Server(await super()._make_server())


def runner_options() -> dict[str, Any]:
    """Keyword arguments for ``Runner``.

    Handlers are cancelled when their client leaves, so that a model that nobody listens to falls
    silent.
    """
    return {"handler_cancellation": True, **protocol_options()}


def protocol_options() -> dict[str, Any]:
    """Keyword arguments for ``web.RequestHandler``, which the runner's server passes on.

    A request line holds a path of 4,000 bytes in percent encoding.
    """
    log = logging.getLogger(LOG)
    if not log.filters:
        log.addFilter(WithoutWhatWasSent())
    return {
        "access_log": None,
        "logger": log,
        "max_line_size": MAX_LINE_BYTES,
    }


def _without_quotes(handler: _Handler) -> _Handler:
    """What aiohttp raises before any middleware (an odd Expect, on no route) in our own words."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            return refuse(error.status, HTTPStatus(error.status).name.lower(), error.reason)

    return answer


def _told(status: int, error: BaseException | None) -> tuple[str, str]:
    """The code and the text of an answer."""
    if status != HTTPStatus.BAD_REQUEST:
        return "internal_error", "something unexpected went wrong; the log says where"
    if isinstance(error, LineTooLong):
        return "bad_request", "the request line or a header is too long"
    if isinstance(error, BadHttpMethod):
        return "bad_request", "the request begins with no method of HTTP"
    return "bad_request", "the request is not valid HTTP/1.1"
