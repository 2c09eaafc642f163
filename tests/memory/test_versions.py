from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
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
