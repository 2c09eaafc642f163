"""ARCHITECTURE.md names tests and modules; they exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "sgoped" / "ARCHITECTURE.md").read_text(encoding="utf-8")


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)
    assert len(named) > 20
    for file, test in named:
        source = (ROOT / file).read_text(encoding="utf-8")
        assert not test or f"def {test}(" in source, f"{file}::{test}"


def test_every_part_of_the_package_is_on_the_map() -> None:
    for path in (ROOT / "sgoped").iterdir():
        if path.stem != "__init__" and (path.suffix == ".py" or (path / "__init__.py").exists()):
            assert re.search(rf"\b{path.stem}\b", TEXT), path.name


def test_every_module_of_the_memory_is_on_the_map() -> None:
    for path in (ROOT / "sgoped" / "memory").glob("*.py"):
        if path.stem != "__init__":
            assert re.search(rf"\b{path.stem}\b", TEXT), path.name


def test_every_threat_has_a_defence_and_a_test() -> None:
    section = TEXT.partition("## THREATS")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    assert len(rows) > 25
    for attacker, asset, defence, test in rows[1:]:
        continued = not (attacker + asset + defence).strip()
        assert continued or all(cell.strip() for cell in (attacker, asset, defence))
        assert re.search(r"`tests/[\w/]+\.py::\w+`", test) or "out of scope" in defence
