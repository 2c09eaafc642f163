from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sgoped.plugins import load_plugins

GROUP = "sgoped.tested"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path, in which ``install`` puts packages."""
    monkeypatch.syspath_prepend(str(tmp_path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def install(site: Path, package: str, source: str, *entries: str) -> None:
    module = package.replace("-", "_")
    (site / f"{module}.py").write_text(source)
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{entry} = {module}:{entry}" for entry in entries]
    (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines]))


def test_what_a_package_offers_is_loaded(site: Path) -> None:
    install(site, "pencils", "sharpen = 'sharp'", "sharpen")
    plugins, failures = load_plugins(GROUP)
    assert [(plugin.name, plugin.package, plugin.value) for plugin in plugins] == [
        ("sharpen", "pencils", "sharp")
    ]
    assert failures == []


def test_the_order_is_by_package_and_name(site: Path) -> None:
    install(site, "zebra", "a = 1", "a")
    install(site, "apes", "c = 1\nb = 2", "c", "b")
    assert [plugin.name for plugin in load_plugins(GROUP)[0]] == ["b", "c", "a"]


@pytest.mark.parametrize(
    "source",
    [
        "import nothing_of_this_name",
        "raise SystemExit(3)",
        "1 / 0",
        "def broken(:",
        "other = 1",
    ],
)
def test_a_broken_package_is_told_and_spares_the_others(site: Path, source: str) -> None:
    install(site, "broken-pencils", source, "broken")
    install(site, "pencils", "sharpen = 1", "sharpen")
    plugins, failures = load_plugins(GROUP)
    assert [plugin.name for plugin in plugins] == ["sharpen"]
    assert [(failure.name, failure.package) for failure in failures] == [
        ("broken", "broken-pencils")
    ]
    assert failures[0].error


def test_a_name_is_given_once(site: Path) -> None:
    install(site, "apes", "climb = 1", "climb")
    install(site, "bears", "climb = 2", "climb")
    plugins, failures = load_plugins(GROUP)
    assert [(plugin.package, plugin.value) for plugin in plugins] == [("apes", 1)]
    assert failures[0].package == "bears"
    assert "taken by apes" in failures[0].error


def test_our_own_come_through_the_same_door() -> None:
    offered = {plugin.name: plugin.package for plugin in load_plugins("sgoped.services")[0]}
    assert offered["ollama"] == "sgoped"
    assert offered["openai"] == "sgoped"


def test_a_group_that_nobody_offers_is_empty() -> None:
    assert load_plugins("sgoped.nothing") == ([], [])
