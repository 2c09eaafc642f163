"""The checks themselves harm nothing: what they aim at, and where their daemons live."""

from __future__ import annotations

import ast
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.processes import DaemonProcess

TESTS = Path(__file__).parent
SYSTEM = re.compile(
    r"(?:(?:\.\./)+|/)(?:etc|boot|bin|sbin|usr|var|root|opt|home|lib)/.*", re.DOTALL
)
# Why a text that names a place of the system is no target of a write, rename or delete there.
HARMLESS = {
    "chat/test_acting.py": "a message that begins with a slash",
    "chat/test_answering.py": "an attachment, which is only read",
    "doctor/test_access.py": "the shells in a table of users",
    "e2e/test_overview.py": "the text of a note",
    "memory/test_document.py": "a rule about texts",
    "memory/test_textual.py": "files that are read",
    "prompts/test_naming.py": "a rule about texts",
    "test_systemd.py": "where systemd's own program is",
    "torture/test_parsers.py": "a rule about texts",
}


def texts(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def test_no_check_aims_at_a_place_of_the_system() -> None:
    aimed = [
        f"{name}:{line} {text[:60]!r}"
        for path in sorted(TESTS.rglob("*.py"))
        if (name := str(path.relative_to(TESTS))) not in HARMLESS
        for line, text in texts(path)
        if SYSTEM.fullmatch(text)
    ]
    assert aimed == []


def test_a_daemon_of_the_checks_knows_no_other_home(daemon: DaemonProcess) -> None:
    environment = Path(f"/proc/{daemon.process.pid}/environ").read_bytes().split(b"\0")
    (home,) = [each for each in environment if each.startswith(b"HOME=")]
    temporary = Path(tempfile.gettempdir()).resolve()
    for place in (home.removeprefix(b"HOME=").decode(), daemon.home, daemon.memory_dir):
        assert Path(place).resolve().is_relative_to(temporary), place
    assert Path(f"/proc/{daemon.process.pid}/cwd").readlink().is_relative_to(temporary)
