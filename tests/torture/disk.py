"""A folder as a person's other programs change it, and what ought to be known of it.

``Disk`` makes every change itself and remembers which bytes are where, so that a byte that
anybody else altered is found. ``listed`` asks git, not sgoped, what the ignore files leave out.
"""

from __future__ import annotations

import codecs
import os
import shutil
import stat
import subprocess
from contextlib import suppress
from pathlib import Path

GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "HOME": "/"}
NEVER_LISTED = frozenset({".env", ".x.swp"})


def text_of(data: bytes) -> str | None:
    """The text that ``data`` is, None where it is binary; knows only what the model makes."""
    if b"\0" in data and not data.startswith(codecs.BOM_UTF16_LE):
        return None
    if data.startswith(codecs.BOM_UTF16_LE):
        return data[2:].decode("utf-16-le")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252")


def like(old: bytes | None, text: str) -> bytes:
    """``text`` as a save over ``old`` should store it."""
    if old is None:
        return text.encode()
    if old.startswith(codecs.BOM_UTF16_LE):
        return codecs.BOM_UTF16_LE + text.encode("utf-16-le")
    if old.startswith(codecs.BOM_UTF8):
        return codecs.BOM_UTF8 + text.encode()
    try:
        old.decode()
    except UnicodeDecodeError:
        with suppress(UnicodeEncodeError):
            return text.encode("cp1252")
    return text.encode()


class Disk:
    """The memory folder ``root``, of which each run uses a subfolder of its own.

    Attributes:
        files: The bytes of every regular file, by its path from ``root``.
    """

    def __init__(self, root: Path, outside: Path) -> None:
        self.root = root
        self.outside = outside
        self.files: dict[str, bytes] = {}
        self._git_dir = outside / "git"
        self._moved: dict[str, bytes] = {}
        self._has_rules = False
        outside.mkdir(parents=True, exist_ok=True)
        (outside / "canary.txt").write_text("canary")
        self._git("init", "-q", "--bare", str(self._git_dir), bare=True)

    def start_afresh(self, base: str) -> None:
        """Empty the folder by hand and make ``base`` in it."""
        for path in (*self.root.iterdir(), self.outside / "moved"):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        self.files = {}
        self._moved = {}
        self._has_rules = False
        (self.root / base).mkdir()

    # -- what there is

    def status(self, path: str) -> int:
        """The mode of what is at ``path``, 0 where nothing is or a link leads there."""
        parts = path.split("/")
        for end in range(1, len(parts)):
            try:
                if not stat.S_ISDIR(self.at("/".join(parts[:end])).lstat().st_mode):
                    return 0
            except OSError:
                return 0
        try:
            return self.at(path).lstat().st_mode
        except OSError:
            return 0

    def is_folder(self, path: str) -> bool:
        return stat.S_ISDIR(self.status(path))

    def can_hold(self, path: str) -> bool:
        """Whether nothing but folders, or nothing at all, lies above ``path``, and no folder at it."""
        parts = path.split("/")
        for end in range(1, len(parts)):
            above = "/".join(parts[:end])
            if os.path.lexists(self.at(above)) and not self.is_folder(above):
                return False
        return not self.is_folder(path)

    def folders(self) -> list[str]:
        """Every folder below the root."""
        found = []
        for top, below, _ in os.walk(self.root):
            found += [os.path.relpath(f"{top}/{name}", self.root) for name in below]
        return sorted(path for path in found if self.is_folder(path))

    def at(self, path: str) -> Path:
        return self.root / path

    def snapshot(self) -> dict[str, bytes]:
        """The regular files that are there, links not followed."""
        found = {}
        for top, _, names in os.walk(self.root):
            for name in names:
                file = Path(top) / name
                if stat.S_ISREG(file.lstat().st_mode):
                    found[os.path.relpath(file, self.root)] = file.read_bytes()
        return found

    def listed(self) -> dict[str, bytes]:
        """The files that may be known: not ignored, not hidden, or of a harmless hidden name."""
        kept = self.files
        if self._has_rules:
            told = self._git("ls-files", "-z", "--others", "--exclude-per-directory=.gitignore")
            names = set(os.fsdecode(told).split("\0"))
            kept = {path: data for path, data in kept.items() if path in names}
        return {path: data for path, data in kept.items() if not _is_left_out(path)}

    def ignores(self, path: str) -> bool:
        """Whether the rules leave ``path`` out, which need not exist."""
        if not self._has_rules:
            return False
        return bool(self._git("check-ignore", "--no-index", "--", path, may_fail=True))

    def _git(self, *arguments: str, bare: bool = False, may_fail: bool = False) -> bytes:
        where = [] if bare else [f"--git-dir={self._git_dir}", f"--work-tree={self.root}"]
        command = ["git", "-c", "core.excludesFile=/dev/null", "-c", "core.bare=false", *where]
        environment = {**GIT, "PATH": os.defpath}
        finished = subprocess.run(
            [*command, *arguments],
            cwd=self.outside if bare else self.root,
            env=environment,
            capture_output=True,
            check=not may_fail,
        )
        return finished.stdout

    # -- changes; each does nothing where it cannot be done

    def write(self, path: str, data: bytes) -> None:
        if self._make_parents(path):
            if os.path.lexists(self.at(path)) and path not in self.files:
                self.at(path).unlink()
            self.at(path).write_bytes(data)
            self.files[path] = data

    def save_atomically(self, path: str, data: bytes) -> None:
        """As most editors do: a new file is renamed over the old."""
        if self._make_parents(path):
            beside = self.at(path).with_name("new save.tmp")
            beside.write_bytes(data)
            beside.rename(self.at(path))
            self.files[path] = data

    def save_as_vim(self, path: str, data: bytes) -> None:
        """The old file moves away before the new one is written."""
        if path in self.files:
            backup = self.at(path).with_name("4913~")
            self.at(path).rename(backup)
            self.at(path).write_bytes(data)
            backup.unlink()
            self.files[path] = data

    def append(self, path: str, data: bytes) -> None:
        if path in self.files:
            with self.at(path).open("ab") as file:
                file.write(data)
            self.files[path] += data

    def change_unseen(self, path: str) -> None:
        """Other bytes, but the same size and modification time."""
        data = self.files.get(path)
        if data and data.isascii():
            before = self.at(path).stat()
            changed = data[:-1] + (b"y" if data[-1:] != b"y" else b"z")
            with self.at(path).open("r+b") as file:
                file.write(changed)
            os.utime(self.at(path), ns=(before.st_atime_ns, before.st_mtime_ns))
            self.files[path] = changed

    def make_folders(self, path: str) -> None:
        if self.can_hold(path) and not os.path.lexists(self.at(path)):
            self.at(path).mkdir(parents=True, exist_ok=True)

    def move(self, path: str, to: str) -> None:
        inside = f"{to}/".startswith(f"{path}/")
        if self.status(path) and not os.path.lexists(self.at(to)) and not inside:
            if not self._make_parents(to):
                return
            self.at(path).rename(self.at(to))
            self.note_move(path, to)

    def note_move(self, path: str, to: str) -> None:
        """What was known below ``path`` is below ``to`` now."""
        for known in list(self.files):
            if known == path or known.startswith(f"{path}/"):
                self.files[to + known[len(path) :]] = self.files.pop(known)

    def move_out(self, path: str) -> None:
        """Out of the memory folder, from where ``move_in`` takes it."""
        away = self.outside / "moved"
        if self.status(path) and not os.path.lexists(away):
            self.at(path).rename(away)
            below = [known for known in self.files if known == path or known.startswith(f"{path}/")]
            self._moved = {known[len(path) :]: self.files.pop(known) for known in below}

    def move_in(self, to: str) -> None:
        away = self.outside / "moved"
        if os.path.lexists(away) and not os.path.lexists(self.at(to)) and self._make_parents(to):
            away.rename(self.at(to))
            self.files.update({to + end: data for end, data in self._moved.items()})
            self._moved = {}

    def delete(self, path: str) -> None:
        if self.is_folder(path):
            shutil.rmtree(self.at(path))
        elif self.status(path):
            self.at(path).unlink()
        for known in list(self.files):
            if known == path or known.startswith(f"{path}/"):
                del self.files[known]

    def link(self, path: str, to: str) -> None:
        """A link: to a file outside, to the folder outside, or to what is beside it."""
        if self._make_parents(path) and not os.path.lexists(self.at(path)):
            aims = {"file": self.outside / "canary.txt", "folder": self.outside, "self": Path()}
            self.at(path).symlink_to(aims[to])

    def pipe(self, path: str) -> None:
        if self._make_parents(path) and not os.path.lexists(self.at(path)):
            os.mkfifo(self.at(path))

    def set_mode(self, path: str, mode: int) -> None:
        if path in self.files:
            self.at(path).chmod(mode)

    def set_rules(self, folder: str, lines: list[str]) -> None:
        """An ignore file that hides and shows what is there already, or none any more."""
        path = f"{folder}/.gitignore"
        if not lines:
            self.delete(path)
        elif self.is_folder(folder):
            self.write(path, "".join(f"{line}\n" for line in lines).encode())
            self._has_rules = True

    def _make_parents(self, path: str) -> bool:
        if not self.can_hold(path):
            return False
        self.at(path).parent.mkdir(parents=True, exist_ok=True)
        return True


def _is_left_out(path: str) -> bool:
    *folders, name = path.split("/")
    return name in NEVER_LISTED or any(folder.startswith(".") for folder in folders)
