"""``Expect: 100-continue``: a body is asked for once its request has passed the gate.

aiohttp asks for it before any middleware, from strangers as well, and quotes an expectation that
it does not know. So the routes' own handlers of the header do nothing, and the layer of limits,
which knows that the body is wanted, calls ``invite_body``.
"""

from __future__ import annotations

from aiohttp import HttpVersion11, hdrs, web

from sgoped.errors import InvalidInput

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Unexpected(InvalidInput):
    """An Expect header that asks for something else."""

    code = "expectation_failed"


async def leave_to_limits(request: web.Request) -> None:
    """What a route does about the header before the middlewares: nothing."""


async def invite_body(request: web.Request) -> None:
    """Tell a client that waits for it that its body is wanted.

    Raises:
        Unexpected: It expects something else.
    """
    expected = request.headers.get(hdrs.EXPECT, "")
    if not expected or request.version < HttpVersion11:
        return
    if expected.lower() != "100-continue":
        raise Unexpected("Expect: only 100-continue is understood")
    await request.writer.write(CONTINUE)
    request.writer.output_size = 0  # the answer itself has not begun
