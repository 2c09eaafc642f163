"""Finds out what is wrong with an installation, and mends what is safe to mend.

One module per topic; each check is a function that yields findings and changes nothing.
"""

from __future__ import annotations

from sgoped.doctor.examination import examine, mend
from sgoped.doctor.finding import Finding, Severity, Topic
from sgoped.doctor.instance import Instance, Unanswered, find_instance
from sgoped.doctor.subject import Subject

__all__ = [
    "Finding",
    "Instance",
    "Severity",
    "Subject",
    "Topic",
    "Unanswered",
    "examine",
    "find_instance",
    "mend",
]
