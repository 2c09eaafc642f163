"""Does one change to a memory folder in a process of its own, so that it can be killed in the middle.

Reads ``root<TAB>versions<TAB>change`` lines; for each, a fork tells its pid, waits for ``go``, does
the change and says ``done``. The modules are imported once, for all forks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from sgoped.memory.files import Files
from sgoped.memory.versions import Versions

OLD, NEW = b"old content\n" * 500, b"new content\n" * 500
MAX_BYTES = 1_000_000
MAX_VERSIONS_BYTES = 1_000_000


def restore_oldest(files: Files, versions: Versions) -> None:
    """A kill may have left a newer version of what was then not overwritten."""
    files.restore("a.md", versions.list("a.md")[-1].version)


CHANGES: dict[str, Callable[[Files, Versions], object]] = {
    "overwrite": lambda files, _: files.write("a.md", NEW),
    "create": lambda files, _: files.write("new/folder/b.md", NEW),
    "create_unique": lambda files, _: files.create_unique("a.md", NEW),
    "delete": lambda files, _: files.delete("a.md"),
    "rename_file": lambda files, _: files.rename("a.md", "sub/b.md"),
    "rename_folder": lambda files, _: files.rename("sub", "other/sub"),
    "restore": restore_oldest,
    "restore_deleted": lambda files, versions: files.restore(
        "gone.md", versions.list("gone.md")[0].version
    ),
}


def open_files(root: Path, versions_dir: Path) -> tuple[Files, Versions]:
    versions = Versions(versions_dir, MAX_VERSIONS_BYTES)
    return Files(root, versions, MAX_BYTES), versions


def read_line() -> str:
    """Byte by byte, because parent and child read from one pipe in turn."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            raise SystemExit
        line += byte
    return line.decode().rstrip("\n")


def say(text: str) -> None:
    os.write(1, text.encode() + b"\n")


def child(root: str, versions_dir: str, change: str) -> None:
    files, versions = open_files(Path(root), Path(versions_dir))
    say(str(os.getpid()))
    read_line()
    CHANGES[change](files, versions)
    say("done")


def main() -> None:
    while True:
        arguments = read_line().split("\t")
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                child(*arguments)
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        say(f"ended {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main()
