from __future__ import annotations

from collections.abc import Iterator

import aiohttp
import pytest
from aiohttp import http_exceptions

from sgoped.errors import ServiceError
from sgoped.llm import faults

# In the order in which the front end looks for them.
MARKS = (("401", "Authentication"), ("403",), ("404",), ("Connection",), ("timeout",))
KINDS = [value for name, value in vars(faults).items() if name.isupper() and type(value) is tuple]
PHRASES = [kind for kind in KINDS if kind and isinstance(kind[0], str)]


def subclasses(root: type[BaseException]) -> Iterator[type[BaseException]]:
    for child in root.__subclasses__():
        if child.__module__.startswith("aiohttp."):
            yield child
        yield from subclasses(child)


def marks_of(phrase: str) -> set[str]:
    return {marks[0] for marks in MARKS if any(mark in phrase for mark in marks)}


@pytest.mark.parametrize(
    "foreign", list(dict.fromkeys(subclasses(aiohttp.ClientError))), ids=lambda kind: kind.__name__
)
def test_every_client_error_has_a_meaning_of_its_own(foreign: type[BaseException]) -> None:
    """A new kind of error in a new aiohttp must be placed, or this fails."""
    specific = [known for known, _ in faults._BY_TYPE if known is not aiohttp.ClientError]
    assert issubclass(foreign, tuple(specific))
    assert issubclass(foreign, faults.FOREIGN_ERRORS)


def test_every_error_of_the_http_parser_is_caught() -> None:
    root: type[BaseException] = http_exceptions.HttpProcessingError
    assert all(issubclass(kind, faults.FOREIGN_ERRORS) for kind in [root, *subclasses(root)])


@pytest.mark.parametrize(
    ("error", "beginning"),
    [
        (aiohttp.ConnectionTimeoutError("http://10.0.0.1:9/"), "Connect timeout"),
        (aiohttp.SocketTimeoutError(), "Request timeout"),
        (TimeoutError(), "Request timeout"),
        (aiohttp.ServerDisconnectedError(), "Connection lost"),
        (aiohttp.ClientOSError(104, "reset by 10.0.0.1"), "Connection lost"),
        (ConnectionResetError(), "Connection lost"),
        (aiohttp.ClientPayloadError("not completed"), "Connection lost"),
        (aiohttp.ServerFingerprintMismatch(b"", b"", "h", 1), "Connection failed: the TLS"),
        (aiohttp.InvalidURL("http://x"), "The address of the service"),
        (http_exceptions.BadStatusLine("SSH-2.0"), "The address does not answer"),
        (UnicodeError("label too long"), "The address of the service"),
        (aiohttp.ClientError(), "Connection lost"),
    ],
)
def test_what_a_foreign_error_means(error: BaseException, beginning: str) -> None:
    failure = faults.from_exception(error)
    assert failure.message.startswith(beginning)
    assert "10.0.0.1" not in failure.message


@pytest.mark.parametrize("kind", PHRASES, ids=lambda kind: kind[1][:20])
def test_a_phrase_has_no_more_than_one_mark(kind: tuple[str, str]) -> None:
    assert len(marks_of(kind[1])) <= 1


def test_a_status_has_its_own_mark_and_no_other() -> None:
    for status in (*range(100, 200), *range(201, 600)):
        failure = faults.from_status(status, "Connection timeout 401 403 404 sk-key at 10.0.0.1:80")
        expected = {str(status)} & {"401", "403", "404"}
        if status in (408, 504):
            expected = {"timeout"}
        assert marks_of(failure.message) == expected
        assert "sk-key" not in failure.message
        assert "10.0.0.1" not in failure.message


@pytest.mark.parametrize(
    ("report", "code"),
    [
        ("model 'x' not found, try pulling it first", "service_not_found"),
        ({"message": "slow down", "code": 429}, "service_busy"),
        ({"message": "bad key sk-1", "code": "401"}, "service_authentication"),
        ({"message": "boom", "code": 200}, "service_failed"),
        ("boom", "service_failed"),
        ([], "service_failed"),
        ({"message": "CUDA error: out of memory"}, "service_memory"),
        ("model does not support chat", "model_cannot_chat"),
    ],
)
def test_what_a_report_within_an_answer_means(report: object, code: str) -> None:
    failure = faults.from_report(report)
    assert failure.code == code
    assert "sk-1" not in failure.message


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("1", 1.0), (" 2.5 ", 2.5), ("", None), ("x", None), ("-1", None), ("nan", None)],
)
def test_retry_after_is_a_plain_number_or_nothing(header: str, seconds: float | None) -> None:
    assert faults.from_status(429, "", header).retry_after_seconds == seconds


def test_a_refused_key_stays_a_refused_key_whatever_the_body_says() -> None:
    assert faults.from_status(401, "insufficient_quota").code == "service_authentication"


def test_all_of_it_is_a_service_error() -> None:
    assert isinstance(faults.fault(faults.LOST), ServiceError)
