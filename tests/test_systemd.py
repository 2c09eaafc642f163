"""The systemd unit and its hardening, judged by systemd itself where it is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_EXPOSURE = 3.0
MAX_EXPOSURE_ALONE = 7.0

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit as a person installs it, but for the program, which lies elsewhere here."""
    text = (ROOT / "sgoped.service").read_text()
    changed = re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={shutil.which('true')}", text)
    assert changed != text
    path = tmp_path / "sgoped.service"
    path.write_text(changed)
    return path


@pytest.fixture
def hardened(unit: Path) -> Path:
    """With the drop-in beside it."""
    drop_in = Path(f"{unit}.d") / "hardening.conf"
    drop_in.parent.mkdir()
    shutil.copy(ROOT / "scripts" / "hardening.conf", drop_in)
    return unit


def analyze(*arguments: object, runtime: Path) -> str:
    """What it prints; fails where it finds something wrong."""
    done = subprocess.run(
        ["systemd-analyze", "--no-pager", *map(str, arguments)],
        env={"HOME": str(runtime), "XDG_RUNTIME_DIR": str(runtime), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def exposure(unit: Path, runtime: Path) -> float:
    """From 0, confined, to 10."""
    told = analyze("security", "--offline=true", unit, runtime=runtime)
    found = re.search(r"Overall exposure level for sgoped\.service: ([0-9.]+)", told)
    assert found is not None, told
    return float(found[1])


@pytest.mark.parametrize("which", ["unit", "hardened"])
def test_systemd_understands_every_line(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    path: Path = request.getfixturevalue(which)
    assert str(path) not in analyze("verify", "--user", path, runtime=tmp_path)


def test_alone_the_unit_is_not_exposed_much(unit: Path, tmp_path: Path) -> None:
    assert exposure(unit, tmp_path) <= MAX_EXPOSURE_ALONE


def test_with_the_drop_in_the_exposure_is_low(hardened: Path, tmp_path: Path) -> None:
    assert exposure(hardened, tmp_path) <= MAX_EXPOSURE
