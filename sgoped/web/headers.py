"""The headers that every answer has, whoever made it.

An API that answers only to its own front end may forbid nearly everything: nothing of it is a page
that could run, be framed, be embedded elsewhere or be kept by a cache. The two pages for people
allow themselves their own script and style, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from aiohttp import hdrs
from multidict import CIMultiDict

SECURITY_HEADERS = MappingProxyType(
    {
        "Vary": "Origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": (
            "camera=(), microphone=(), geolocation=(), display-capture=(), payment=(), usb=(), "
            "serial=(), hid=(), clipboard-read=(), local-fonts=()"
        ),
        "Cache-Control": "no-store",
    }
)
POLICY_HEADER = "Content-Security-Policy"
_NOTHING_MORE = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
DATA_POLICY = f"default-src 'none'; {_NOTHING_MORE}"
PAGE_POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; {_NOTHING_MORE}"
)


def security_headers() -> Mapping[str, str]:
    """Those of an answer that carries no page."""
    return {**SECURITY_HEADERS, POLICY_HEADER: DATA_POLICY}


def add_security_headers(headers: CIMultiDict[str]) -> None:
    """Add them all; a policy that is there already, as a page's own is, is left alone."""
    headers.update(SECURITY_HEADERS)
    headers.setdefault(POLICY_HEADER, DATA_POLICY)
    headers.popall(hdrs.SERVER, None)
