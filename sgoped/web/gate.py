"""Who may speak to the daemon: the Host, Origin and content-type policy, free of I/O.

A page on a rebound name sends GETs without any Origin, so the Host must be one of ours; a page of
another site sends its Origin, or at least ``Sec-Fetch-Site: cross-site``; and a form cannot send
``application/json``. Together these leave the front end, tools on this machine, and nobody else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
FRONT_END_ORIGINS = (
    "http://localhost:3000",
    "http://127.0.0.1:3000",
    "tauri://localhost",
    "http://tauri.localhost",
    "https://tauri.localhost",
)
HTTP_PORT = 80
WRITING_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
OWN_SITES = frozenset({"none", "same-origin", "same-site"})


class Refusal(NamedTuple):
    """Why a request is not let in, as an answer."""

    status: int
    code: str
    message: str


WRONG_HOST = Refusal(403, "host_refused", "the Host header does not name this daemon")
WRONG_TARGET = Refusal(403, "host_refused", "the request target does not name this daemon")
WRONG_ORIGIN = Refusal(403, "origin_refused", "this origin may not call the daemon")
CROSS_SITE = Refusal(403, "origin_refused", "another site may not call the daemon")
WRONG_TYPE = Refusal(
    415, "unsupported_media_type", "send the body as application/json in UTF-8, not compressed"
)


@dataclass(frozen=True, slots=True)
class Policy:
    """The names and origins that pass, for one port.

    Attributes:
        hosts: Lower-case ``host:port`` (and bare hosts where the port is 80 or configured so).
        origins: Exact origins.
    """

    hosts: frozenset[str]
    origins: frozenset[str]

    def judge_host(self, hosts: Sequence[str], target: str) -> Refusal | None:
        """Judge all Host headers and the raw request target of one request.

        A target in absolute form has an authority of its own, which must be ours as well.
        """
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            return WRONG_HOST
        if target[:1] != "/" and not self._is_ours(target):
            return WRONG_TARGET
        return None

    def _is_ours(self, target: str) -> bool:
        if target == "*":
            return True
        scheme, separator, rest = target.partition("://")
        if not separator or scheme.lower() != "http":
            return False
        for end in "/?#":
            rest = rest.partition(end)[0]
        return rest.lower() in self.hosts

    def judge_origin(self, origins: Sequence[str], sites: Sequence[str]) -> Refusal | None:
        """Judge all Origin and Sec-Fetch-Site headers of one request."""
        if origins:
            allowed = len(origins) == 1 and origins[0] in self.origins
            return None if allowed else WRONG_ORIGIN
        if any(site.strip().lower() not in OWN_SITES for site in sites):
            return CROSS_SITE
        return None


def judge_content_type(types: Sequence[str], encodings: Sequence[str]) -> Refusal | None:
    """Judge all Content-Type and Content-Encoding headers of a request that needs JSON."""
    if len(types) != 1 or any(value.strip().lower() != "identity" for value in encodings):
        return WRONG_TYPE
    essence, *parameters = (part.strip().lower() for part in types[0].split(";"))
    if essence != "application/json":
        return WRONG_TYPE
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in ("utf-8", "utf8"):
            return WRONG_TYPE
    return None


def make_policy(
    port: int,
    allowed_hosts: Sequence[str] = (),
    allowed_origins: Sequence[str] = (),
    address: str | None = None,
) -> Policy:
    """Build the policy of a daemon that listens on ``port``.

    Args:
        port: The bound TCP port.
        allowed_hosts: Configured names, with a port or without (then with the bound one too).
        allowed_origins: Configured origins, exact.
        address: The daemon's own address that a request came to, where it listens on others than
            the usual two. An address, unlike a name, cannot be made to point elsewhere.
    """
    names = {*LOOPBACK_NAMES}
    if address is not None:
        names.add(f"[{address}]" if ":" in address else address)
    ours = {f"{name}:{port}" for name in names}
    if port == HTTP_PORT:
        ours.update(names)
    configured = {name.lower() for name in allowed_hosts}
    configured |= {f"{name}:{port}" for name in configured}
    own_origins = {f"http://{host}" for host in ours}
    return Policy(
        hosts=frozenset(ours | configured),
        origins=frozenset(own_origins.union(FRONT_END_ORIGINS, allowed_origins)),
    )


def preflight_headers() -> Mapping[str, str]:
    """What a preflight from an allowed origin is answered with, on every route alike."""
    return {
        "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
        "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match, Last-Event-ID",
        "Access-Control-Max-Age": "7200",
    }
