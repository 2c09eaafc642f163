"""What simple tools find among a list of paths: fzf, and plain substring search."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

DEPTH = 10
PROCESSES = 2
_SAVE_AFTER = 200


class Fzf:
    """``fzf --scheme=path --filter`` over one list of paths; it is asked each query only once.

    What it found is kept for later runs below ``cache``, by the paths and the version of fzf.
    """

    def __init__(self, paths: Sequence[str], cache: Path, environment: Mapping[str, str]) -> None:
        """Find fzf.

        Raises:
            RuntimeError: It is not installed.
        """
        found = shutil.which("fzf")
        if found is None:
            raise RuntimeError("fzf is not installed (Debian, Ubuntu: apt install fzf)")
        self._command = found
        own = {"FZF_DEFAULT_OPTS": "", "FZF_DEFAULT_OPTS_FILE": "", "FZF_DEFAULT_COMMAND": ""}
        self._environment = {**environment, **own}
        self._listing = "".join(f"{path}\n" for path in paths).encode()
        version = subprocess.run(
            [found, "--version"], capture_output=True, env=self._environment, check=True
        ).stdout
        self.version = version.decode().split()[0]
        key = hashlib.sha256(self._listing + version).hexdigest()[:16]
        self._kept = cache / f"fzf-{key}.json"

    def find(self, queries: Sequence[str]) -> dict[str, list[str]]:
        """The first ten paths for each query."""
        known: dict[str, list[str]] = {}
        if self._kept.exists():
            known = json.loads(self._kept.read_text("utf-8"))
        missing = [query for query in dict.fromkeys(queries) if query not in known]
        with ThreadPoolExecutor(PROCESSES) as pool:
            for number, (query, found) in enumerate(
                zip(missing, pool.map(self._ask, missing), strict=True), start=1
            ):
                known[query] = found
                if number % _SAVE_AFTER == 0 or number == len(missing):
                    self._keep(known)
        return {query: known[query] for query in queries}

    def _ask(self, query: str) -> list[str]:
        with tempfile.TemporaryFile() as listing:
            listing.write(self._listing)
            listing.seek(0)
            told = subprocess.run(
                [self._command, "--scheme=path", f"--filter={query}"],
                stdin=listing,
                stdout=subprocess.PIPE,
                env=self._environment,
                check=False,  # 1: nothing matches
            )
        if told.returncode not in {0, 1}:
            raise RuntimeError(f"fzf --filter={query!r} ended with {told.returncode}")
        return [path for path in told.stdout.decode().split("\n", DEPTH)[:DEPTH] if path]

    def _keep(self, known: Mapping[str, Sequence[str]]) -> None:
        new = self._kept.with_suffix(".new")
        new.write_text(json.dumps(known), "utf-8")
        new.replace(self._kept)


class Substring:
    """The paths that contain what is typed, in any case, in three orders that a tool may have."""

    def __init__(self, paths: Sequence[str]) -> None:
        alphabetical = sorted(paths)
        self._alphabetical = [(path.lower(), path) for path in alphabetical]
        self._shortest = [(path.lower(), path) for path in sorted(alphabetical, key=len)]

    def find(self, typed: str) -> dict[str, list[str]]:
        """The first ten by the name of the order: as ``grep``, shortest first, names first."""
        typed = typed.lower()
        return {
            "as grep": list(islice(_containing(self._alphabetical, typed), DEPTH)),
            "shortest first": list(islice(_containing(self._shortest, typed), DEPTH)),
            "names first": list(islice(self._names_first(typed), DEPTH)),
        }

    def _names_first(self, typed: str) -> Iterator[str]:
        elsewhere: list[str] = []
        for path in _containing(self._shortest, typed):
            if typed in path.rpartition("/")[2].lower():
                yield path
            elif len(elsewhere) < DEPTH:
                elsewhere.append(path)
        yield from elsewhere


def _containing(paths: Sequence[tuple[str, str]], typed: str) -> Iterator[str]:
    return (path for lowered, path in paths if typed in lowered)
