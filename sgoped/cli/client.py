"""Calls to a running daemon over ``http.client``, which starts in a fraction of aiohttp's time."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import click

from sgoped.errors import StartupError
from sgoped.paths import resolve_paths

_TIMEOUT_SECONDS = 30.0
_MAX_SERVER_FILE_BYTES = 65_536


class NotReachable(click.ClickException):
    """No daemon answers; says how to start one."""

    exit_code = 3


class Refused(click.ClickException):
    """The daemon answered with an error.

    Attributes:
        status: Of HTTP.
        code: Stable, as the daemon gave it.
    """

    exit_code = 1

    def __init__(self, message: str, *, status: int, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Client:
    """Speaks JSON with the daemon at ``url``, one connection per call."""

    url: str

    def get(self, path: str, query: Mapping[str, object] | None = None) -> Any:
        """Reads; a query value of None is left out.

        Raises:
            NotReachable, Refused: In words fit to show.
        """
        given = {name: value for name, value in (query or {}).items() if value is not None}
        return self.call("GET", f"{path}?{urlencode(given)}" if given else path)

    def post(
        self, path: str, body: Mapping[str, Any], *, timeout: float | None = _TIMEOUT_SECONDS
    ) -> Any:
        """Sends; ``timeout`` in seconds between bytes, None for as long as it takes.

        Raises:
            NotReachable, Refused: In words fit to show.
        """
        return self.call("POST", path, body, timeout=timeout)

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = _TIMEOUT_SECONDS,
    ) -> Any:
        """One request and its JSON.

        Raises:
            NotReachable, Refused: In words fit to show.
        """
        with self._request(method, path, body, timeout) as response:
            return self._json(response)

    def stream(self, path: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The events of a ``text/event-stream``, as they come.

        Raises:
            NotReachable: Also when the daemon ends in the middle.
            Refused: In words fit to show.
        """
        with self._request("POST", path, body, None) as response:
            if response.getheader("Content-Type", "").partition(";")[0] != "text/event-stream":
                self._json(response)
                raise self._stranger()
            while line := response.readline():
                if line.startswith(b"data: "):
                    yield json.loads(line[len(b"data: ") :])

    @contextlib.contextmanager
    def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None, timeout: float | None
    ) -> Iterator[http.client.HTTPResponse]:
        split = urlsplit(self.url)
        connection = http.client.HTTPConnection(
            split.hostname or "localhost", split.port or http.client.HTTP_PORT, timeout=timeout
        )
        data = None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, path, data, {"Content-Type": "application/json"})
            yield connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise NotReachable(
                f"nothing answers at {self.url} ({error}); {_HOW_TO_START}"
            ) from error
        finally:
            connection.close()

    def _json(self, response: http.client.HTTPResponse) -> Any:
        try:
            content = json.loads(response.read())
        except ValueError:
            raise self._stranger() from None
        if response.status < http.client.BAD_REQUEST:
            return content
        told = content if isinstance(content, dict) else {}
        message = str(told.get("detail") or f"HTTP {response.status}")
        raise Refused(message, status=response.status, code=str(told.get("code", "error")))

    def _stranger(self) -> NotReachable:
        return NotReachable(f"what answers at {self.url} is not sgoped")


_HOW_TO_START = "start it with: sgoped serve"


def connect(home: Path | None, url: str | None) -> Client:
    """Finds the daemon: by its address where given, else by the ``server.json`` of its home.

    Raises:
        NotReachable: It is not running.
        click.BadParameter: The address is none.
    """
    if url is None:
        return Client(_announced_url(home))
    try:
        split = urlsplit(url)
        usable = split.scheme == "http" and bool(split.hostname) and split.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise click.BadParameter(f"{url!r} is no address such as http://localhost:8000")
    return Client(url)


def _announced_url(home: Path | None) -> str:
    try:
        path = resolve_paths(home).server_file
        text = _read_own(path)
        return str(json.loads(text)["url"])
    except FileNotFoundError:
        raise NotReachable(f"sgoped is not running; {_HOW_TO_START}") from None
    except StartupError as error:
        raise NotReachable(error.message) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotReachable(f"cannot read where sgoped listens: {error}") from error


def _read_own(path: Path) -> str:
    """What somebody else put there must not tell us where to send files."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, encoding="utf-8") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid():
            raise PermissionError(f"{path} belongs to somebody else")
        return file.read(_MAX_SERVER_FILE_BYTES)
