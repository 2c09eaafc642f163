from __future__ import annotations

import errno
import fcntl
import os
import resource
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgoped.errors import Conflict, NotFound, PathRefused, StorageError, TooLarge
from sgoped.memory.beneath import storage_error
from sgoped.memory.checks import etag_of
from sgoped.memory.files import Files
from sgoped.memory.saving import is_temporary
from sgoped.memory.versions import Versions

MAX_BYTES = 100_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(tmp_path / "versions", 10_000_000)


@pytest.fixture
def files(root: Path, versions: Versions) -> Files:
    return Files(root, versions, MAX_BYTES)


@contextmanager
def no_file_larger_than(max_bytes: int) -> Iterator[None]:
    """A disk that is full as soon as one file grows beyond ``max_bytes``."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def leftovers(root: Path) -> list[str]:
    return [path.name for path in root.rglob("*") if path.name.startswith(".sgoped")]


def test_a_new_file_is_written_with_the_folders_above_it(files: Files, root: Path) -> None:
    saved = files.write("a/b/c.txt", b"hello")
    assert (root / "a/b/c.txt").read_bytes() == b"hello"
    assert (saved.path, saved.size, saved.created, saved.version) == ("a/b/c.txt", 5, True, None)
    assert saved.etag == etag_of(b"hello")
    assert saved.mtime_ns == (root / "a/b/c.txt").stat().st_mtime_ns
    assert files.read("a/b/c.txt")[0] == b"hello"
    assert leftovers(root) == []


def test_what_is_overwritten_is_kept_and_can_be_restored(
    files: Files, root: Path, versions: Versions
) -> None:
    files.write("a.txt", b"one")
    saved = files.write("a.txt", b"two")
    assert not saved.created
    assert saved.version is not None
    assert versions.read("a.txt", saved.version) == b"one"
    restored = files.restore("a.txt", saved.version)
    assert (root / "a.txt").read_bytes() == b"one"
    assert restored.version is not None
    assert versions.read("a.txt", restored.version) == b"two"


def test_saving_what_is_there_already_changes_nothing(
    files: Files, root: Path, versions: Versions
) -> None:
    files.write("a.txt", b"same")
    before = (root / "a.txt").stat()
    saved = files.write("a.txt", b"same")
    assert (root / "a.txt").stat() == before
    assert saved.version is None
    assert versions.list("a.txt") == []


@pytest.mark.parametrize(
    "path",
    [
        "",
        "BESIDE",
        "BESIDE/x",
        "..",
        "../x",
        "a/../../x",
        "a/./b",
        "a//b",
        ".env",
        "a/.ssh/x",
        "a\0b",
    ],
)
def test_paths_that_leave_the_folder_or_are_hidden_are_refused(
    files: Files, tmp_path: Path, path: str
) -> None:
    (tmp_path / "x").write_text("canary")
    path = path.replace("BESIDE", str(tmp_path))
    with pytest.raises(PathRefused):
        files.read(path)
    with pytest.raises(PathRefused):
        files.write(path, b"")
    with pytest.raises(PathRefused):
        files.create_unique(path, b"")
    with pytest.raises(PathRefused):
        files.delete(path)
    with pytest.raises(PathRefused):
        files.rename(path, "y")
    assert (tmp_path / "x").read_text() == "canary"


def test_links_are_neither_read_nor_written_nor_followed(
    files: Files, root: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "canary.txt").write_text("secret")
    (root / "link.txt").symlink_to(outside / "canary.txt")
    (root / "out").symlink_to(outside)
    (root / "new.txt").symlink_to(outside / "created.txt")
    for path in ("link.txt", "out/canary.txt", "new.txt"):
        with pytest.raises((PathRefused, NotFound)):
            files.read(path)
        with pytest.raises(PathRefused):
            files.write(path, b"overwritten")
        with pytest.raises((PathRefused, NotFound)):
            files.delete(path)
        with pytest.raises((PathRefused, NotFound)):
            files.rename(path, "stolen.txt")
    with pytest.raises(PathRefused):
        files.write("out/sub/created.txt", b"")
    files.write("mine.txt", b"mine")
    with pytest.raises(PathRefused):
        files.rename("mine.txt", "out/mine.txt")
    assert [path.name for path in outside.iterdir()] == ["canary.txt"]
    assert (outside / "canary.txt").read_text() == "secret"


def test_a_folder_swapped_for_a_link_while_reading_never_leads_out(
    files: Files, root: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.txt").write_text("secret")
    (root / "real").mkdir()
    (root / "real" / "a.txt").write_text("mine")
    (root / "link").symlink_to(outside)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for source in ("real", "link"):
                (root / source).rename(root / "now")
                (root / "now").rename(root / source)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(500):
            try:
                assert files.read("now/a.txt")[0] == b"mine"
            except (NotFound, PathRefused):
                continue
    finally:
        stop.set()
        swapper.join()


def test_fifos_and_devices_are_refused_without_blocking(files: Files, root: Path) -> None:
    os.mkfifo(root / "pipe")
    with pytest.raises(PathRefused):
        files.read("pipe")
    with pytest.raises(PathRefused):
        files.read_head("pipe", 10)
    with pytest.raises(PathRefused):
        files.write("pipe", b"x")
    with pytest.raises(PathRefused):
        files.delete("pipe")
    with pytest.raises(PathRefused):
        files.rename("pipe", "tube")
    assert stat.S_ISFIFO((root / "pipe").stat().st_mode)


def test_folders_are_no_files(files: Files, root: Path) -> None:
    (root / "folder").mkdir()
    for attempt in (files.read, files.delete):
        with pytest.raises(PathRefused, match="folder"):
            attempt("folder")
    with pytest.raises(PathRefused, match="folder"):
        files.write("folder", b"x")


def test_a_file_in_the_way_of_a_folder_stays(files: Files, root: Path) -> None:
    files.write("a", b"file")
    with pytest.raises(PathRefused):
        files.write("a/b", b"x")
    with pytest.raises(NotFound):
        files.read("a/b")
    assert (root / "a").read_bytes() == b"file"


def test_missing_files_are_not_found(files: Files) -> None:
    with pytest.raises(NotFound):
        files.read("gone.txt")
    with pytest.raises(NotFound):
        files.delete("gone/too.txt")
    with pytest.raises(NotFound):
        files.rename("gone.txt", "x.txt")


def test_what_is_too_large_is_neither_read_nor_written_nor_lost(files: Files, root: Path) -> None:
    with pytest.raises(TooLarge):
        files.write("a.txt", bytes(MAX_BYTES + 1))
    (root / "big.txt").write_bytes(bytes(MAX_BYTES + 1))
    with pytest.raises(TooLarge):
        files.read("big.txt")
    with pytest.raises(TooLarge):
        files.write("big.txt", b"small")
    with pytest.raises(TooLarge):
        files.delete("big.txt")
    assert files.read_head("big.txt", 10)[0] == bytes(10)
    assert (root / "big.txt").stat().st_size == MAX_BYTES + 1
    assert files.rename("big.txt", "bigger.txt").etag == ""


def test_a_write_over_other_content_than_expected_is_a_conflict(files: Files, root: Path) -> None:
    first = files.write("a.txt", b"one")
    (root / "a.txt").write_bytes(b"edited elsewhere")
    with pytest.raises(Conflict):
        files.write("a.txt", b"two", if_match=first.etag)
    assert (root / "a.txt").read_bytes() == b"edited elsewhere"
    now = etag_of(b"edited elsewhere")
    for tag in (now, f'"{now}"', f'W/"{now}"', f'"x", "{now}"', "*"):
        files.write("a.txt", b"edited elsewhere", if_match=tag)
    assert files.write("a.txt", b"two", if_match=now).version is not None


def test_if_match_on_a_missing_file_is_a_conflict(files: Files, root: Path) -> None:
    for tag in ("*", etag_of(b"")):
        with pytest.raises(Conflict):
            files.write("a.txt", b"x", if_match=tag)
    assert not (root / "a.txt").exists()


def test_delete_keeps_a_version_and_honours_if_match(
    files: Files, root: Path, versions: Versions
) -> None:
    files.write("a.txt", b"one", mode=0o755)
    with pytest.raises(Conflict):
        files.delete("a.txt", if_match=etag_of(b"other"))
    version = files.delete("a.txt", if_match=etag_of(b"one"))
    assert not (root / "a.txt").exists()
    assert versions.list("a.txt")[0].reason == "deleted"
    files.restore("a.txt", version)
    assert (root / "a.txt").read_bytes() == b"one"
    assert stat.S_IMODE((root / "a.txt").stat().st_mode) == 0o755


def test_a_rename_never_overwrites(files: Files, root: Path) -> None:
    files.write("a.txt", b"a")
    files.write("b.txt", b"b")
    (root / "folder").mkdir()
    (root / "link").symlink_to("nowhere")
    for target in ("b.txt", "folder", "link"):
        with pytest.raises(Conflict):
            files.rename("a.txt", target)
        with pytest.raises((Conflict, PathRefused)):
            files.rename("folder", target)
    assert (root / "a.txt").read_bytes() == b"a"
    assert (root / "b.txt").read_bytes() == b"b"


def test_a_renamed_file_takes_its_history_along(
    files: Files, root: Path, versions: Versions
) -> None:
    files.write("a.txt", b"one")
    files.write("a.txt", b"two")
    saved = files.rename("a.txt", "deep/er/b.txt")
    assert (saved.path, saved.etag, saved.size) == ("deep/er/b.txt", etag_of(b"two"), 3)
    assert not (root / "a.txt").exists()
    assert (root / "deep/er/b.txt").stat().st_nlink == 1
    [kept] = versions.list("deep/er/b.txt")
    assert versions.read("deep/er/b.txt", kept.version) == b"one"


def test_a_folder_is_renamed_whole_but_not_into_itself(files: Files, root: Path) -> None:
    files.write("a/b/c.txt", b"x")
    for target in ("a", "a/inside", "a/b/x"):
        with pytest.raises(PathRefused):
            files.rename("a", target)
    files.rename("a", "other/name")
    assert (root / "other/name/b/c.txt").read_bytes() == b"x"
    assert not (root / "a").exists()


def test_a_rename_can_be_undone_though_the_history_could_not_be_moved(
    files: Files, versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def follow(*_: object, **__: object) -> None:
        raise StorageError("the disk failed")

    monkeypatch.setattr(Versions, "follow", follow)
    files.write("a.txt", b"one")
    files.rename("a.txt", "b.txt")
    assert [(one.former_path, one.path) for one in versions.newest(9)] == [("a.txt", "b.txt")]


def test_unique_names_count_up_and_never_overwrite(files: Files, root: Path) -> None:
    (root / "link.md").symlink_to("nowhere")
    names = [files.create_unique("note.md", b"%d" % number).path for number in range(3)]
    assert names == ["note.md", "note_2.md", "note_3.md"]
    assert [(root / name).read_bytes() for name in names] == [b"0", b"1", b"2"]
    assert files.create_unique("link.md", b"x").path == "link_2.md"
    assert files.create_unique("README", b"x").path == "README"
    assert files.create_unique("README", b"x").path == "README_2"
    long = "ü" * 125 + ".md"
    assert files.create_unique(long, b"1").path == long
    second = files.create_unique(long, b"2").path
    assert len(os.fsencode(second)) <= 255
    assert second.endswith("_2.md")
    assert leftovers(root) == []


def test_fifty_parallel_saves_are_each_whole_and_all_kept(
    files: Files, root: Path, versions: Versions
) -> None:
    files.write("a.txt", b"start")
    contents = [bytes([number]) * 20_000 for number in range(50)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda data: files.write("a.txt", data), contents))
    kept = {versions.read("a.txt", found.version) for found in versions.list("a.txt")}
    assert kept | {(root / "a.txt").read_bytes()} == {b"start", *contents}


def test_of_parallel_saves_of_one_state_only_one_wins(files: Files) -> None:
    etag = files.write("a.txt", b"start").etag

    def attempt(number: int) -> bool:
        try:
            files.write("a.txt", b"%d" % number, if_match=etag)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(20))) == 1


def test_a_reader_never_sees_half_a_file(files: Files, root: Path) -> None:
    files.write("a.txt", b"0" * 50_000)
    stop = threading.Event()

    def save() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            files.write("a.txt", b"%d" % (number % 10) * 50_000)

    writer = threading.Thread(target=save)
    writer.start()
    try:
        for _ in range(300):
            data = (root / "a.txt").read_bytes()
            assert len(data) == 50_000
            assert len(set(data)) == 1
    finally:
        stop.set()
        writer.join()


def test_mode_and_attributes_of_a_replaced_file_stay(files: Files, root: Path) -> None:
    path = root / "run.sh"
    path.write_bytes(b"one")
    path.chmod(0o751)
    try:
        os.setxattr(path, "user.note", b"mine")
    except OSError:
        pytest.skip("no extended attributes here")
    files.write("run.sh", b"two")
    assert stat.S_IMODE(path.stat().st_mode) == 0o751
    assert os.getxattr(path, "user.note") == b"mine"


def test_a_new_file_gets_what_the_umask_leaves(files: Files, root: Path) -> None:
    (root / "plain").touch()
    files.write("a.txt", b"x")
    assert (root / "a.txt").stat().st_mode == (root / "plain").stat().st_mode


def test_other_hard_links_keep_the_old_content(files: Files, root: Path) -> None:
    files.write("a.txt", b"old")
    os.link(root / "a.txt", root / "b.txt")
    files.write("a.txt", b"new")
    assert (root / "b.txt").read_bytes() == b"old"


def test_a_full_disk_keeps_the_old_content_and_leaves_nothing_behind(
    files: Files, root: Path
) -> None:
    files.write("a.txt", b"old")
    with no_file_larger_than(1000):
        with pytest.raises(StorageError) as raised:
            files.write("a.txt", bytes(5000))
        with pytest.raises(StorageError):
            files.create_unique("b.txt", bytes(5000))
    assert raised.value.code == "storage_full"
    assert (root / "a.txt").read_bytes() == b"old"
    assert [path.name for path in root.iterdir()] == ["a.txt"]
    assert files.write("a.txt", bytes(5000)).version is not None


def test_what_cannot_be_kept_is_not_overwritten(root: Path, tmp_path: Path) -> None:
    (tmp_path / "versions").write_text("in the way")
    files = Files(root, Versions(tmp_path / "versions", 1000), MAX_BYTES)
    files.write("a.txt", b"old")
    with pytest.raises(StorageError):
        files.write("a.txt", b"new")
    with pytest.raises(StorageError):
        files.delete("a.txt")
    assert (root / "a.txt").read_bytes() == b"old"
    assert leftovers(root) == []


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "storage_full"),
        (errno.EDQUOT, "storage_full"),
        (errno.EROFS, "read_only"),
        (errno.EACCES, "read_only"),
        (errno.EPERM, "read_only"),
        (errno.EIO, "storage_failed"),
    ],
)
def test_what_the_disk_says_becomes_a_code(number: int, code: str) -> None:
    assert storage_error("a.txt", OSError(number, os.strerror(number))).code == code


def test_a_missing_memory_folder_is_a_storage_error(tmp_path: Path, versions: Versions) -> None:
    files = Files(tmp_path / "gone", versions, MAX_BYTES)
    with pytest.raises(StorageError):
        files.write("a.txt", b"x")
    assert not (tmp_path / "gone").exists()


def test_nothing_is_written_where_a_drive_is_missing(root: Path, versions: Versions) -> None:
    def check() -> None:
        raise OSError(errno.ENODEV, "the drive is not mounted")

    files = Files(root, versions, MAX_BYTES, check)
    (root / "a.txt").write_bytes(b"one")
    for change in (
        lambda: files.write("new/b.txt", b"two"),
        lambda: files.create_unique("c.txt", b"two"),
        lambda: files.rename("a.txt", "d.txt"),
        lambda: files.delete("a.txt"),
    ):
        with pytest.raises(StorageError, match="not mounted"):
            change()
    assert [path.name for path in root.iterdir()] == ["a.txt"]


def test_undecodable_names_are_read_and_written(files: Files, root: Path) -> None:
    files.write("\udcff.txt", b"one")
    assert os.listdir(os.fsencode(root)) == [b"\xff.txt"]  # noqa: PTH208 - names as bytes
    files.write("\udcff.txt", b"two")
    assert files.read("\udcff.txt")[0] == b"two"
    files.delete("\udcff.txt")


def test_a_name_too_long_for_the_disk_is_refused(files: Files) -> None:
    with pytest.raises(PathRefused):
        files.write("x" * 300, b"")
    with pytest.raises(PathRefused):
        files.read("x" * 300)


def age(path: Path) -> None:
    past = time.time() - 3600
    os.utime(path, (past, past))


def test_only_old_unfinished_saves_of_our_own_are_swept(
    root: Path, tmp_path: Path, versions: Versions
) -> None:
    stale = root / "a" / ".sgoped-0123456789abcdef.tmp"
    foreign = root / ".sgoped-notes.tmp"
    busy = root / ".sgoped-1111111111111111.tmp"
    linked = root / ".sgoped-2222222222222222.tmp"
    canary = tmp_path / "canary"
    stale.parent.mkdir()
    for path in (stale, foreign, busy, canary):
        path.write_text("half")
        age(path)
    linked.symlink_to(canary)
    with busy.open("rb") as writing:
        fcntl.flock(writing, fcntl.LOCK_EX)
        files = Files(root, versions, MAX_BYTES)
        young = root / ".sgoped-3333333333333333.tmp"
        young.write_text("being written")
        os.utime(young, (time.time() + 60, time.time() + 60))
        assert files.sweep_temporary_files() == 1
    assert not stale.exists()
    assert foreign.exists()
    assert busy.exists()
    assert young.exists()
    assert linked.is_symlink()
    assert canary.read_text() == "half"


def test_temporary_names_are_hidden() -> None:
    assert is_temporary(".sgoped-0123456789abcdef.tmp")
    assert not is_temporary("sgoped-0123456789abcdef.tmp")


SAVE_FOR_EVER = """
import sys
from pathlib import Path
from sgoped.memory.files import Files
from sgoped.memory.versions import Versions
files = Files(Path(sys.argv[1]), Versions(Path(sys.argv[2]), 10_000_000), 1_000_000)
for number in range(1_000_000):
    data = b"%07d\\n" % number * 5000
    saved = files.write("a.txt", data)
    print(number, flush=True)
"""


def test_a_kill_while_saving_tears_nothing_and_loses_nothing_reported(
    root: Path, tmp_path: Path
) -> None:
    (root / "a.txt").write_bytes(b"the first\n")
    for lines in range(1, 9):
        command = [sys.executable, "-c", SAVE_FOR_EVER, str(root), str(tmp_path / "versions")]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            out = process.stdout
            assert out is not None
            reported = [int(out.readline()) for _ in range(lines)]
            process.kill()
        data = (root / "a.txt").read_bytes()
        assert len(set(data.split(b"\n"))) == 2
        assert int(data[:7]) >= reported[-1]
        files = Files(root, Versions(tmp_path / "versions", 10_000_000), MAX_BYTES)
        for path in root.glob(".sgoped-*"):
            age(path)
        files.sweep_temporary_files()
        assert [path.name for path in root.iterdir()] == ["a.txt"]
    kept = Versions(tmp_path / "versions", 10_000_000)
    first = kept.list("a.txt")[-1]
    assert kept.read("a.txt", first.version) == b"the first\n"


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["write", "delete", "rename"]), st.binary(max_size=3)),
        max_size=12,
    )
)
def test_no_content_is_ever_lost_whatever_is_done(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, bytes]]
) -> None:
    base = tmp_path_factory.mktemp("law")
    (base / "root").mkdir()
    versions = Versions(base / "versions", 10_000_000)
    files = Files(base / "root", versions, MAX_BYTES)
    written: set[bytes] = set()
    names = ["a", "b"]
    for step, data in steps:
        try:
            if step == "write":
                files.write(names[0], data)
                written.add(data)
            elif step == "delete":
                files.delete(names[0])
            else:
                files.rename(names[0], names[1])
                names.reverse()
        except NotFound:
            continue
    found = {path.read_bytes() for path in (base / "root").iterdir()}
    for name in names:
        found |= {versions.read(name, one.version) for one in versions.list(name)}
    assert found == written
