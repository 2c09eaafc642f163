"""Examines what sgoped stands on: Python, SQLite, the packages it needs, the index's format."""

from __future__ import annotations

import platform
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import metadata
from operator import eq, ge, gt, le, lt, ne

import sgoped
from sgoped.doctor.finding import Finding, Severity, Topic, few
from sgoped.doctor.subject import Subject
from sgoped.memory import foreign_directories

_finding = partial(Finding, Topic.VERSIONS)

Release = tuple[int, ...]
_OLDEST_PYTHON = (3, 11)
_SHOWN = ("tantivy", "aiohttp", "watchdog")
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*\(?([^;()]*)\)?\s*(;.*)?")
_SPECIFIER = re.compile(r"(>=|<=|==|!=|<|>)\s*([0-9][0-9.]*)")
_OPERATORS: dict[str, Callable[[Release, Release], bool]] = {
    ">=": ge,
    "<=": le,
    "==": eq,
    "!=": ne,
    "<": lt,
    ">": gt,
}


def check_versions(subject: Subject) -> Iterator[Finding]:
    """That everything is of a version that sgoped works with."""
    yield from judge_python(sys.version_info[:3])
    yield from judge_sqlite(sqlite3.sqlite_version_info)
    try:
        requirements = metadata.requires("sgoped") or []
    except metadata.PackageNotFoundError:
        requirements = []
        yield _finding(
            "package_unknown", Severity.NOTE, "sgoped runs from a folder, not as a package"
        )
    wrong = list(judge_packages(requirements, _installed))
    yield from wrong
    if not wrong:
        shown = ", ".join(f"{name} {_installed(name)}" for name in _SHOWN)
        yield _finding(
            "versions_good",
            Severity.OK,
            f"sgoped {sgoped.__version__}, Python {platform.python_version()}, "
            f"SQLite {sqlite3.sqlite_version}, {shown}",
        )
    foreign = [path.name for path in foreign_directories(subject.paths.index_dir)]
    if foreign:
        yield _finding(
            "index_of_other_version",
            Severity.NOTE,
            f"another version made an index here ({few(foreign)}); the next start makes a new one",
            str(subject.paths.index_dir),
        )


def judge_python(version: Release) -> Iterator[Finding]:
    """Whether this Python is new enough."""
    if version < _OLDEST_PYTHON:
        yield _finding(
            "python_old",
            Severity.PROBLEM,
            f"Python {'.'.join(map(str, version))} is older than 3.11",
            sys.executable,
            "make the environment again with a newer Python",
        )


def judge_sqlite(version: Release) -> Iterator[Finding]:
    """Whether this SQLite has the WAL-reset defect.

    It can garble a database that two connections write to; see https://sqlite.org/wal.html.
    """
    fixed = (
        version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    )
    if not fixed:
        yield _finding(
            "sqlite_wal_reset",
            Severity.NOTE,
            f"SQLite {'.'.join(map(str, version))} can garble a database that two programs write "
            "to: leave its files to sgoped alone, which uses one connection",
            mend="a Python with SQLite 3.51.3 or later has the correction",
        )


def judge_packages(
    requirements: Sequence[str], installed: Callable[[str], str]
) -> Iterator[Finding]:
    """Whether every package is there, in a version of the range that was tried.

    Args:
        requirements: As a package's metadata has them; those of extras are left out.
        installed: The version of a package; empty when it is missing.
    """
    for requirement in requirements:
        match = _REQUIREMENT.fullmatch(requirement)
        if match is None or "extra" in (match[3] or ""):
            continue
        name, wanted, version = match[1], match[2].strip(), installed(match[1])
        if not version or not _fits(version, wanted):
            found = f"{name} {version} is installed" if version else f"{name} is missing"
            yield _finding(
                "package_wrong" if version else "package_missing",
                Severity.PROBLEM if not version else Severity.WARNING,
                f"{found}, and sgoped needs {name} {wanted}",
                sys.prefix,
                f"{sys.executable} -m pip install '{name}{wanted}'",
            )


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _fits(version: str, wanted: str) -> bool:
    return all(
        _OPERATORS[operator](*_padded(_release(version), _release(bound)))
        for operator, bound in _SPECIFIER.findall(wanted)
    )


def _release(version: str) -> Release:
    match = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    return tuple(map(int, match[0].split("."))) if match else ()


def _padded(one: Release, other: Release) -> tuple[Release, Release]:
    length = max(len(one), len(other))
    return one + (0,) * (length - len(one)), other + (0,) * (length - len(other))
