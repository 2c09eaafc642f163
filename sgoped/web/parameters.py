"""Query, path and header parameters: declared once, read by handlers, shown in the document."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web

from sgoped.web.wire import InvalidShape

MAX_PATH_CHARS = 4000
# Look-ups read the beginning of a long text; refusing it would help nobody. Percent-encoded,
# this many characters of any script still fit into a request line of 64 KiB.
MAX_QUERY_CHARS = 4_000
MAX_TEXT_CHARS = 512

_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)

Where = Literal["query", "path", "header"]


def _values(request: web.Request, where: Where, name: str) -> Sequence[str]:
    if where == "query":
        return request.query.getall(name, ())
    if where == "header":
        return request.headers.getall(name, ())
    return (request.match_info[name],)


def _only_value(request: web.Request, where: Where, name: str) -> str | None:
    values = _values(request, where, name)
    if len(values) > 1:
        raise InvalidShape(f"{name}: given more than once", code="invalid_parameter")
    return values[0] if values else None


@dataclass(frozen=True, slots=True)
class Text:
    """A parameter that is text.

    Attributes:
        name: As on the wire.
        description: For the document.
        where: In the query, the path or a header.
        max_chars: Longer values are refused.
        required: Absence is refused; otherwise it reads as an empty string.
        choices: The only values, where there are but a few.
        pattern: For the document; its reader checks it.
    """

    name: str
    description: str
    where: Where = "query"
    max_chars: int = MAX_TEXT_CHARS
    required: bool = False
    choices: tuple[str, ...] = ()
    pattern: str = ""

    def read(self, request: web.Request) -> str:
        """Return the value.

        Raises:
            InvalidShape: It is missing, repeated, too long, or none of the choices.
        """
        value = _only_value(request, self.where, self.name)
        if not value:
            if self.required:
                raise InvalidShape(f"{self.name}: required", code="invalid_parameter")
            return ""
        if len(value) > self.max_chars:
            raise InvalidShape(
                f"{self.name}: longer than {self.max_chars} characters", code="invalid_parameter"
            )
        if self.choices and value not in self.choices:
            raise InvalidShape(
                f"{self.name}: one of {', '.join(self.choices)}", code="invalid_parameter"
            )
        return value

    def schema(self) -> dict[str, Any]:
        """The JSON schema of the value."""
        schema: dict[str, Any] = {"type": "string", "maxLength": self.max_chars}
        if self.required:
            schema["minLength"] = 1
        if self.choices:
            schema["enum"] = list(self.choices) if self.required else ["", *self.choices]
        if self.pattern:
            schema["pattern"] = self.pattern
        return schema


@dataclass(frozen=True, slots=True)
class Whole:
    """A parameter that is a whole number, not negative.

    Attributes:
        name: As on the wire.
        description: For the document.
        minimum: Smallest accepted value.
        maximum: Largest accepted value.
        where: In the query or a header.
    """

    name: str
    description: str
    minimum: int = 0
    maximum: int = 1000
    where: Where = "query"

    @property
    def required(self) -> bool:
        """Never: each has a default that the handler knows."""
        return False

    def read(self, request: web.Request, default: int) -> int:
        """Return the value, or ``default`` when it is absent.

        Raises:
            InvalidShape: It is repeated, not a whole number, or out of bounds.
        """
        value = _only_value(request, self.where, self.name)
        if value is None:
            return default
        number = int(value) if _DIGITS.fullmatch(value) else -1
        if not self.minimum <= number <= self.maximum:
            raise InvalidShape(
                f"{self.name}: a whole number from {self.minimum} to {self.maximum}",
                code="invalid_parameter",
            )
        return number

    def schema(self) -> dict[str, Any]:
        """The JSON schema of the value."""
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


Parameter = Text | Whole

_ETAG = re.compile(r'(?:W/)?"([!#-~]*)"|([!#-)+\-.-~]+)')
IF_MATCH = Text(
    "If-Match",
    "The ETag the file had when it was read; a change since then is answered with 409.",
    where="header",
    pattern=f"^(?:{_ETAG.pattern})$",
)


def read_if_match(request: web.Request) -> str | None:
    """Return the one ETag of If-Match, without quotes, or ``None`` when the header is absent.

    Raises:
        InvalidShape: The header holds anything but one ETag; an empty one never means "always".
    """
    if IF_MATCH.name not in request.headers:
        return None
    found = _ETAG.fullmatch(IF_MATCH.read(request).strip())
    if found is None:
        raise InvalidShape("If-Match: give one ETag in quotes", code="invalid_parameter")
    return found[1] if found[1] is not None else found[2]
