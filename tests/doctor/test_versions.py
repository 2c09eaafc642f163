from __future__ import annotations

from importlib import metadata

import pytest

from sgoped.doctor.finding import Finding
from sgoped.doctor.versions import judge_packages, judge_python, judge_sqlite

REQUIREMENTS = [
    "aiohttp>=3.14,<4",
    "tantivy>=0.27,<0.28",
    "pytest>=9.2,<10; extra == 'test'",
]


def judge(**installed: str) -> list[Finding]:
    return list(judge_packages(REQUIREMENTS, lambda name: installed.get(name, "")))


@pytest.mark.parametrize("version", ["3.14", "3.14.0", "3.14.5", "3.20.1"])
def test_versions_in_the_range_are_good(version: str) -> None:
    assert judge(aiohttp=version, tantivy="0.27.0") == []


@pytest.mark.parametrize("version", ["3.13.9", "4", "4.0.1", "3"])
def test_versions_out_of_the_range_are_told(version: str) -> None:
    (found,) = judge(aiohttp=version, tantivy="0.27.9")
    assert found.code == "package_wrong"
    assert "pip install 'aiohttp>=3.14,<4'" in found.mend


def test_a_missing_package_is_told() -> None:
    (found,) = judge(aiohttp="3.14")
    assert (found.code, str(found.severity)) == ("package_missing", "problem")


def test_what_is_installed_here_is_understood_and_fits() -> None:
    found = judge_packages(metadata.requires("sgoped") or [], metadata.version)
    assert not [each for each in found if "None" in each.what]


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 0), True),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 53, 0), False),
    ],
)
def test_the_defect_of_sqlite_is_known_by_its_versions(
    version: tuple[int, int, int], affected: bool
) -> None:
    assert bool(list(judge_sqlite(version))) == affected


def test_an_old_python_is_told() -> None:
    assert [found.code for found in judge_python((3, 10, 9))] == ["python_old"]
    assert not list(judge_python((3, 11, 0)))
