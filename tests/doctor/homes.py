"""A home that a real daemon made, copied for each test, and the command that examines it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from sgoped.cli import main
from sgoped.doctor.instance import Asked


@dataclass(frozen=True, repr=False)
class Report:
    """What ``sgoped doctor`` said."""

    exit_code: int
    findings: list[dict[str, Any]]

    def __repr__(self) -> str:
        lines = [f"{found['code']}: {found['what']}" for found in self.findings]
        return "\n".join((f"exit {self.exit_code}", *lines))

    def codes(self) -> set[str]:
        return {found["code"] for found in self.findings}

    def wrong(self) -> set[str]:
        """Codes of what remains to be done."""
        return {
            found["code"]
            for found in self.findings
            if found["severity"] in ("warning", "problem") and not found["mended"]
        }

    def one(self, code: str) -> dict[str, Any]:
        (found,) = [found for found in self.findings if found["code"] == code]
        return found


@dataclass(frozen=True)
class Home:
    """A home with its files."""

    path: Path

    @property
    def memory(self) -> Path:
        return self.path / "data" / "memory" / "short_term"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def cache(self) -> Path:
        return self.path / "cache"

    @property
    def runtime(self) -> Path:
        return self.path / "runtime"

    def doctor(self, *arguments: str) -> Report:
        given = ["doctor", "--json", "--home", str(self.path), *arguments]
        done = CliRunner().invoke(main, given)
        assert done.exit_code in (0, 1), done.output
        return Report(done.exit_code, json.loads(done.stdout))

    def expect(self, code: str, *, fixed: bool) -> dict[str, Any]:
        """The fault is found and nothing else; looking changes nothing; --fix mends it or does not.

        Whatever is done, the person's files stay as they are.
        """
        before, files = snapshot(self.path), snapshot(self.memory)
        report = self.doctor()
        assert report.wrong() == {code}, report
        assert report.exit_code == 1, report
        after = snapshot(self.path)
        assert after == before, [
            path for path in before | after if before.get(path) != after.get(path)
        ]
        found = report.one(code)
        assert found["fixable"] == fixed
        assert found["what"]
        assert found["mend"]
        mended = self.doctor("--fix")
        assert mended.one(code)["mended"] == fixed
        assert mended.exit_code == (0 if fixed else 1)
        again = self.doctor()
        assert again.wrong() == (set() if fixed else {code}), again
        assert persons(snapshot(self.memory)) == persons(files)
        return found


Snapshot = dict[str, tuple[Any, ...]]


def snapshot(root: Path) -> Snapshot:
    """Everything below ``root``: kind, mode, owner, times and content, links not followed."""
    return dict(_snapshots(root))


def _snapshots(root: Path) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for folder, folders, files in os.walk(root):
        for name in (".", *folders, *files):
            path = Path(folder) / name
            found = path.lstat()
            content = ""
            if stat.S_ISREG(found.st_mode):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            elif stat.S_ISLNK(found.st_mode):
                content = str(path.readlink())
            told = (found.st_mode, found.st_uid, found.st_size, found.st_mtime_ns, found.st_ino)
            if name.endswith("-shm"):  # memory that readers share, too, in the form of a file
                yield str(path), (found.st_mode,)
                continue
            # SQLite, run by root, gives a log its owner anew whenever it opens it.
            changed_ns = 0 if name.endswith("-wal") else found.st_ctime_ns
            yield str(path), (*told, changed_ns, content)


def persons(seen: Snapshot) -> Snapshot:
    """Without folders, whose times tell of our own leftovers, and without those."""
    return {
        path: told
        for path, told in seen.items()
        if not stat.S_ISDIR(told[0]) and not Path(path).name.startswith(".sgoped-")
    }


def nobody(url: str, socket_file: Path | None = None, *, trusted: bool = False) -> Asked:
    """A connection that is not to be made."""
    raise AssertionError(f"{url} was asked")


def copy(template: Path, to: Path) -> Home:
    shutil.copytree(template, to, symlinks=True)
    return Home(to)
