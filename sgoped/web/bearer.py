"""The bearer token: whether a request that came over TCP carries it; free of I/O.

A page's WebSocket cannot send headers, and an address ends up in logs and histories. So the token
may also come as a subprotocol, ``sgoped.bearer.<token>``, beside the ``sgoped`` that is spoken.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence

from sgoped.web.gate import Refusal

SUBPROTOCOL = "sgoped"
_BEARER_SUBPROTOCOL = "sgoped.bearer."
_SCHEME = "bearer "
MISSING = Refusal(
    401,
    "token_required",
    "send the token of this daemon's settings, as Authorization: Bearer <token>",
)
WRONG = Refusal(401, "token_refused", "this is not the token of this daemon's settings")
ALONE = Refusal(
    400, "invalid_subprotocol", "offer the subprotocol sgoped beside the one with the token"
)


def judge_token(
    token: str, authorizations: Sequence[str], subprotocols: Iterable[str]
) -> Refusal | None:
    """Judge all Authorization and Sec-WebSocket-Protocol headers of one request.

    All that are given must be right, and compare in the same time whatever they hold.
    """
    given = [_credentials(value) for value in authorizations]
    given += [
        offered[len(_BEARER_SUBPROTOCOL) :]
        for offered in _offered(subprotocols)
        if _is_bearer(offered)
    ]
    if not given:
        return MISSING
    right = [secrets.compare_digest(_bytes(each), token.encode()) for each in given]
    return None if all(right) else WRONG


def judge_subprotocols(subprotocols: Sequence[str]) -> Refusal | None:
    """A token is never the subprotocol that is agreed upon: answers and logs would repeat it.

    Of several headers aiohttp reads the first, and logs that where nothing in it is agreed upon.
    """
    bearer = any(map(_is_bearer, _offered(subprotocols)))
    return ALONE if bearer and SUBPROTOCOL not in _offered(subprotocols[:1]) else None


def _is_bearer(offered: str) -> bool:
    return offered.lower().startswith(_BEARER_SUBPROTOCOL)


def _credentials(value: str) -> str:
    if value[: len(_SCHEME)].lower() != _SCHEME:
        return ""
    return value[len(_SCHEME) :].strip()


def _offered(subprotocols: Iterable[str]) -> Iterable[str]:
    return (part.strip() for value in subprotocols for part in value.split(","))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
