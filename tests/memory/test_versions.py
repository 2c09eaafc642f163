from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgoped.errors import NotFound, StorageError
from sgoped.memory.versions import Versions


def make(tmp_path: Path, max_bytes: int = 1_000_000) -> Versions:
    return Versions(tmp_path / "versions", max_bytes)


def test_versions_are_listed_newest_first_and_read_back(tmp_path: Path) -> None:
    versions = make(tmp_path)
    kept = [versions.keep("a/b.txt", data, "overwritten") for data in (b"1", b"22", b"333")]
    found = versions.list("a/b.txt")
    assert [version.version for version in found] == kept[::-1]
    assert [version.size for version in found] == [3, 2, 1]
    assert {version.path for version in found} == {"a/b.txt"}
    assert [versions.read("a/b.txt", version) for version in kept] == [b"1", b"22", b"333"]
    assert versions.list("a/other.txt") == []


def test_versions_survive_a_restart(tmp_path: Path) -> None:
    kept = make(tmp_path).keep("\udcff.txt", b"old", "deleted", mode=0o755)
    [found] = make(tmp_path).list("\udcff.txt")
    assert (found.version, found.reason, found.mode) == (kept, "deleted", 0o755)
    assert make(tmp_path).read("\udcff.txt", kept) == b"old"


def test_nobody_else_may_read_versions(tmp_path: Path) -> None:
    make(tmp_path).keep("a", b"secret", "overwritten")
    for path in (tmp_path / "versions", *(tmp_path / "versions").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


@pytest.mark.parametrize("version", ["", "..", "../../x", "0" * 16 + "-" + "0" * 8, "x\0y"])
def test_an_unknown_version_is_not_found(tmp_path: Path, version: str) -> None:
    versions = make(tmp_path)
    versions.keep("a", b"1", "overwritten")
    with pytest.raises(NotFound):
        versions.read("a", version)


def test_a_version_belongs_to_its_file_alone(tmp_path: Path) -> None:
    versions = make(tmp_path)
    kept = versions.keep("a", b"1", "overwritten")
    with pytest.raises(NotFound):
        versions.read("b", kept)


def test_the_oldest_go_first_when_there_is_too_much(tmp_path: Path) -> None:
    versions = make(tmp_path, max_bytes=100)
    kept = [versions.keep("a", bytes(30), "overwritten") for _ in range(6)]
    assert [version.version for version in versions.list("a")] == kept[:-4:-1]


def test_the_newest_version_of_a_file_stays(tmp_path: Path) -> None:
    versions = make(tmp_path, max_bytes=100)
    versions.keep("seldom", bytes(60), "overwritten")
    for _ in range(5):
        versions.keep("often", bytes(60), "overwritten")
    assert len(versions.list("seldom")) == 1
    assert len(versions.list("often")) == 1


def test_one_that_alone_exceeds_the_limit_stays_until_the_next_comes(tmp_path: Path) -> None:
    versions = make(tmp_path, max_bytes=100)
    versions.keep("huge", bytes(500), "overwritten")
    assert len(versions.list("huge")) == 1
    versions.keep("small", bytes(5), "overwritten")
    assert versions.list("huge") == []
    assert len(versions.list("small")) == 1


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60)), max_size=12))
def test_the_limit_holds_except_for_the_newest_of_each_file(
    tmp_path_factory: pytest.TempPathFactory, saves: list[tuple[str, int]]
) -> None:
    versions = make(tmp_path_factory.mktemp("law"), max_bytes=100)
    for path, size in saves:
        versions.keep(path, bytes(size), "overwritten")
    lists = [versions.list(path) for path in {path for path, _ in saves}]
    assert all(lists)
    total = sum(version.size for found in lists for version in found)
    newest = sum(found[0].size for found in lists)
    assert total <= max(100, newest)


def test_history_follows_a_rename(tmp_path: Path) -> None:
    versions = make(tmp_path)
    kept = [versions.keep("old.txt", data, "overwritten") for data in (b"1", b"2")]
    versions.follow("old.txt", "new/name.txt")
    assert versions.list("old.txt") == []
    assert [version.version for version in versions.list("new/name.txt")] == kept[::-1]
    assert versions.read("new/name.txt", kept[0]) == b"1"


def test_what_a_crash_leaves_over_is_not_listed_and_goes(tmp_path: Path) -> None:
    versions = make(tmp_path)
    kept = versions.keep("a", b"whole", "overwritten")
    [directory] = (tmp_path / "versions").iterdir()
    (directory / "0000000000000001-00000000.blob").write_bytes(b"no sidecar yet")
    (directory / "0000000000000002-00000000.blob.tmp").write_bytes(b"half")
    (directory / "0000000000000003-00000000.json").write_text("{")
    (tmp_path / "versions" / "stray").write_text("not ours to judge")
    assert [version.version for version in versions.list("a")] == [kept]
    versions.prune()
    assert sorted(path.name for path in directory.iterdir()) == [f"{kept}.blob", f"{kept}.json"]
    assert versions.read("a", kept) == b"whole"


def test_a_damaged_sidecar_hides_only_its_own_version(tmp_path: Path) -> None:
    versions = make(tmp_path)
    versions.keep("a", b"1", "overwritten")
    kept = versions.keep("a", b"2", "overwritten")
    [directory] = (tmp_path / "versions").iterdir()
    min(directory.glob("*.json")).write_text(json.dumps({"version": 5}))
    assert [version.version for version in versions.list("a")] == [kept]


def test_a_place_that_cannot_hold_versions_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "versions").write_text("a file")
    with pytest.raises(StorageError):
        make(tmp_path).keep("a", b"1", "overwritten")


KEEP_FOR_EVER = """
import sys
import time
from pathlib import Path
from sgoped.memory.versions import Versions
versions = Versions(Path(sys.argv[1]), 2_000_000)
for number in range(1_000_000):
    data = (b"%d\\n" % number) * 5000
    print(versions.keep("a", data, "overwritten"), len(data), flush=True)
"""


def test_a_kill_at_any_point_loses_no_version_that_was_reported(tmp_path: Path) -> None:
    target = tmp_path / "versions"
    for lines in range(1, 9):
        command = [sys.executable, "-c", KEEP_FOR_EVER, str(target)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path.cwd()) as process:
            out = process.stdout
            assert out is not None
            reported = [out.readline().decode() for _ in range(lines)]
            process.kill()
        version, size = reported[-1].split()
        versions = Versions(target, 2_000_000)
        assert len(versions.read("a", version)) == int(size)
        versions.prune()
        for found in versions.list("a"):
            data = versions.read("a", found.version)
            assert len(data) == found.size
            assert len(set(data.split())) == 1
        names = [name for _, _, files in os.walk(target) for name in files]
        assert not [name for name in names if name.endswith(".tmp")]


def test_the_last_changes_of_all_files_are_told_newest_first(tmp_path: Path) -> None:
    versions = make(tmp_path)
    for number in range(6):
        versions.keep("ab"[number % 2], b"%d" % number, "overwritten")
    versions.keep_rename("a", "c")
    found = versions.newest(3)
    assert [(one.path, one.reason) for one in found] == [
        ("c", "renamed"),
        ("b", "overwritten"),
        ("a", "overwritten"),
    ]
    assert found[0].former_path == "a"
    assert make(tmp_path / "none").newest(3) == []


def test_only_as_many_sidecars_are_read_as_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = make(tmp_path)
    for number in range(30):
        versions.keep(f"file{number % 7}", b"x", "overwritten")
    read: list[Path] = []
    real = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        read.append(path)
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert len(versions.newest(4)) == 4
    assert len(read) == 4


def test_a_rename_is_no_content_but_can_be_found(tmp_path: Path) -> None:
    versions = make(tmp_path)
    version = versions.keep_rename("old", "new")
    assert versions.list("new") == []
    assert versions.find("new", version).former_path == "old"


def test_the_history_of_all_files_follows_a_renamed_folder(tmp_path: Path) -> None:
    versions = make(tmp_path)
    for path in ("a/x", "a/b/y", "ab/z", "a"):
        versions.keep(path, path.encode(), "overwritten")
    versions.follow("a", "new/home", folder=True)
    found = {one.path: versions.read(one.path, one.version) for one in versions.newest(9)}
    assert found == {"new/home/x": b"a/x", "new/home/b/y": b"a/b/y", "ab/z": b"ab/z", "a": b"a"}


@pytest.mark.parametrize("damage", ["no version is left", "one cannot be read"])
def test_a_folder_takes_its_history_along_whatever_lies_beside_it(
    tmp_path: Path, damage: str
) -> None:
    versions = make(tmp_path)
    versions.keep("old/a.txt", b"one", "overwritten")
    versions.keep("old/a.txt", b"two", "overwritten")
    other = versions.keep("else.txt", b"three", "overwritten")
    if damage == "no version is left":
        versions.discard("else.txt", other)
    else:
        folders = list((tmp_path / "versions").iterdir())
        (folder,) = [each for each in folders if len(list(each.iterdir())) == 4]
        next(file for file in folder.iterdir() if file.suffix == ".json").write_text("{")
    versions.follow("old", "new", folder=True)
    assert versions.list("new/a.txt")
    assert not versions.list("old/a.txt")


def test_history_follows_without_being_copied(tmp_path: Path) -> None:
    versions = make(tmp_path)
    versions.keep("old", bytes(1000), "overwritten")
    [blob] = (tmp_path / "versions").rglob("*.blob")
    before = blob.stat().st_ino
    versions.follow("old", "new")
    [blob] = (tmp_path / "versions").rglob("*.blob")
    assert blob.stat().st_ino == before


def test_a_clock_that_was_set_back_makes_no_version_older(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make(tmp_path).keep("a", b"1", "overwritten")
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000)
    second = make(tmp_path).keep("a", b"2", "overwritten")
    assert [version.version for version in make(tmp_path).list("a")] == [second, first]


def test_every_directory_above_a_version_is_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{fd}").readlink())
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    make(tmp_path).keep("a", b"1", "overwritten")
    [directory] = (tmp_path / "versions").iterdir()
    assert {tmp_path, tmp_path / "versions", directory} <= set(flushed)
    assert flushed[-1] == directory
    flushed.clear()
    make(tmp_path).keep("a", b"2", "overwritten")
    assert tmp_path / "versions" in flushed, "who made it may have been killed before its flush"


def test_old_versions_that_cannot_be_removed_stop_no_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    versions = make(tmp_path, max_bytes=100)
    versions.keep("a", bytes(80), "overwritten")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "no")

    monkeypatch.setattr(Path, "unlink", refuse)
    kept = versions.keep("a", bytes(80), "overwritten")
    assert versions.list("a")[0].version == kept
    assert "cannot be removed" in caplog.text


def test_there_are_not_too_many_versions_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sgoped.memory.versions.MAX_VERSIONS", 10)
    versions = make(tmp_path)
    for _ in range(30):
        versions.keep("a", b"", "overwritten")
    assert 5 < len(versions.list("a")) <= 10


def test_nor_are_there_too_many_renames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sgoped.memory.versions.MAX_VERSIONS", 10)
    versions = make(tmp_path)
    versions.keep("a", b"content", "deleted")
    for number in range(30):
        versions.keep_rename(f"old{number}", f"new{number}")
    newest = versions.newest(100)
    assert 5 < len(newest) <= 10
    assert newest[0].path == "new29"
    assert [one.size for one in versions.list("a")] == [7]


def test_a_rename_makes_no_room_and_so_need_not_go(tmp_path: Path) -> None:
    versions = make(tmp_path, max_bytes=100)
    versions.keep_rename("old", "new")
    for _ in range(5):
        versions.keep("a", bytes(60), "overwritten")
    assert [one.reason for one in versions.newest(9)] == ["overwritten", "renamed"]


def test_what_is_known_of_directories_does_not_grow_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sgoped.memory.versions.MAX_SYNCED", 8)
    versions = Versions(tmp_path / "versions", 10**6)
    for number in range(30):
        versions.keep(f"{number}.txt", b"old", "deleted")
    assert len(versions._synced) <= 8
    assert [versions.read(kept.path, kept.version) for kept in versions.newest(99)] == [b"old"] * 30
