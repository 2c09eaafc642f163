"""HTTP as LLM services speak it: bounded questions, and streams that are read as they come.

The only place that retries, and only before a first byte arrived: after that a second try could
say something else. No redirect is followed, because it would take the key elsewhere.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from types import SimpleNamespace
from typing import TypeVar

import aiohttp
from yarl import URL

from sgoped.errors import ServiceError
from sgoped.llm import faults
from sgoped.llm.answer import Answer
from sgoped.llm.decode import JsonObject, parse_object
from sgoped.llm.encode import encode_body
from sgoped.llm.patience import Patience
from sgoped.llm.resolver import GuardedResolver
from sgoped.llm.service import Timeouts
from sgoped.llm.types import StreamEvent

TRIES = 3
READ_BUFFER_BYTES = 128 * 2**10
MAX_FED_BYTES = 16 * 2**10
MAX_BODY_BYTES = 4 * 2**20
MAX_ERROR_BODY_BYTES = 16 * 2**10

Result = TypeVar("Result")

log = logging.getLogger(__name__)


@dataclass
class _Connection:
    """Whether a request went over a connection that had been kept from an earlier one."""

    reused: bool = False


async def _note_reuse(_: object, trace: SimpleNamespace, __: object) -> None:
    if isinstance(trace.trace_request_ctx, _Connection):
        trace.trace_request_ctx.reused = True


@asynccontextmanager
async def open_session(timeouts: Timeouts) -> AsyncIterator[aiohttp.ClientSession]:
    """The one HTTP session of all services: no proxies, no cookies, no total time limit."""
    connector = aiohttp.TCPConnector(limit=0, resolver=GuardedResolver())
    tracing = aiohttp.TraceConfig()
    tracing.on_connection_reuseconn.append(_note_reuse)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "sgoped", "Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(
            total=None,
            connect=timeouts.connect_seconds,
            sock_connect=timeouts.connect_seconds,
        ),
        trust_env=False,
        read_bufsize=READ_BUFFER_BYTES,
        trace_configs=[tracing],
    ) as session:
        yield session


class Transport:
    """Asks one service; maps every failure to a ``ServiceError`` with a fixed phrase."""

    def __init__(
        self, session: aiohttp.ClientSession, timeouts: Timeouts, headers: Mapping[str, str]
    ) -> None:
        self._session = session
        self._timeouts = timeouts
        self._headers = dict(headers)

    async def ask(self, method: str, url: URL, body: JsonObject | None = None) -> JsonObject:
        """The JSON object that answers a question; one try, bounded in time and size.

        Raises:
            ServiceError: There was no such answer.
        """
        return _whole_object(await self._fetch(method, url, body))

    async def ask_in_thread(
        self, url: URL, body: JsonObject, read: Callable[[JsonObject], Result]
    ) -> Result:
        """What ``read`` makes of the answer to ``body``: as ``ask``, for answers of megabytes.

        They are parsed and read in a thread, where the loop is not held up by it.

        Raises:
            ServiceError: There was no such answer, or ``read`` refused it.
        """
        data = await self._fetch("POST", url, body)
        return await asyncio.to_thread(lambda: read(_whole_object(data)))

    async def _fetch(self, method: str, url: URL, body: JsonObject | None) -> bytes:
        try:
            async with asyncio.timeout(self._timeouts.request_seconds):
                response = await self._send(method, url, body)
                try:
                    await _require_ok(response)
                    data = await _read_bounded(response, MAX_BODY_BYTES)
                finally:
                    response.close()
        except faults.FOREIGN_ERRORS as error:
            raise faults.from_exception(error) from None
        if len(data) > MAX_BODY_BYTES:
            raise faults.fault(faults.TOO_LARGE)
        return data

    async def stream(
        self, url: URL, body: JsonObject, answer: Answer
    ) -> AsyncGenerator[Sequence[StreamEvent], None]:
        """Send ``body`` and yield what ``answer`` makes of each read.

        A big read is made into several batches, with everybody else's turn between them: half a
        megabyte of small tokens would hold up the loop for longer than a key stroke may take.

        Raises:
            ServiceError: After everything that had arrived was yielded.
        """
        response, deadline = await self._open(url, body)
        patience = Patience(response.content)
        try:
            while not answer.ended:
                data, failure = await self._read(patience, response, answer, deadline)
                for start in range(0, len(data), MAX_FED_BYTES):
                    if start:
                        await asyncio.sleep(0)
                    events = answer.feed(data[start : start + MAX_FED_BYTES])
                    if events:
                        yield events
                last = _last_events(answer, data, failure)
                if last:
                    yield last
            if answer.failure is not None:
                raise answer.failure
        finally:
            patience.close()
            response.close()

    async def _open(self, url: URL, body: JsonObject) -> tuple[aiohttp.ClientResponse, float]:
        """The opened response, tried again as far as is sensible, and when to expect a token."""
        waited, tries = 0.0, 1
        while True:
            deadline = asyncio.get_running_loop().time() + self._timeouts.first_token_seconds
            try:
                return await self._try_open(url, body, deadline), deadline
            except ServiceError as failure:
                pause = self._pause(failure, tries)
                if pause is None or waited + pause > self._timeouts.retry_seconds:
                    raise
                log.info("asking again in %.1f s: %s", pause, failure.message)
            waited, tries = waited + pause, tries + 1
            await asyncio.sleep(pause)

    def _pause(self, failure: ServiceError, tries: int) -> float | None:
        if tries == TRIES or failure.code not in faults.RETRYABLE_CODES:
            return None
        if failure.retry_after_seconds is not None:
            return failure.retry_after_seconds
        return self._timeouts.retry_pause_seconds * 2.0 ** (tries - 1)

    async def _try_open(
        self, url: URL, body: JsonObject, deadline: float
    ) -> aiohttp.ClientResponse:
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._send("POST", url, body)
                try:
                    await _require_ok(response)
                except BaseException:
                    response.close()
                    raise
                return response
        except faults.FOREIGN_ERRORS as error:
            raise faults.from_exception(error, timeout=faults.FIRST_TOKEN_TIMEOUT) from None

    async def _send(self, method: str, url: URL, body: JsonObject | None) -> aiohttp.ClientResponse:
        """Send a request, again where a kept connection turns out to be closed by the service.

        It closes those when it likes, and may do so while a request is on its way.
        """
        headers = dict(self._headers)
        data = b"" if body is None else await encode_body(body)
        if body is not None:
            headers["Content-Type"] = "application/json"
        while True:
            connection = _Connection()
            try:
                return await self._session.request(
                    method,
                    url,
                    data=None if body is None else io.BytesIO(data),
                    headers=headers,
                    allow_redirects=False,
                    trace_request_ctx=connection,
                )
            except aiohttp.ClientConnectionError:
                if not connection.reused:
                    raise

    async def _read(
        self,
        patience: Patience,
        response: aiohttp.ClientResponse,
        answer: Answer,
        deadline: float,
    ) -> tuple[bytes, ServiceError | None]:
        """What arrived next (nothing: the end), and why nothing more will.

        After an error aiohttp's readers refuse what it had already received; it is taken out
        all the same, because tokens that arrived are never lost.
        """
        try:
            return await patience.read(self._deadline(answer, deadline)), None
        except (*faults.FOREIGN_ERRORS, RuntimeError) as error:
            kind = faults.IDLE_TIMEOUT if answer.begun else faults.FIRST_TOKEN_TIMEOUT
            return _received(response.content), faults.from_exception(error, timeout=kind)

    def _deadline(self, answer: Answer, first_token_deadline: float) -> float:
        if answer.stopped:
            return asyncio.get_running_loop().time() + self._timeouts.final_seconds
        if answer.begun:
            return asyncio.get_running_loop().time() + self._timeouts.idle_seconds
        return first_token_deadline


def _whole_object(data: bytes) -> JsonObject:
    value = parse_object(data)
    if value is None:
        raise faults.fault(faults.NOT_A_SERVICE)
    if value.get("error"):
        raise faults.from_report(value["error"])
    return value


def _last_events(
    answer: Answer, data: bytes, failure: ServiceError | None
) -> Sequence[StreamEvent]:
    """What there is behind ``data``: a failure, the end, or nothing yet."""
    if failure is not None:
        return answer.break_off(failure)
    return [] if data else answer.close()


def _received(content: aiohttp.StreamReader) -> bytes:
    return content._read_nowait(-1)  # noqa: SLF001 - the public readers raise instead, see above


async def _require_ok(response: aiohttp.ClientResponse) -> None:
    if response.status == HTTPStatus.OK and response.content_type != "text/html":
        return
    if response.status == HTTPStatus.OK:
        raise faults.fault(faults.NOT_A_SERVICE)
    body = b""
    if response.status >= HTTPStatus.BAD_REQUEST:
        try:
            async with asyncio.timeout(1):
                body = await _read_bounded(response, MAX_ERROR_BODY_BYTES)
        except faults.FOREIGN_ERRORS:
            log.debug("the body of an error answer did not arrive")
    raise faults.from_status(
        response.status,
        body.decode("utf-8", "replace"),
        response.headers.get("Retry-After", ""),
    )


async def _read_bounded(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """The body, or a little more than ``max_bytes`` of it."""
    data = bytearray()
    while len(data) <= max_bytes:
        chunk = await response.content.readany()
        if not chunk:
            break
        data += chunk
    return bytes(data)
