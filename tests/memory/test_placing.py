"""The last step of a save: an edit of the last moment is seen, and what the disk refuses undone."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sgoped.errors import Conflict, StorageError
from sgoped.memory import placing, renaming
from sgoped.memory.checks import etag_of
from sgoped.memory.files import Files
from sgoped.memory.versions import Versions

Change = Callable[[Files], object]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"old")
    (folder / "sub").mkdir()
    (folder / "sub/in.txt").write_bytes(b"inside")
    return folder


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(tmp_path / "data" / "versions", 10_000_000)


@pytest.fixture
def files(root: Path, versions: Versions, tmp_path: Path) -> Files:
    (tmp_path / "data").mkdir()
    return Files(root, versions, 100_000)


@pytest.fixture(params=["one step", "the long way"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the system's own rename that overwrites nothing, and without."""
    if request.param == "the long way":
        monkeypatch.setattr(renaming, "_system_call", lambda: None)
    return str(request.param)


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def folders(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_dir()}


def save_elsewhere(path: Path, data: bytes) -> None:
    """As most editors do."""
    beside = path.with_name("editor's own")
    beside.write_bytes(data)
    beside.rename(path)


def at_the_last_moment(monkeypatch: pytest.MonkeyPatch, edit: Callable[[], object]) -> None:
    """Lets ``edit`` happen once, after the last look at what is there."""
    real, pending = Files._is_unchanged, [edit]

    def look(*arguments: object) -> bool:
        unchanged = real(*arguments)  # type: ignore[arg-type]
        if pending:
            pending.pop()()
        return unchanged

    monkeypatch.setattr(Files, "_is_unchanged", look)


EDITS: dict[str, Callable[[Path], object]] = {
    "saved by an editor": lambda path: save_elsewhere(path, b"mine, just now"),
    "written in place": lambda path: path.write_bytes(b"mine, just now"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edit_of_the_last_moment_is_a_conflict(
    files: Files, root: Path, monkeypatch: pytest.MonkeyPatch, edit: Callable[[Path], object]
) -> None:
    at_the_last_moment(monkeypatch, lambda: edit(root / "a.txt"))
    with pytest.raises(Conflict):
        files.write("a.txt", b"new", if_match=etag_of(b"old"))
    assert contents(root) == {"a.txt": b"mine, just now", "sub/in.txt": b"inside"}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edit_of_the_last_moment_is_not_deleted(
    files: Files, root: Path, monkeypatch: pytest.MonkeyPatch, edit: Callable[[Path], object]
) -> None:
    at_the_last_moment(monkeypatch, lambda: edit(root / "a.txt"))
    with pytest.raises(Conflict):
        files.delete("a.txt", if_match=etag_of(b"old"))
    assert contents(root) == {"a.txt": b"mine, just now", "sub/in.txt": b"inside"}


def test_who_overwrites_anything_overwrites_that_edit_too_and_keeps_it(
    files: Files, root: Path, versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_the_last_moment(monkeypatch, lambda: save_elsewhere(root / "a.txt", b"mine, just now"))
    saved = files.write("a.txt", b"new")
    assert saved.version is not None
    assert versions.read("a.txt", saved.version) == b"mine, just now"
    assert contents(root)["a.txt"] == b"new"


def test_what_is_written_into_the_replaced_file_until_the_end_is_kept(
    files: Files, root: Path, versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_fsync, editor = os.fsync, (root / "a.txt").open("r+b")

    def fsync(fd: int) -> None:
        real_fsync(fd)
        if stat.S_ISDIR(os.fstat(fd).st_mode) and (root / "a.txt").read_bytes() == b"new":
            editor.seek(0)
            editor.write(b"typed into the old file")
            editor.flush()

    with editor:
        monkeypatch.setattr(os, "fsync", fsync)
        files.write("a.txt", b"new")
    kept = {versions.read("a.txt", one.version) for one in versions.list("a.txt")}
    assert kept == {b"old", b"typed into the old file"}


CHANGES: dict[str, Change] = {
    "overwrite": lambda files: files.write("a.txt", b"new"),
    "create": lambda files: files.write("new.txt", b"new"),
    "create in new folders": lambda files: files.write("x/y/new.txt", b"new"),
    "create under a free name": lambda files: files.create_unique("a.txt", b"new"),
    "delete": lambda files: files.delete("a.txt"),
    "rename": lambda files: files.rename("a.txt", "b.txt"),
    "rename into another folder": lambda files: files.rename("a.txt", "new/b.txt"),
    "rename a folder": lambda files: files.rename("sub", "other"),
    "save what is there": lambda files: files.write("a.txt", b"old"),
}


def fail_at(monkeypatch: pytest.MonkeyPatch, name: str, nth: int) -> None:
    """Let the ``nth`` call of ``os.<name>`` fail with EIO."""
    real, calls = getattr(os, name), [0]

    def call(*arguments: object, **options: object) -> object:
        calls[0] += 1
        if calls[0] == nth:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(*arguments, **options)

    monkeypatch.setattr(os, name, call)


def refusal(change: Change, files: Files) -> str:
    """The code with which a change is refused, or an empty string."""
    try:
        change(files)
    except StorageError as error:
        return error.code
    return ""


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_flush_that_fails_leaves_everything_as_it_was(
    files: Files,
    root: Path,
    versions: Versions,
    change: Change,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = contents(root), folders(root)
    codes: list[str] = []
    for nth in range(1, 20):
        with monkeypatch.context() as patch:
            fail_at(patch, "fsync", nth)
            codes.append(refusal(change, files))
        if not codes[-1]:
            break  # no more flushes, or only those of the history of what was renamed
        assert (contents(root), folders(root)) == before, nth
        assert versions.newest(9) == [], "what did not happen cannot be undone"
    assert set(codes) == {"storage_failed", ""}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_can_be_done_either_way(
    files: Files, root: Path, change: Change, either_way: str
) -> None:
    change(files)
    found = contents(root)
    assert not [name for name in found if ".sgoped" in name], either_way
    assert len(found) in (1, 2, 3)
    for path in root.rglob("*.txt"):
        assert path.stat().st_nlink == 1


def test_nothing_is_overwritten_by_a_rename_either_way(
    files: Files, root: Path, either_way: str
) -> None:
    (root / "b.txt").write_bytes(b"b")
    (root / "empty").mkdir()
    for source, target in (("a.txt", "b.txt"), ("a.txt", "empty"), ("sub", "empty")):
        with pytest.raises(Conflict):
            files.rename(source, target)
    assert contents(root) == {"a.txt": b"old", "b.txt": b"b", "sub/in.txt": b"inside"}, either_way


def test_the_long_way_of_a_rename_flushes_the_new_name_before_the_old_one_goes(
    files: Files, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renaming, "_system_call", lambda: None)
    (root / "new").mkdir()
    done: list[str] = []
    real_fsync, real_unlink = os.fsync, os.unlink

    def fsync(fd: int) -> None:
        done.append(f"fsync {os.readlink(f'/proc/self/fd/{fd}')}")  # noqa: PTH115
        real_fsync(fd)

    def unlink(name: str, **options: int) -> None:
        done.append(f"unlink {name}")
        real_unlink(name, **options)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "unlink", unlink)
    files.rename("a.txt", "new/b.txt")
    assert done[:2] == [f"fsync {root / 'new'}", "unlink a.txt"]


def test_saving_what_is_there_flushes_it_all_the_same(
    files: Files, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        flushed.append(os.fstat(fd).st_ino)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    files.write("a.txt", b"old")
    assert flushed == [(root / "a.txt").stat().st_ino, root.stat().st_ino]


def test_a_refused_save_leaves_no_new_folders(files: Files, root: Path) -> None:
    with pytest.raises(Conflict):
        files.write("x/y/z.txt", b"new", if_match=etag_of(b"other"))
    with pytest.raises(Conflict):
        files.rename("a.txt", "sub/in.txt")
    assert folders(root) == {"sub"}


def test_a_file_renamed_and_gone_again_was_renamed(
    files: Files, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Versions.keep_rename

    def keep_rename(self: Versions, former_path: str, path: str) -> str:
        (root / path).unlink()
        return real(self, former_path, path)

    monkeypatch.setattr(Versions, "keep_rename", keep_rename)
    assert files.rename("a.txt", "b.txt").path == "b.txt"


def test_what_cannot_be_kept_of_a_late_edit_is_not_thrown_away(
    files: Files, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = (root / "a.txt").open("r+b")
    real_fsync, real_keep = os.fsync, Versions.keep

    def fsync(fd: int) -> None:
        real_fsync(fd)
        if stat.S_ISDIR(os.fstat(fd).st_mode) and (root / "a.txt").read_bytes() == b"new":
            editor.write(b"typed into the old file")
            editor.flush()

    def keep(self: Versions, path: str, data: bytes, reason: str, *, mode: int = 0o644) -> str:
        if data != b"old":
            raise StorageError("full", code="storage_full")
        return real_keep(self, path, data, reason, mode=mode)

    monkeypatch.setattr(Versions, "keep", keep)
    monkeypatch.setattr(os, "fsync", fsync)
    with editor, pytest.raises(StorageError):
        files.write("a.txt", b"new")
    assert contents(root) == {"a.txt": b"typed into the old file", "sub/in.txt": b"inside"}


def when_swapped(monkeypatch: pytest.MonkeyPatch, edit: Callable[[], object]) -> None:
    """Lets ``edit`` happen once, as soon as a new file is in the place of the old one."""
    real, pending = renaming.swap, [edit]

    def swap(name: str, other: str, dir_fd: int) -> bool:
        done = real(name, other, dir_fd)
        if pending:
            pending.pop()()
        return done

    monkeypatch.setattr(placing, "swap", swap)


@pytest.mark.parametrize("second", EDITS.values(), ids=EDITS)
def test_two_edits_of_the_last_moment_are_both_there(
    files: Files,
    root: Path,
    versions: Versions,
    monkeypatch: pytest.MonkeyPatch,
    second: Callable[[Path], object],
) -> None:
    path = root / "a.txt"
    at_the_last_moment(monkeypatch, lambda: save_elsewhere(path, b"the first of two"))
    when_swapped(monkeypatch, lambda: second(path))
    with pytest.raises(Conflict):
        files.write("a.txt", b"new", if_match=etag_of(b"old"))
    assert path.read_bytes() == b"mine, just now"
    kept = {versions.read("a.txt", one.version) for one in versions.list("a.txt")}
    assert b"the first of two" in kept


def test_a_file_is_not_created_in_a_folder_that_was_moved_away(
    files: Files, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, pending = Files._is_unchanged, [lambda: (root / "sub").rename(tmp_path / "bin")]

    def look(*arguments: object) -> bool:
        if pending:
            pending.pop()()
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Files, "_is_unchanged", look)
    files.write("sub/new.txt", b"new")
    assert contents(root) == {"a.txt": b"old", "sub/new.txt": b"new"}
    assert contents(tmp_path / "bin") == {"in.txt": b"inside"}


@pytest.fixture
def no_hard_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on FAT."""

    def link(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)


@pytest.mark.usefixtures("no_hard_links")
def test_without_hard_links_a_new_file_overwrites_nothing_either(
    files: Files, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, appeared = os.stat, []

    def status(path: str, **options: Any) -> os.stat_result:
        try:
            return real(path, **options)
        except FileNotFoundError:
            if path == "new.txt":  # somebody saves it, just after it was found to be free
                appeared.append((root / path).write_bytes(b"mine, just now"))
            raise

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", status)
        saved = files.create_unique("new.txt", b"new")
    found = contents(root)
    assert found[saved.path] == b"new"
    assert (b"mine, just now" in found.values()) == bool(appeared)


@pytest.mark.usefixtures("no_hard_links")
def test_without_hard_links_a_flush_that_fails_is_undone_as_well(
    files: Files, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(root)
    for nth in (1, 2):
        with monkeypatch.context() as patch:
            fail_at(patch, "fsync", nth)
            assert refusal(CHANGES["create"], files) == "storage_failed"
        assert contents(root) == before, nth
