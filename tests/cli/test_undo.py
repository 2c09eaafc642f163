"""``sgoped undo``, as a person or a script runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Sgoped
from tests.processes import DaemonProcess


def save(served: DaemonProcess, path: str, content: str) -> None:
    body = {"path": path, "content": content}
    assert served.request("POST", "/api/files/content", body)[0] == 200


def listed(sgoped: Sgoped, *arguments: str) -> list[dict[str, Any]]:
    told = sgoped("undo", "--list", "--json", *arguments)
    assert told.returncode == 0, told.stderr
    found: list[dict[str, Any]] = json.loads(told.stdout)
    return found


def test_a_named_file_gets_back_what_it_held_last(sgoped: Sgoped, served: DaemonProcess) -> None:
    for content in ("one\n", "two\n"):
        save(served, "named.md", content)
    told = sgoped("undo", "named.md")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout == "named.md is as it was before it was overwritten, 4 bytes\n"
    assert (served.memory_dir / "named.md").read_text() == "one\n"
    assert sgoped("undo", "named.md").returncode == 0, "undoing is undone in the same way"
    assert (served.memory_dir / "named.md").read_text() == "two\n"


def test_a_deleted_file_comes_back(sgoped: Sgoped, served: DaemonProcess) -> None:
    save(served, "gone.md", "was here\n")
    assert served.request("DELETE", "/api/files/content?path=gone.md")[0] == 200
    answer = json.loads(sgoped("undo", "gone.md", "--json").stdout)
    assert (answer["path"], answer["created"]) == ("gone.md", True)
    assert (served.memory_dir / "gone.md").read_text() == "was here\n"


def test_a_rename_is_taken_back_with_the_history(sgoped: Sgoped, served: DaemonProcess) -> None:
    for content in ("first\n", "second\n"):
        save(served, "sub/old.md", content)
    body = {"path": "sub", "to": "other/place"}
    assert served.request("POST", "/api/files/rename", body)[0] == 200
    assert listed(sgoped, "--limit", "1")[0]["former_path"] == "sub"
    versions = served.request("GET", "/api/files/versions?path=other/place/old.md")[1]
    assert [version["size"] for version in versions] == [6]
    told = sgoped("undo", "--yes")
    assert told.stdout == "other/place is called sub again\n"
    assert (served.memory_dir / "sub/old.md").read_text() == "second\n"
    assert not (served.memory_dir / "other/place").exists()
    assert sgoped("undo", "sub/old.md").returncode == 0
    assert (served.memory_dir / "sub/old.md").read_text() == "first\n"


def test_without_a_path_the_latest_changes_are_shown_and_nothing_is_done(
    sgoped: Sgoped, served: DaemonProcess
) -> None:
    for name in ("a.md", "b.md"):
        for content in ("before\n", "after\n"):
            save(served, name, content)
    told = sgoped("undo")
    assert told.returncode == 2
    assert "--yes" in told.stderr
    first, second = told.stderr.splitlines()[:2]
    assert "overwritten" in first
    assert "b.md  (7 bytes)" in first
    assert "a.md  (7 bytes)" in second
    assert (served.memory_dir / "b.md").read_text() == "after\n"
    assert sgoped("undo", "-y").returncode == 0
    assert (served.memory_dir / "b.md").read_text() == "before\n"
    assert (served.memory_dir / "a.md").read_text() == "after\n"


def test_the_list_is_newest_first_and_bounded(sgoped: Sgoped, served: DaemonProcess) -> None:
    for number in range(4):
        save(served, f"many/{number % 2}.md", f"{number}\n")
    found = listed(sgoped, "--limit", "2")
    assert [change["path"] for change in found] == ["many/1.md", "many/0.md"]
    assert found[0]["saved_at"] >= found[1]["saved_at"]
    of_one = listed(sgoped, "many/0.md")
    assert [change["reason"] for change in of_one] == ["overwritten"]
    assert set(of_one[0]) == {"version", "path", "size", "saved_at", "reason"}


def test_what_was_never_changed_cannot_be_undone(sgoped: Sgoped) -> None:
    told = sgoped("undo", "garden.md")
    assert told.returncode == 1
    assert "nothing is kept of garden.md" in told.stderr


@pytest.mark.parametrize("path", ["../canary", "BESIDE/canary"])
def test_nothing_outside_the_folder_is_undone(sgoped: Sgoped, tmp_path: Path, path: str) -> None:
    told = sgoped("undo", path.replace("BESIDE", str(tmp_path)))
    assert told.returncode == 1
    assert "path" in told.stderr


def test_a_strange_name_neither_steers_the_terminal_nor_is_lost(
    sgoped: Sgoped, served: DaemonProcess
) -> None:
    strange = served.memory_dir / "new\nline\udcff.md"
    strange.write_text("strange\n")
    assert served.request("POST", "/api/refresh", {})[0] == 200
    (found,) = served.request("GET", "/api/files?q=newline")[1]
    address = f"/api/files/content?path={found['id'].replace('%', '%25')}"
    assert served.request("DELETE", address)[0] == 200
    line = sgoped("undo", "--list", "--limit", "1").stdout
    assert line.count("\n") == 1
    assert sgoped("undo", "--yes").returncode == 0
    assert strange.read_text() == "strange\n"


def test_the_verb_is_completed(sgoped: Sgoped) -> None:
    asked = {"_SGOPED_COMPLETE": "bash_complete", "COMP_WORDS": "sgoped und", "COMP_CWORD": "1"}
    assert sgoped(environment=asked).stdout == "plain,undo\n"
