"""Where an LLM service may be: which addresses are accepted, and when two are the same place.

The rules keep a configured address from being used against this machine or its network: only
http and https, nothing that hides a second meaning (a user name, a fragment, a query), and never
the link-local and metadata addresses that cloud machines answer with credentials. This machine
itself and the local network are where services usually are, so these are allowed. Names are
judged twice: as written here, and by what they resolve to in ``sgoped.llm.resolver``.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from yarl import URL

from sgoped.errors import InvalidInput

MAX_ADDRESS_CHARS = 2048
OLLAMA_PORT = 11434

_AUTHORITY = re.compile(r"[^\[\]:%]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?", re.ASCII)
_UNFIT = re.compile(r"[\x00-\x20\x7f\\]|[^\x00-\uffff]|[\ud800-\udfff]")
_ODD_NUMBERS = re.compile(r"[0-9a-fx.]+")
_METADATA_NAMES = frozenset(
    {"metadata", "metadata.google.internal", "metadata.goog", "instance-data"}
)
_METADATA_NETWORKS = tuple(
    ipaddress.ip_network(network)
    for network in (
        "169.254.0.0/16",
        "fe80::/10",
        "fd00:ec2::/32",
        "fd20:ce::254/128",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.192/32",
        "255.255.255.255/32",
    )
)
# Where the last 32 bits are an IPv4 address: NAT64, IPv4-compatible, and SIIT's translated ones.
_EMBEDDING = tuple(
    ipaddress.IPv6Network(network) for network in ("64:ff9b::/96", "::/96", "::ffff:0:0:0/96")
)
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_ISATAP_IDS = (0x00005EFE, 0x02005EFE)
_LOCAL_SUFFIXES = (".localhost", ".local", ".lan", ".home.arpa", ".internal")

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Address:
    """The base address of a service: scheme, host, port and path, without a trailing slash."""

    url: URL

    def __str__(self) -> str:
        """The address as a person would write it."""
        return str(self.url).rstrip("/")

    def join(self, path: str) -> URL:
        """The address of one of its end points; ``path`` begins with a slash."""
        return URL(f"{self}{path}", encoded=True)

    @property
    def endpoint(self) -> tuple[str, str, int]:
        """Scheme, host and port: what a key is bound to.

        A name with a final dot is looked up elsewhere than the one without (search domains, and
        numbers become names), so the two are not the same host.
        """
        return (self.url.scheme, self.url.host or "", self.url.port or 0)

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine or, by all that its name tells, on the local network."""
        host = (self.url.host or "").rstrip(".")
        number = _number(host)
        if number is not None:
            return number.is_loopback or number.is_private
        return "." not in host or host.endswith(_LOCAL_SUFFIXES)


def parse_ollama_address(text: str) -> Address:
    """An Ollama address as its own tools read one.

    The scheme may be left out, and then the port too (11434); ``:1234`` is a port on this
    machine. A trailing ``/v1`` or ``/api`` is dropped: it is no part of the native address.

    Raises:
        InvalidInput: The address is not acceptable.
    """
    text = _cleaned(text)
    if "://" not in text:
        text = f"http://localhost{text}" if text.startswith(":") else f"http://{text}"
        default_port = OLLAMA_PORT
    else:
        default_port = None
    url = _parse(text)
    if default_port is not None and url.explicit_port is None:
        url = url.with_port(default_port)
    return _accepted(url, re.sub(r"/(v1|api)$", "", url.raw_path.rstrip("/")))


def parse_openai_address(text: str) -> Address:
    """The base address of an OpenAI-compatible endpoint.

    Without any path it gets ``/v1``, where nearly all of them are; the end points' own names,
    ``/chat/completions`` and ``/models``, are dropped.

    Raises:
        InvalidInput: The address is not acceptable.
    """
    text = _cleaned(text)
    if "://" not in text:
        raise InvalidInput("base_url: begin the address with http:// or https://")
    url = _parse(text)
    path = re.sub(r"/(chat/completions|models)$", "", url.raw_path.rstrip("/")).rstrip("/")
    return _accepted(url, path or "/v1")


def is_refused(host: str) -> bool:
    """Whether ``host``, a name or a number in any spelling, is link-local or a metadata service."""
    bare = host.lower().rstrip(".")
    number = _number(bare)
    if number is None:
        return bare in _METADATA_NAMES
    meant: list[IPAddress] = [number]
    if isinstance(number, ipaddress.IPv6Address):
        meant += _embedded(number)
    return any(
        each.is_multicast or any(each in network for network in _METADATA_NETWORKS)
        for each in meant
    )


def _cleaned(text: str) -> str:
    text = text.strip()
    if not text:
        raise InvalidInput("The address is empty: write such as http://localhost:11434")
    if len(text) > MAX_ADDRESS_CHARS or _UNFIT.search(text):
        raise InvalidInput("The address contains spaces, control characters or backslashes")
    return text


def _parse(text: str) -> URL:
    authority = text.partition("://")[2].partition("/")[0]
    try:
        url = URL(text)
        host, port = url.host, url.port
    except (ValueError, IndexError):  # UnicodeError is one; yarl stumbles over "[]@"
        raise InvalidInput("The address cannot be read: write such as http://host:port") from None
    if url.scheme not in ("http", "https"):
        raise InvalidInput("Only http:// and https:// addresses can be asked")
    if not host:
        raise InvalidInput("The address names no host: write such as http://localhost:11434")
    if "@" in authority:
        raise InvalidInput("The address must not contain a user name or password")
    if "#" in text or "?" in text:
        raise InvalidInput("The address must not contain ? or #")
    # int() reads more digits than the standard has; a zone or an escape is no part of a host here.
    if not port or not _AUTHORITY.fullmatch(authority):
        raise InvalidInput("The address has no valid host or port")
    return url


def _accepted(url: URL, path: str) -> Address:
    host = url.host or ""
    # Unicode can write a blank in many ways, and what reads %2e as a dot is not for us to say.
    if _UNFIT.search(host) or ("%" in host and ":" not in host):
        raise InvalidInput("The host's name cannot be read: write such as http://host:port")
    if is_refused(host):
        raise InvalidInput("Link-local and metadata addresses are never asked")
    number = _number(host)
    if number is not None and number.is_unspecified:
        # Where a server listens ("every interface") is no place to call.
        url = url.with_host("127.0.0.1" if number.version == 4 else "::1")  # noqa: PLR2004
    base = URL.build(scheme=url.scheme, authority=url.raw_authority, encoded=True)
    address = Address(base.with_path(path, encoded=True))
    if len(str(address)) > MAX_ADDRESS_CHARS:  # escaped, a character takes up to twelve
        raise InvalidInput("The address is too long")
    return address


def _number(host: str) -> IPAddress | None:
    """The IP address that ``host`` spells, also in the ways only the C library reads."""
    try:
        number: IPAddress = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        if not _ODD_NUMBERS.fullmatch(host):
            return None
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            return None
    if isinstance(number, ipaddress.IPv6Address) and number.ipv4_mapped is not None:
        return number.ipv4_mapped  # one and the same place
    return number


def _embedded(number: ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address]:
    """The IPv4 addresses that a translator or a tunnel on the way may make of ``number``."""
    bits = int(number)
    if bits > 1 and any(number in network for network in _EMBEDDING):
        yield ipaddress.IPv4Address(bits & 0xFFFFFFFF)
    if number in _LOCAL_NAT64:  # RFC 6052 has a place for each length of the prefix
        octets = number.packed
        for places in ((6, 7, 9, 10), (7, 9, 10, 11), (9, 10, 11, 12), (12, 13, 14, 15)):
            yield ipaddress.IPv4Address(bytes(octets[place] for place in places))
    if bits >> 32 & 0xFFFFFFFF in _ISATAP_IDS:
        yield ipaddress.IPv4Address(bits & 0xFFFFFFFF)
    yield from (found for found in (number.ipv4_mapped, number.sixtofour) if found is not None)
    yield from number.teredo or ()
