"""Calls to a running daemon over ``http.client``, which starts in a fraction of aiohttp's time."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import click

from sgoped.cli.connections import open_connection
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


@dataclass(slots=True)
class Client:
    """Speaks JSON with the daemon at ``url``, one connection per call.

    Attributes:
        url: Where it answers over TCP; shown also where the unix socket is used.
        socket_file: Its unix socket, which is tried first.
        home: Whose settings hold the token, should one be asked for; None: the usual places.
        trusted: Whether the token may be sent there at all.
    """

    url: str
    socket_file: Path | None = None
    home: Path | None = None
    trusted: bool = True
    _token: str | None = field(default=None, repr=False)

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

    def stream(self, path: str, body: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """The events of a ``text/event-stream``, as they come; without a body by GET.

        Raises:
            NotReachable: Also when the daemon ends in the middle.
            Refused: In words fit to show.
        """
        method = "GET" if body is None else "POST"
        with self._request(method, path, body, None) as response:
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
        data = None if body is None else json.dumps(body).encode()
        with contextlib.ExitStack() as stack:
            try:
                response = self._send(stack, method, path, data, timeout)
                if response.status == http.client.UNAUTHORIZED and self._take_token():
                    response = self._send(stack, method, path, data, timeout)
                yield response
            except (OSError, http.client.HTTPException) as error:
                raise NotReachable(
                    f"nothing answers at {self.url} ({error}); {_HOW_TO_START}"
                ) from error

    def _send(
        self,
        stack: contextlib.ExitStack,
        method: str,
        path: str,
        data: bytes | None,
        timeout: float | None,
    ) -> http.client.HTTPResponse:
        connection = open_connection(self.url, self.socket_file, timeout)
        stack.callback(connection.close)
        headers = {"Content-Type": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        connection.request(method, path, data, headers)
        return connection.getresponse()

    def _take_token(self) -> bool:
        """Looks the token up, once it is asked for: reading all settings takes its time.

        One from a file is that of this person's own daemon, so it goes to this machine only; one
        from the environment goes where the person said.
        """
        from sgoped.config import is_loopback, read_settings  # noqa: PLC0415 - takes its time

        if self._token is not None or not self.trusted:
            return False
        try:
            loaded = read_settings({"home": self.home})
        except StartupError as error:
            raise NotReachable(error.message) from error
        from_environment = loaded.origins.get("token") == "the environment"
        if loaded.settings.token is not None and (from_environment or self._is_here(is_loopback)):
            self._token = loaded.settings.token.get_secret_value()
        return self._token is not None

    def _is_here(self, is_loopback: Callable[[str], bool]) -> bool:
        try:
            return is_loopback(urlsplit(self.url).hostname or "")
        except ValueError:  # a name
            return False

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
        announced, socket_file = _announced(home)
        return Client(announced, socket_file, home)
    try:
        split = urlsplit(url)
        usable = split.scheme == "http" and bool(split.hostname) and split.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise click.BadParameter(f"{url!r} is no address such as http://localhost:8000")
    return Client(url, home=home)


def _announced(home: Path | None) -> tuple[str, Path | None]:
    try:
        path = resolve_paths(home).server_file
        text = _read_own(path)
        content = json.loads(text)
        socket_file = content.get("socket")
        return str(content["url"]), None if socket_file is None else Path(str(socket_file))
    except FileNotFoundError:
        raise NotReachable(f"sgoped is not running; {_HOW_TO_START}") from None
    except StartupError as error:
        raise NotReachable(error.message) from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise NotReachable(f"cannot read where sgoped listens: {error}") from error


def _read_own(path: Path) -> str:
    """What somebody else put there must not tell us where to send files."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, encoding="utf-8") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid():
            raise PermissionError(f"{path} belongs to somebody else")
        return file.read(_MAX_SERVER_FILE_BYTES)
