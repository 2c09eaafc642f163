"""The table of what is tested here says the truth."""

from __future__ import annotations

import re
from pathlib import Path

import tests.e2e
import tests.e2e.test_bar

HERE = Path(__file__).parent
PROCESS = HERE.parent / "test_daemon.py"
DEFINED = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)


def test_every_test_has_its_place_in_the_table_and_every_place_its_test() -> None:
    named = set(re.findall(r"\b(test_\w+)$", tests.e2e.__doc__ or "", re.MULTILINE))
    elsewhere = set(re.findall(r"\b(test_\w+)$", tests.e2e.test_bar.__doc__ or "", re.MULTILINE))
    tables = (Path(__file__).name, "test_bar.py")
    ours = [path for path in HERE.glob("test_*.py") if path.name not in tables]
    here = {name for path in ours for name in DEFINED.findall(path.read_text())}
    process = set(DEFINED.findall(PROCESS.read_text()))
    assert here - named - elsewhere == set()
    assert named - here - process == set()
