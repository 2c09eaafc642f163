"""Random operations on files, by the API and by hand, with kills between them, against the disk.

After each sequence, and now and then within it, what the daemon tells is compared with a walk of
the folder: which files there are, how they are called, what is in them, what is found, and what
is kept of what the API replaced. One home serves all sequences, each in a folder of its own that
begins with the removal of the one before.
"""

from __future__ import annotations

import codecs
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, unquote_to_bytes, urlencode

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.conftest import NoteFigure, StartDaemon
from tests.processes import DaemonProcess
from tests.scale import SCALES, Scale
from tests.torture.disk import Disk, like, text_of

QUIET_SECONDS = 20.0
REFUSED = (400, 403, 404, 409, 415, 422)
RESTARTS = 2  # in one sequence; they are most of its time

FOLDERS = ["", "d", "D", "d/sub", "\u00e9", "e\u0301", "deep folder/\U0001f600", "-x", "node", ".h"]
PLAIN = [
    "a.txt", "b.md", "A.TXT", "d", "\u00e9.txt", "e\u0301.txt", "\U0001f600.txt", "-rf", "x y.txt",
    "a(1).txt", "no_suffix", "skip.txt", "p.bin", "pic.png", "trailing.", "\u202etxt.exe", "100%.md",
    "\u65e5" * 84 + ".md", "n" * 251 + ".txt", "src.test.ts", "'quoted'.txt", "a,b;c.txt",
]  # fmt: skip
BY_HAND = ["\udcff.txt", "\udcfe.txt", "new\nline.txt", "back\\slash", ".env", ".profile", ".x.swp"]
OUTSIDE = str(Path(tempfile.gettempdir(), "outside-of-sgoped", "canary.txt"))
HOSTILE = [
    "../canary.txt", "d/../../x", OUTSIDE, ".hidden", ".h/a.txt", "a\\b", "new\nline.txt",
    "", ".", "..", " /", "n" * 256, "\x00", "C:/x", ".f:..%2Fx", ".f:%00", "a/" * 2500 + "a",
]  # fmt: skip
RULES = ["*.md", "d/", "/a.txt", "!a.txt", "skip*", "**/sub", "*", "!*/", "!*.txt", "x y.txt", "#"]

folders = st.sampled_from(FOLDERS)
plain_paths = st.builds("/".join, st.tuples(folders, st.sampled_from(PLAIN)))
any_paths = st.builds("/".join, st.tuples(folders, st.sampled_from(PLAIN + BY_HAND)))
shapes = st.sampled_from(["utf-8", "utf-8", "crlf", "empty", "bom", "utf-16", "cp1252", "binary"])
which = st.integers(0, 999)
etags = st.sampled_from(["", "", "right", "wrong"])


class World:
    """What outlives one sequence: the daemon's home, the disk, and the words used so far."""

    def __init__(self, start_daemon: StartDaemon, folder: Path) -> None:
        self._start = start_daemon
        self.daemon: DaemonProcess = start_daemon()
        self.disk = Disk(self.daemon.memory_dir, folder / "outside")
        self.trace: list[str] = []
        self.counts: Counter[str] = Counter()
        self._random = random.Random(0)

    def begin(self, name: str) -> None:
        """Keep what was done in the sequence before: one that failed is done once more."""
        last = [number for number, line in enumerate(self.trace) if line.startswith("run")]
        self.trace = [*self.trace[last[-1] if last else 0 :], name]
        self.disk.start_afresh(name)

    def word(self) -> str:
        """A word that is in no other text."""
        self.counts["words"] += 1
        number, letters = self.counts["words"], ""
        while number:
            number, digit = divmod(number, 20)
            letters += "bcdfghjklmnpqrstvwxz"[digit]
        return f"q{letters}q"

    def content(self, shape: str) -> bytes:
        text = f"A line with {self.word()} in it\nand another\n"
        return {
            "utf-8": text.encode(),
            "crlf": text.replace("\n", "\r\n").encode(),
            "empty": b"",
            "bom": codecs.BOM_UTF8 + text.encode(),
            "utf-16": codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
            "cp1252": (text + "caf\u00e9\n").encode("cp1252"),
            "binary": b"\0\1\2" + text.encode(),
        }[shape]

    def restart(self, how: str, damage: str, meanwhile: Callable[[], None]) -> None:
        if how == "kill":
            self.daemon.kill()
        else:
            assert self.daemon.stop() == 0
        self.spoil(damage)
        meanwhile()
        self.daemon = self._start(home=self.daemon.home)
        self.counts["restarts"] += 1

    def spoil(self, damage: str) -> None:
        """Damage one file of the cache, whichever."""
        caches = sorted(path for path in (self.daemon.home / "cache").rglob("*") if path.is_file())
        if damage == "nothing" or not caches:
            return
        file = caches[self.counts["restarts"] % len(caches)]
        data = bytearray(file.read_bytes())
        if damage == "delete":
            file.unlink()
        elif damage == "cut":
            file.write_bytes(data[: len(data) // 2])
        elif data:
            data[len(data) // 3] ^= 0x55
            file.write_bytes(data)

    def ask(
        self, method: str, address: str, body: object = None, /, **query: object
    ) -> tuple[int, Any]:
        return self.daemon.request(method, f"{address}?{urlencode(query)}", body)


def id_of(path: str) -> str:
    return f".f:{quote(os.fsencode(path))}"


def shown(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "replace") if not is_utf8(path) else path


def is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


class FileOperations(RuleBasedStateMachine):
    """The rules; ``kept`` is what the API replaced, by path, oldest first, numbered."""

    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, list[tuple[int, bytes]]] = {}
        self.restarts = 0
        self.changed = True

    @property
    def disk(self) -> Disk:
        return self.world.disk

    @initialize()
    def start_afresh(self) -> None:
        world = self.world
        world.counts["sequences"] += 1
        self.base = f"run{world.counts['sequences']}"
        world.begin(self.base)

    def note(self, *words: object) -> None:
        self.world.counts["steps"] += 1
        self.world.trace.append(" ".join(map(ascii, words)))
        self.changed = True

    def told(self, status: int) -> None:
        self.world.trace[-1] += f" -> {status}"

    def below(self, path: str) -> str:
        return f"{self.base}/{path.strip('/')}".rstrip("/")

    def existing(self, number: int) -> str:
        """Some file that is there; a path without one where none is."""
        paths = sorted(self.disk.files)
        return paths[number % len(paths)] if paths else self.below("none.txt")

    def existing_or_folder(self, number: int) -> str:
        paths = sorted({*self.disk.files, *self.disk.folders()} - {self.base})
        return paths[number % len(paths)] if paths else self.below("none.txt")

    # -- by hand

    @rule(path=any_paths, shape=shapes, how=st.sampled_from(["plainly", "atomically"]))
    def write_by_hand(self, path: str, shape: str, how: str) -> None:
        data = self.world.content(shape)
        self.note("write", how, path, data)
        save = self.disk.write if how == "plainly" else self.disk.save_atomically
        save(self.below(path), data)

    @rule(number=which, how=st.sampled_from(["vim", "append", "unseen", "binary", "mode", "back"]))
    def change_by_hand(self, number: int, how: str) -> None:
        path = self.existing(number)
        self.note("change", how, path)
        disk, data = self.disk, self.world.content("binary" if how == "binary" else "utf-8")
        if how == "vim":
            disk.save_as_vim(path, data)
        elif how == "append" and disk.files.get(path, b"").isascii():
            disk.append(path, data)
        elif how == "unseen":
            disk.change_unseen(path)
        elif how == "binary" and not path.endswith(".gitignore"):
            disk.write(path, data)
        elif how in ("mode", "back"):
            disk.set_mode(path, 0 if how == "mode" else 0o644)

    @rule(number=which, to=any_paths, how=st.sampled_from(["move", "out", "in", "delete"]))
    def move_by_hand(self, number: int, to: str, how: str) -> None:
        path = self.existing_or_folder(number)
        self.note(how, path, to)
        match how:
            case "move":
                self.disk.move(path, self.below(to))
            case "out":
                self.disk.move_out(path)
            case "in":
                self.disk.move_in(self.below(to))
            case _:
                self.disk.delete(path)

    @rule(path=plain_paths, what=st.sampled_from(["folders", "file", "folder", "self", "pipe"]))
    def make_by_hand(self, path: str, what: str) -> None:
        self.note("make", what, path)
        if what == "folders":
            self.disk.make_folders(self.below(path))
        elif what == "pipe":
            self.disk.pipe(self.below(path))
        else:
            self.disk.link(self.below(path), what)

    @rule(folder=folders, lines=st.lists(st.sampled_from(RULES), max_size=3))
    def set_rules(self, folder: str, lines: list[str]) -> None:
        self.note("rules", folder, lines)
        self.disk.set_rules(self.below(folder), lines)

    # -- by the API

    def write(self, path: str, text: str, etag: str) -> int:
        """Save, and let the model follow what was acknowledged; what was refused did nothing."""
        headers = {}
        if etag:
            _, read = self.world.ask("GET", "/api/files/content", path=id_of(path))
            right = read.get("etag", "0" * 32)
            headers = {"If-Match": f'"{right if etag == "right" else "f" * 32}"'}
        body = {"path": path if is_utf8(path) else id_of(path), "content": text}
        status, told = self.world.daemon.request("POST", "/api/files/content", body, headers)
        self.told(status)
        assert status in (200, *REFUSED), told
        if status == 200:
            self.replaced(path, like(self.disk.files.get(path), text))
            assert told["created"] == (told["version"] is None and not self.was_there)
            assert self.disk.at(path).read_bytes() == self.disk.files[path]
        return status

    def replaced(self, path: str, data: bytes | None) -> None:
        """The API put ``data`` in the place of what was there, or removed it."""
        old = self.disk.files.pop(path, None)
        self.was_there = old is not None
        if old is not None and old != data:
            self.world.counts["kept"] += 1
            self.kept.setdefault(path, []).append((self.world.counts["kept"], old))
        if data is not None:
            self.disk.files[path] = data

    @rule(path=plain_paths, etag=etags)
    def write_by_api(self, path: str, etag: str) -> None:
        path, text = self.below(path), f"Saved {self.world.word()}\n"
        self.note("POST content", path, text, etag)
        old = self.disk.files.get(path)
        must = self.may_be_written(path) and etag != "wrong" and (etag == "" or old is not None)
        status = self.write(path, text, etag)
        assert status == 200 or not must
        assert status != 200 or etag != "wrong"

    @rule(number=which, etag=etags)
    def overwrite_by_api(self, number: int, etag: str) -> None:
        path, text = self.existing(number), f"Over\r\nwritten {self.world.word()} caf\u00e9"
        self.note("POST content", path, text, etag)
        self.write(path, text, etag)

    @rule(path=st.sampled_from(HOSTILE), to=st.booleans())
    def ask_for_what_is_refused(self, path: str, to: bool) -> None:
        self.note("hostile", path)
        hostile = f"{self.base}/{path}" if path.startswith((".h", "a", "n", "\x00")) else path
        content = {"path": hostile, "content": "evil"}
        assert self.world.ask("POST", "/api/files/content", content)[0] in REFUSED
        rename = {"path": self.existing(0), "to": hostile} if to else {"path": hostile, "to": "x"}
        assert self.world.ask("POST", "/api/files/rename", rename)[0] in REFUSED
        if hostile not in self.disk.files:  # of what is there, only reading is allowed
            assert self.world.ask("GET", "/api/files/content", path=hostile)[0] in REFUSED
        assert self.world.ask("DELETE", "/api/files/content", path=hostile)[0] in REFUSED

    def may_be_written(self, path: str) -> bool:
        """Whether there is nothing to say against writing there."""
        old = self.disk.files.get(path)
        if old is not None and text_of(old) is None:
            return False
        free = old is not None or not os.path.lexists(self.disk.at(path))
        hidden = any(part.startswith(".") for part in path.split("/"))
        return self.disk.can_hold(path) and free and not hidden and not self.disk.ignores(path)

    @rule(number=which)
    def delete_by_api(self, number: int) -> None:
        path = self.existing(number)
        self.note("DELETE", path)
        status, told = self.world.ask("DELETE", "/api/files/content", path=id_of(path))
        self.told(status)
        assert status in (200, *REFUSED), told
        if status == 200:
            self.replaced(path, None)
            assert not os.path.lexists(self.disk.at(path))
        else:
            # What has no plain path is known by its id only, once it was noticed.
            is_plain = is_utf8(path) and path.isprintable() and "\\" not in path
            assert not (path in self.disk.files and self.may_be_written(path) and is_plain)

    @rule(number=which, to=plain_paths)
    def rename_by_api(self, number: int, to: str) -> None:
        path, to = self.existing_or_folder(number), self.below(to)
        self.note("rename", path, to)
        is_folder = self.disk.is_folder(path)
        taken = os.path.lexists(self.disk.at(to))
        status, told = self.world.ask("POST", "/api/files/rename", {"path": id_of(path), "to": to})
        self.told(status)
        assert status in (200, *REFUSED), told
        if status == 200:
            assert not taken
            self.disk.note_move(path, to)
            # What is kept goes along, of a folder also what was deleted in it.
            below = [old for old in self.kept if old.startswith(f"{path}/")]
            for old in below if is_folder else [path]:
                new = to + old[len(path) :]
                self.kept[new] = sorted(self.kept.get(new, []) + self.kept.pop(old, []))
            assert os.path.lexists(self.disk.at(to))

    @precondition(lambda self: any(self.kept.values()))
    @rule(number=which, back=st.integers(0, 3))
    def restore_by_api(self, number: int, back: int) -> None:
        paths = sorted(path for path, kept in self.kept.items() if kept)
        path = paths[number % len(paths)]
        self.note("restore", path, back)
        found = self.check_versions(path)
        version = found[back % len(found)]["version"]
        _, data = self.kept[path][-1 - back % len(found)]
        status, told = self.world.ask(
            "POST", "/api/files/restore", {"path": id_of(path), "version": version}
        )
        self.told(status)
        assert status in (200, *REFUSED), told
        if status == 200:
            self.replaced(path, data)
            assert self.disk.at(path).read_bytes() == data

    def check_versions(self, path: str) -> list[dict[str, Any]]:
        """All that the API replaced is kept, newest first."""
        status, found = self.world.ask("GET", "/api/files/versions", path=id_of(path))
        assert status == 200, found
        sizes = [len(data) for _, data in reversed(self.kept[path])]
        assert [version["size"] for version in found] == sizes, (path, found, sizes)
        return list(found)

    # -- the daemon

    @precondition(lambda self: self.restarts < RESTARTS)
    @rule(
        how=st.sampled_from(["kill", "end"]),
        damage=st.sampled_from(["nothing", "nothing", "delete", "cut", "flip"]),
        number=which,
        path=any_paths,
    )
    def restart(self, how: str, damage: str, number: int, path: str) -> None:
        """End it somehow; while it is away, files go on changing."""
        self.restarts += 1
        self.note("restart", how, damage)

        def meanwhile() -> None:
            self.move_by_hand(number, path, ("move", "delete", "out", "in")[number % 4])
            self.write_by_hand(path, "utf-8", "plainly")
            self.change_by_hand(number, "unseen")

        self.world.restart(how, damage, meanwhile)
        assert not list(self.disk.root.rglob(".sgoped-*"))
        self.compare()

    @rule()
    def refresh_and_compare(self) -> None:
        self.note("refresh")
        self.compare()

    @rule()
    def wait_and_compare(self) -> None:
        """The watcher notices all that was done, without being asked."""
        self.note("wait")
        deadline = time.monotonic() + QUIET_SECONDS
        expected = sorted(map(shown, self.disk.listed()))
        while (listing := self.listing()) != expected:
            assert time.monotonic() < deadline, (listing, expected)
            time.sleep(0.02)

    def teardown(self) -> None:
        if self.changed and self.world.trace:
            self.compare()

    # -- what must hold

    def listing(self) -> list[str]:
        status, index = self.world.ask("GET", "/api/index", limit=1000)
        assert status == 200, index
        return sorted(file["path"] for file in index["files"])

    def compare(self) -> None:
        """Compare all that the daemon tells with what is on the disk."""
        self.changed = False
        self.world.counts["comparisons"] += 1
        assert self.disk.snapshot() == self.disk.files
        assert self.world.ask("POST", "/api/refresh")[0] == 200
        listed = self.disk.listed()
        assert self.listing() == sorted(map(shown, listed))
        for path, data in listed.items():
            if not path.rpartition("/")[2].startswith("."):
                self.check_file(path, text_of(data))
        self.check_labels(listed)
        for path in self.kept:
            self.check_versions(path)
        for path in sorted(set(self.disk.files) - set(listed))[:3]:
            assert self.world.ask("GET", "/api/files/content", path=id_of(path))[0] in REFUSED

    def check_file(self, path: str, text: str | None) -> None:
        name = shown(path.rpartition("/")[2])
        _, found = self.world.ask("GET", "/api/files", q=name, limit=200)
        is_found = id_of(path) in {id_of_suggestion(one) for one in found}
        is_image = name.endswith(".png")
        assert is_found == (text is not None or is_image), (path, text, found)
        status, read = self.world.ask("GET", "/api/files/content", path=id_of(path))
        if text is None:
            assert status == 415, read
            return
        assert (status, read["content"]) == (200, text), (path, read, text)
        words = [word for word in text.split() if word[:1] == word[-1:] == "q"]
        if words and not is_image:
            _, hits = self.world.ask("GET", "/api/search", q=words[0], limit=100)
            assert shown(path) in {hit["path"] for hit in hits["hits"]}, (path, words, hits)

    def check_labels(self, listed: dict[str, bytes]) -> None:
        _, tree = self.world.ask("GET", "/api/files", limit=1000)
        for one in tree:
            if one["type"] == "file":
                path = one["metadata"]["path"]
                _, read = self.world.ask("GET", "/api/files/content", path=one["label"])
                assert read.get("path") == path, (one, read)
        files = Counter(one["metadata"]["path"] for one in tree if one["type"] != "folder")
        shown_files = (shown(path) for path, data in listed.items() if is_shown(path, data))
        assert files == Counter(shown_files)


def id_of_suggestion(one: dict[str, Any]) -> str:
    """Ids differ in which characters they escape."""
    return id_of(os.fsdecode(unquote_to_bytes(one["id"].removeprefix(".f:"))))


def is_shown(path: str, data: bytes) -> bool:
    name = path.rpartition("/")[2]
    return not name.startswith(".") and (text_of(data) is not None or name.endswith(".png"))


@pytest.mark.timeout(10_800)
def test_whatever_is_done_to_the_files_the_daemon_tells_what_is_on_the_disk(
    start_daemon: StartDaemon, tmp_path: Path, scale: Scale, note_figure: NoteFigure
) -> None:
    world = World(start_daemon, tmp_path)
    is_small = scale == SCALES["small"]
    seed = 0 if is_small else random.SystemRandom().randrange(2**32)
    FileOperations.world = world

    @hypothesis.seed(seed)
    def machine() -> FileOperations:
        return FileOperations()

    started = time.monotonic()
    try:
        run_state_machine_as_test(
            machine,  # type: ignore[arg-type]  # a function does, its documentation says
            settings=settings(
                max_examples=scale.stateful_runs,
                stateful_step_count=scale.stateful_steps,
                derandomize=is_small,
                database=None,
                deadline=None,
                phases=(Phase.generate,),  # a daemon is slow, and so would shrinking be
                suppress_health_check=list(HealthCheck),
                report_multiple_bugs=False,
            ),
            _min_steps=scale.stateful_steps,
        )
    except BaseException as error:
        done = "\n".join(world.trace)
        error.add_note(f"seed {seed}; what was done:\n{done}\n{world.daemon.log()[-3000:]}")
        raise
    log = world.daemon.log()
    assert "Traceback" not in log, log[log.find("Traceback") - 500 :][:5_000]
    told = ", ".join(f"{world.counts[what]} {what}" for what in ("sequences", "steps", "restarts"))
    seconds = time.monotonic() - started
    note_figure(
        f"{told}, {world.counts['comparisons']} comparisons in {seconds:.0f} s (seed {seed})"
    )
