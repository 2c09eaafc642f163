from __future__ import annotations

import os
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sgoped.memory.beneath import open_directory
from sgoped.memory.scanner import (
    Entry,
    find_entry,
    find_temporary_files,
    is_ignored,
    scan_directory,
    scan_tree,
)


def plant(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def listed(root: Path, start: str = "") -> dict[str, list[str]]:
    return {
        directory: sorted(entry.name for entry in entries)
        for directory, entries in scan_tree(root, start)
    }


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes a chain of folders ``d/d/d...``, too deep for any path, and removes it again."""
    root = tmp_path / "deep"
    root.mkdir()
    made = 0

    def make(depth: int) -> Path:
        nonlocal made
        fd = os.open(root, os.O_RDONLY)
        for _ in range(depth):
            os.mkdir("d", dir_fd=fd)
            os.mkdir("side", dir_fd=fd)
            below = open_directory("d", fd)
            os.close(fd)
            fd, made = below, made + 1
        os.close(fd)
        return root

    yield make
    fds = [os.open(root, os.O_RDONLY)]
    for _ in range(made):
        fds.append(open_directory("d", fds[-1]))
        if len(fds) > 2:
            os.close(fds.pop(0))
    fd = fds.pop()
    for other in fds:
        os.close(other)
    for _ in range(made):
        above = open_directory("..", fd)
        os.close(fd)
        fd = above
        os.rmdir("d", dir_fd=fd)
        os.rmdir("side", dir_fd=fd)
    os.close(fd)


def test_files_and_folders_are_listed_directory_by_directory_top_down(tmp_path: Path) -> None:
    plant(tmp_path, "a.txt", "src/b.py", "src/deep/c.py")
    (tmp_path / "empty").mkdir()
    found = list(scan_tree(tmp_path))
    assert found[0][0] == ""
    assert {directory: sorted(entry.name for entry in entries) for directory, entries in found} == {
        "": ["a.txt", "empty", "src"],
        "empty": [],
        "src": ["b.py", "deep"],
        "src/deep": ["c.py"],
    }
    order = [directory for directory, _ in found]
    assert order.index("src") < order.index("src/deep")


def test_an_entry_tells_what_lstat_tells(tmp_path: Path) -> None:
    plant(tmp_path, "a.txt")
    status = (tmp_path / "a.txt").stat()
    [(_, [entry])] = list(scan_tree(tmp_path))
    assert entry == Entry("a.txt", "file", 5, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def test_hidden_names_links_and_special_files_are_left_out(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    plant(outside, "canary.txt")
    root = tmp_path / "root"
    plant(root, "a.txt", ".env", ".git/config", ".x/y")
    (root / ".link").symlink_to(root / "a.txt")
    (root / "link.txt").symlink_to(root / "a.txt")
    (root / "out").symlink_to(outside)
    (root / "loop").symlink_to(root)
    (root / "dangling").symlink_to("nowhere")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(root, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
        assert listed(root) == {"": ["a.txt"]}


def test_a_scan_can_start_anywhere_and_obeys_the_rules_above(tmp_path: Path) -> None:
    plant(tmp_path, "a/b/c.txt", "a/b/d.log", "a/x/y.txt", "a/.git/z")
    (tmp_path / ".gitignore").write_text("*.log\nx/\n")
    assert listed(tmp_path, "a/b") == {"a/b": ["c.txt"]}
    assert listed(tmp_path, "a/x") == {}
    assert listed(tmp_path, "a/.git") == {}
    assert listed(tmp_path, "a/b/c.txt") == {}
    assert listed(tmp_path, "gone") == {}
    assert listed(tmp_path, "../" + tmp_path.name) == {}
    assert listed(tmp_path, "a//b") == {}


def test_a_start_behind_a_link_is_not_entered(tmp_path: Path) -> None:
    plant(tmp_path, "outside/canary.txt", "root/a.txt")
    (tmp_path / "root/out").symlink_to(tmp_path / "outside")
    assert listed(tmp_path / "root", "out") == {}
    assert scan_directory(tmp_path / "root", "out") is None
    assert find_entry(tmp_path / "root", "out/canary.txt") is None


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    plant(tmp_path, "real/a.txt")
    (tmp_path / "root").symlink_to(tmp_path / "real")
    assert listed(tmp_path / "root") == {"": ["a.txt"]}


def test_a_missing_root_is_an_error_so_that_nothing_is_taken_for_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(scan_tree(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError):
        scan_directory(tmp_path / "gone", "")
    with pytest.raises(FileNotFoundError):
        find_entry(tmp_path / "gone", "a")


def test_names_are_bytes(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/\xff.txt", "w"):  # noqa: PTH123 - pathlib knows no bytes
        pass
    plant(tmp_path, "new\nline", "-dash", "ü" * 127)
    [(_, entries)] = list(scan_tree(tmp_path))
    assert {entry.name for entry in entries} == {"\udcff.txt", "new\nline", "-dash", "ü" * 127}
    assert find_entry(tmp_path, "\udcff.txt") is not None


def test_one_directory_is_listed_alone(tmp_path: Path) -> None:
    plant(tmp_path, "a/b/c.txt", "a/d.txt")
    assert sorted(entry.name for entry in scan_directory(tmp_path, "a") or []) == ["b", "d.txt"]
    assert scan_directory(tmp_path, "gone") is None
    assert scan_directory(tmp_path, "a/d.txt") is None


def test_one_path_is_found_only_where_a_scan_lists_it(tmp_path: Path) -> None:
    plant(tmp_path, "a/b.txt", "a/c.log", "a/.c.log", ".env", ".venv/x", ".eslintrc")
    (tmp_path / "a/.gitignore").write_text("*.log\n")
    (tmp_path / "link").symlink_to("a/b.txt")
    found = find_entry(tmp_path, "a/b.txt")
    assert found is not None
    assert (found.name, found.mode_kind, found.size) == ("b.txt", "file", 7)
    folder = find_entry(tmp_path, "a")
    assert folder is not None
    assert folder.mode_kind == "folder"
    assert find_entry(tmp_path, ".eslintrc") is not None
    for path in ("a/c.log", "a/.c.log", ".env", ".venv", ".venv/x", ".eslintrc/x"):
        assert find_entry(tmp_path, path) is None, path
    for path in ("link", "gone", "gone/x", "a/b.txt/x", "", "a/"):
        assert find_entry(tmp_path, path) is None, path


def test_unreadable_directories_are_reported_and_not_yielded(tmp_path: Path) -> None:
    plant(tmp_path, "open/a.txt", "shut/b.txt")
    (tmp_path / "shut").chmod(0)
    errors: list[tuple[str, OSError]] = []
    try:
        if os.access(tmp_path / "shut", os.R_OK):
            pytest.skip("this user may read everything")
        found = dict(scan_tree(tmp_path, on_error=lambda *error: errors.append(error)))
        with pytest.raises(PermissionError):
            scan_directory(tmp_path, "shut")
        assert sorted(found) == ["", "open"]
        assert [path for path, _ in errors] == ["shut"]
    finally:
        (tmp_path / "shut").chmod(0o700)


def test_a_directory_that_fails_to_be_read_is_reported_and_the_others_are_not_lost(
    tmp_path: Path,
) -> None:
    plant(tmp_path, "a/x.txt", "b/y.txt")
    errors: list[str] = []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fillers: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_descriptors() + 20, hard))
    try:
        with suppress(OSError):
            while True:
                fillers.append(os.open(os.devnull, os.O_RDONLY))
        os.close(fillers.pop())
        os.close(fillers.pop())
        found = dict(scan_tree(tmp_path, on_error=lambda path, _error: errors.append(path)))
    finally:
        for fd in fillers:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert list(found) == [""]
    assert sorted(errors) == ["a", "b"]


def test_directories_that_vanish_during_the_walk_are_no_errors(tmp_path: Path) -> None:
    plant(tmp_path, "a/x.txt", "b/x.txt", "c/x.txt")
    errors: list[str] = []
    walk = scan_tree(tmp_path, on_error=lambda path, _: errors.append(path))
    next(walk)
    for name in "abc":
        (tmp_path / name / "x.txt").unlink()
        (tmp_path / name).rmdir()
    assert list(walk) == []
    assert errors == []


def test_a_directory_swapped_for_a_link_during_the_walk_is_not_entered(tmp_path: Path) -> None:
    plant(tmp_path, "outside/canary.txt", "root/a/x.txt")
    root = tmp_path / "root"
    walk = scan_tree(root)
    next(walk)
    (root / "a").rename(tmp_path / "moved")
    (root / "a").symlink_to(tmp_path / "outside")
    assert list(walk) == []


def test_a_walk_can_be_stopped(tmp_path: Path) -> None:
    plant(tmp_path, "a/x", "b/x", "c/x")
    seen: list[str] = []
    for directory, _ in scan_tree(tmp_path, should_stop=lambda: len(seen) >= 2):
        seen.append(directory)
    assert len(seen) == 2


def test_an_abandoned_walk_leaves_no_descriptor_open(tmp_path: Path) -> None:
    plant(tmp_path, "a/b/c/d/x")
    before = open_descriptors()
    walk = scan_tree(tmp_path)
    for _ in range(4):
        next(walk)
    assert open_descriptors() > before
    walk.close()  # type: ignore[attr-defined]  # a generator
    assert open_descriptors() == before


def test_any_depth_is_walked_with_few_descriptors(deep: Callable[[int], Path]) -> None:
    root = deep(2500)
    before = open_descriptors()
    most, count = 0, 0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, before + 100), hard))
    try:
        for _ in scan_tree(root):
            count += 1
            most = max(most, open_descriptors())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert count == 1 + 2 * 2500
    assert most - before < 80
    assert open_descriptors() == before


def test_a_deep_branch_moved_away_during_the_walk_leads_nowhere_else(tmp_path: Path) -> None:
    chain = "/".join(f"d{level}" for level in range(100))
    plant(tmp_path, f"root/{chain}/x.txt", "root/side/y.txt", "elsewhere/canary/z.txt")
    seen: list[str] = []
    for directory, _ in scan_tree(tmp_path / "root"):
        seen.append(directory)
        if directory == chain:
            (tmp_path / "root/d0/d1").rename(tmp_path / "elsewhere/d1")
    assert not [directory for directory in seen if "canary" in directory]
    assert "side" in seen


def test_hidden_entries_are_told_to_who_asks(tmp_path: Path) -> None:
    plant(tmp_path, "a/.x", ".y")
    told: list[tuple[str, str]] = []
    list(scan_tree(tmp_path, on_hidden=lambda *found: told.append(found)))
    assert sorted(told) == [("", ".y"), ("a", ".x")]


def test_unfinished_saves_are_found_in_ignored_folders_too(tmp_path: Path) -> None:
    plant(tmp_path, "out/.sgoped-0123456789abcdef.tmp", "out/.sgoped-other.tmp", "a/x")
    (tmp_path / ".gitignore").write_text("out\n")
    assert find_temporary_files(tmp_path) == [("out", ".sgoped-0123456789abcdef.tmp")]


def test_judging_a_path_needs_the_root(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        is_ignored(tmp_path / "gone", "a/b")
