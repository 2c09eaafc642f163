"""File times as the catalogue can hold them: nanoseconds in 64 bits, from 1677 to 2262.

A disk can hold others, as a broken clock or an archive may have left them.
"""

from __future__ import annotations

OLDEST_NS, NEWEST_NS = -(2**63), 2**63 - 1


def storable(time_ns: int) -> int:
    """The nearest time that can be held."""
    return max(OLDEST_NS, min(time_ns, NEWEST_NS))
