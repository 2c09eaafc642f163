"""The fixed phrases for everything that can go wrong with an LLM service.

Clients choose their own text by substring, in this order: ``401`` or ``Authentication``, ``403``,
``404``, ``Connection``, ``timeout``. So each phrase contains its own mark and none of another,
and none holds what the service said, an address, a port or a key: services echo all of these.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from sgoped.errors import ServiceError
from sgoped.llm import refusals

FOREIGN_ERRORS = (
    aiohttp.ClientError,
    HttpProcessingError,
    OSError,  # TimeoutError and TLS errors among them
    UnicodeError,  # host names that cannot be encoded
)

UNREACHABLE = ("service_unreachable", "Connection failed: nothing answers at the address")
UNRESOLVED = ("service_unreachable", "Connection failed: the host name cannot be resolved")
UNTRUSTED = ("service_unreachable", "Connection failed: the TLS certificate is not trusted")
LOST = ("service_disconnected", "Connection lost: the service closed it before the answer ended")
CONNECT_TIMEOUT = ("service_timeout", "Connect timeout: the service cannot be reached in time")
REQUEST_TIMEOUT = ("service_timeout", "Request timeout: the service did not answer in time")
FIRST_TOKEN_TIMEOUT = ("service_timeout", "First token timeout: the service did not begin in time")
IDLE_TIMEOUT = ("service_timeout", "Idle timeout: the service fell silent before the answer ended")
BAD_ADDRESS = ("service_bad_address", "The address of the service is not valid")
NOT_A_SERVICE = (
    "service_bad_answer",
    "The address does not answer as an LLM service does: check it, a web page may be there",
)
ENDED_EARLY = (
    "service_ended_early",
    "The service ended its answer without finishing it: what is shown may be incomplete",
)
TOO_LARGE = ("service_bad_answer", "The service sent more at once than can be read")
EMPTY = ("service_empty", "The service finished without writing anything")
TOO_LONG = ("prompt_too_long", "The prompt is longer than the model can take: send less with it")
BAD_VECTORS = (
    "service_bad_vectors",
    "The service did not answer with one usable vector for each text",
)
CANNOT_EMBED = ("model_cannot_embed", "This model cannot embed texts: choose another one")
REPORTED = ("service_failed", "The service reported an error instead of an answer")

_BY_TYPE: tuple[tuple[type[BaseException], tuple[str, str]], ...] = (
    (aiohttp.ConnectionTimeoutError, CONNECT_TIMEOUT),
    (aiohttp.ServerTimeoutError, REQUEST_TIMEOUT),
    (aiohttp.ClientConnectorDNSError, UNRESOLVED),
    (aiohttp.ClientSSLError, UNTRUSTED),
    (aiohttp.ServerFingerprintMismatch, UNTRUSTED),
    (aiohttp.ClientConnectorError, UNREACHABLE),
    (aiohttp.ClientConnectionError, LOST),
    (aiohttp.ClientPayloadError, LOST),
    (aiohttp.ClientResponseError, NOT_A_SERVICE),
    (aiohttp.WSMessageTypeError, NOT_A_SERVICE),
    (HttpProcessingError, NOT_A_SERVICE),
    (aiohttp.RedirectClientError, NOT_A_SERVICE),
    (aiohttp.InvalidURL, BAD_ADDRESS),
    (aiohttp.NonHttpUrlClientError, BAD_ADDRESS),
    (aiohttp.UploadAbortedError, LOST),
    (aiohttp.ClientError, LOST),
    (OSError, LOST),
    (UnicodeError, BAD_ADDRESS),
)

_BY_STATUS: dict[int, tuple[str, str]] = {
    400: ("service_refused", "The service refused the request (400)"),
    401: ("service_authentication", "Authentication failed (401): the service wants a valid key"),
    402: ("service_quota", "The service wants to be paid first (402): check its plan and billing"),
    403: ("service_forbidden", "Access denied (403): the service does not allow this"),
    404: ("service_not_found", "Not found (404): the service has no such address or model"),
    408: ("service_unavailable", "Request timeout (408): the service gave up waiting"),
    413: ("prompt_too_long", "The request is too large for the service (413)"),
    422: ("service_refused", "The service refused the request (422)"),
    429: ("service_busy", "Too many requests (429): the service asks to wait"),
    503: ("service_unavailable", "The service is overloaded or starting (503): try again"),
    504: ("service_unavailable", "Gateway timeout (504): the service did not answer in time"),
}

_BY_WORDS: tuple[tuple[tuple[str, ...], tuple[str, str]], ...] = (
    (refusals.WORDS, TOO_LONG),
    (
        ("insufficient_quota", "credit balance is too low", "billing_hard_limit"),
        ("service_quota", "The quota is used up: check the plan and billing of the service"),
    ),
    (
        ("more system memory", "out of memory", "cudamalloc failed"),
        ("service_memory", "The model needs more memory than the service has: try a smaller one"),
    ),
    (
        ("does not support chat", "not a chat model"),
        ("model_cannot_chat", "This model cannot chat: choose another one"),
    ),
    (
        ("does not support embedding",),
        CANNOT_EMBED,
    ),
    (
        ("stream_options",),
        ("stream_options_refused", "The service refused the request (400)"),
    ),
)

RETRYABLE_CODES = frozenset({"service_busy", "service_unavailable", "service_disconnected"})


def fault(kind: tuple[str, str], *, retry_after_seconds: float | None = None) -> ServiceError:
    """The error for one of the kinds above."""
    code, phrase = kind
    return ServiceError(phrase, code=code, retry_after_seconds=retry_after_seconds)


def from_exception(
    error: BaseException, *, timeout: tuple[str, str] = REQUEST_TIMEOUT
) -> ServiceError:
    """The error for an exception of ``FOREIGN_ERRORS``; raise it ``from None``.

    The exception is not chained because those of aiohttp show the request's headers.

    Args:
        error: What was raised.
        timeout: What it means when our own time limit ran out.
    """
    if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
        return fault(timeout)
    for known, kind in _BY_TYPE:
        if isinstance(error, known):
            return fault(kind)
    return fault(LOST)


def from_status(status: int, body: str = "", retry_after: str = "") -> ServiceError:
    """The error for an HTTP status that is not 200.

    Args:
        status: The status.
        body: The beginning of the answer; only a few well-known causes are looked for in it.
        retry_after: The header of that name.
    """
    known = _by_words(body)
    if known is not None and status not in (401, 403):
        return _known(known, body)
    return fault(_by_status(status), retry_after_seconds=_seconds(retry_after))


def from_report(report: object) -> ServiceError:
    """The error for what a service put under ``error`` within an answer of status 200."""
    text = str(report)[:4096]
    known = _by_words(text)
    if known is not None:
        return _known(known, text)
    if isinstance(report, dict):
        for key in ("code", "status", "status_code"):
            status = _status(report.get(key))
            if status is not None:
                return fault(_by_status(status))
    if "not found" in text.lower():
        return fault(_by_status(HTTPStatus.NOT_FOUND))
    return fault(REPORTED)


def _known(kind: tuple[str, str], text: str) -> ServiceError:
    """The error for a well-known cause, with the numbers that the service told."""
    failure = fault(kind)
    if kind is TOO_LONG:
        failure.limit_tokens = refusals.told_limit(text)
        failure.prompt_tokens = refusals.told_prompt(text)
    return failure


def _by_words(text: str) -> tuple[str, str] | None:
    lowered = text.lower()
    for words, kind in _BY_WORDS:
        if any(word in lowered for word in words):
            return kind
    return None


def _by_status(status: int) -> tuple[str, str]:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return NOT_A_SERVICE
    if status < HTTPStatus.BAD_REQUEST:
        phrase = f"The service redirects ({status}), which is not followed: enter its own address"
        return ("service_redirects", phrase)
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return ("service_refused", f"The service refused the request ({status})")
    return ("service_unavailable", f"The service failed ({status})")


def _status(value: object) -> int | None:
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) == 3):  # noqa: PLR2004 - 400..599
        return None
    return int(text) if int(text) >= HTTPStatus.BAD_REQUEST else None


def _seconds(retry_after: str) -> float | None:
    """The header as seconds; None for anything but a plain non-negative number.

    A date (RFC 9110 allows one) is far away or over on a desktop's clock, so it counts as
    "long": the caller fails at once instead of guessing.
    """
    text = retry_after.strip()
    try:
        seconds = float(text)
    except ValueError:
        return float("inf") if _is_date(text) else None
    return seconds if seconds >= 0 else None


def _is_date(text: str) -> bool:
    try:
        parsedate_to_datetime(text)
    except ValueError:
        return False
    return True
